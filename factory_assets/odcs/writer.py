"""Write our contract in the Open Data Contract Standard; `reader` reads it back unchanged."""

from collections.abc import Sequence
from typing import Any

from factory_assets.odcs import vocabulary as words
from factory_assets.spec.contract import Column, Contract

_TYPES = {ours: theirs for theirs, ours in words.TYPES.items()}


def write(
    contract: Contract, *, name: str, purpose: str, owners: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the whole file as plain data, in the order in which people read it.

    Args:
        contract: the contract.
        name: the name of the pipeline, which names the contract and its table.
        purpose: what the data is for.
        owners: e-mail addresses or `team:name`.
    """
    members = [{"username": owner, "role": "owner"} for owner in owners]
    return {
        "apiVersion": words.API_VERSION,
        "kind": "DataContract",
        "id": name,
        "name": name,
        "version": "1.0.0",
        "status": "active",
        "description": {"purpose": purpose},
        **({"team": {"name": name, "members": members}} if members else {}),
        "schema": [_schema(contract, name)],
        **_service_levels(contract, name),
    }


def _schema(contract: Contract, name: str) -> dict[str, Any]:
    quality = [
        _forbidden("duplicateValues", {"properties": list(names)}) for names in contract.unique
    ]
    if contract.rows:
        bound = _row_bound(contract.rows.at_least, contract.rows.at_most)
        quality.append({"type": "library", "metric": "rowCount", **bound})
    quality += [{"type": "text", "description": text} for text in contract.unchecked]
    distribution = contract.distribution.model_dump(mode="json", exclude_defaults=True)
    custom = [{"property": "distribution", "value": distribution}] if distribution else []
    return _without_empty(
        {
            "name": name,
            "logicalType": "object",
            "properties": [_property(column) for column in contract.columns],
            "quality": quality,
            "customProperties": custom,
        }
    )


def _property(column: Column) -> dict[str, Any]:
    data = column.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    quality = []
    if "values" in data:
        quality.append(_forbidden("invalidValues", {"validValues": data["values"]}))
    custom = [*words.CUSTOM, *(words.UNTYPED if column.type is None else ())]
    return _without_empty(
        {
            "name": column.name,
            **{theirs: data.get(ours) for ours, theirs in words.PLAIN.items()},
            "logicalType": _TYPES[column.type] if column.type else None,
            "logicalTypeOptions": _options(data) if column.type else None,
            "required": None if column.nullable else True,
            "classification": column.sensitive,
            "quality": quality,
            "customProperties": [
                {"property": key, "value": data[key]} for key in custom if key in data
            ],
        }
    )


def _options(data: dict[str, Any]) -> dict[str, Any]:
    pairs = [
        (theirs, bound)
        for ours, both in words.BOUNDS.items()
        for theirs, bound in zip(both, data.get(ours, ()), strict=False)
    ]
    own = {theirs: data.get(ours) for ours, theirs in words.OPTIONS.items()}
    return _without_empty({**dict(pairs), **own})


def _forbidden(metric: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return a rule that no row may break."""
    return {"type": "library", "metric": metric, "arguments": arguments, "mustBe": 0}


def _row_bound(least: int | None, most: int | None) -> dict[str, Any]:
    if least is not None and least == most:
        return {"mustBe": least}
    if least is not None and most is not None:
        return {"mustBeBetween": [least, most]}
    return {"mustBeLessOrEqualTo": most} if least is None else {"mustBeGreaterOrEqualTo": least}


def _service_levels(contract: Contract, name: str) -> dict[str, Any]:
    fresh = contract.freshness
    if fresh is None:
        return {}
    unit = fresh.within.lstrip("0123456789")
    level = {
        "property": "latency",
        "value": int(fresh.within.removesuffix(unit)),
        "unit": unit,
        "element": f"{name}.{fresh.column}",
    }
    return {"slaProperties": [level]}


def _without_empty(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if value not in (None, [], {})}
