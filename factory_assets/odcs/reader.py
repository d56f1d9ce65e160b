"""Read a contract in the Open Data Contract Standard as one of ours: plain data in, plain data out.

What the factory cannot express is reported: as a mistake if the file is wrong, otherwise as a
promise that nothing checks. Words about owners, servers and prices are ignored.

Parsing the YAML belongs in `declarations`, single quality rules in `rules`.
"""

from collections.abc import Collection
from typing import Any

from factory_assets.odcs import vocabulary as words
from factory_assets.odcs.parsing import At, Reader, Reading
from factory_assets.odcs.rules import read_rule
from factory_assets.spec.base import suggest


def read(data: Any, table: str | None = None) -> Reading:
    """Read a whole file.

    Args:
        data: the content of the file.
        table: the schema to use; required if the file has several.
    """
    reading = Reading()
    reader = _Reader(reading)
    if not reader.is_mapping((), data, words.CONTRACT_KEYS):
        return reading
    for key in ("apiVersion", "kind", "id", "version", "status"):
        if key not in data:
            reading.wrong.append(((), f"{key!r} is missing; the standard requires it"))
    version = data.get("apiVersion", words.API_VERSION)
    if not str(version).startswith("v3."):
        reading.wrong.append((("apiVersion",), f"{version!r} is not supported; write v3.1.0"))
    if data.get("kind", "DataContract") != "DataContract":
        reading.wrong.append((("kind",), "must be DataContract"))
    number = reader.chosen(data.get("schema"), table)
    if number is not None:
        others = (one for place, one in enumerate(data["schema"]) if place != number)
        reader.others = {name for one in others for name in _names(one)}
        reader.schema(("schema", number), data["schema"][number])
        reader.service_levels(data)
    if reading.unchecked:
        reading.contract["unchecked"] = [promise for _, promise in reading.unchecked]
    return reading


class _Reader(Reader):
    """Reads one schema and the service levels of the file."""

    table = ""
    """The name of the schema."""
    others: Collection[str] = ()
    """The names of the other schemas of the file."""

    def chosen(self, schemas: Any, table: str | None) -> int | None:
        """Return the position of the schema to use; None, and add a mistake, if there is none."""
        if not isinstance(schemas, list) or not schemas:
            self.reading.wrong.append(
                (("schema",), "there is no schema, so nothing is promised; add one")
            )
            return None
        names = [*map(_names, schemas)]
        known = [str(s.get("name")) for s in schemas if isinstance(s, dict)]
        if table is None and len(schemas) > 1:
            message = f"has several schemas; choose one with `table`: {', '.join(known)}"
            self.reading.wrong.append((("schema",), message))
            return None
        if table is None:
            return 0
        matches = [i for i, both in enumerate(names) if table in both]
        if not matches:
            self.reading.wrong.append(
                (("schema",), f"no schema {table!r}; {suggest(table, known)}")
            )
        return matches[0] if matches else None

    def schema(self, at: At, data: Any) -> None:
        """Add the columns and the promises of a schema to the contract."""
        if not self.is_mapping(at, data, words.SCHEMA_KEYS):
            return
        self.table = str(data.get("name"))
        self.reading.ways[()] = at
        self.reading.ways["columns",] = (*at, "properties")
        columns: list[dict[str, Any]] = []
        keys: list[tuple[int, str]] = []
        for place, item in self.items(at, data, "properties"):
            if not self.is_mapping(place, item, words.PROPERTY_KEYS):
                continue
            self.reading.ways["columns", len(columns)] = place
            columns.append(_Property(self, place, item, len(columns)).column())
            if self.typed(place, item, "primaryKey", bool):
                position = self.typed(place, item, "primaryKeyPosition", int) or 0
                keys.append((position, str(columns[-1].get("name"))))
        if columns:
            self.contract["columns"] = columns
        self.primary(columns, [name for _, name in sorted(keys, key=lambda key: key[0])])
        for place, item in self.items(at, data, "quality"):
            read_rule(self, place, item, None)
        for _, custom in self.items(at, data, "customProperties"):
            if isinstance(custom, dict) and custom.get("property") == "distribution":
                self.contract["distribution"] = custom.get("value")
        if data.get("relationships"):
            self.unchecked((*at, "relationships"), "relationships; see ingest.joins")

    def primary(self, columns: list[dict[str, Any]], names: list[str]) -> None:
        """Require a value of every primary key in every row, and each key once only."""
        for column in columns:
            if column.get("name") in names:
                column["nullable"] = False
                if len(names) == 1:
                    column["unique"] = True
        if len(names) > 1:
            self.contract.setdefault("unique", []).append(names)

    def service_levels(self, data: dict[str, Any]) -> None:
        """Read a latency as `freshness`; the other service levels are unchecked promises."""
        for at, item in self.items((), data, "slaProperties"):
            if not self.is_mapping(at, item, words.SLA_KEYS):
                continue
            name = str(item.get("property", "")).lower()
            elements = str(item.get("element", data.get("slaDefaultElement", "")))
            if self.is_of_others(elements):
                continue
            column = elements.removeprefix(f"{self.table}.")
            latency = name in words.LATENCY and column and "," not in elements
            if not latency or "freshness" in self.contract:
                self.unchecked(at, f"the service level {item.get('property')!r}")
                continue
            unit = words.UNITS.get(str(item.get("unit", "")).lower())
            value = item.get("value")
            if unit is None or isinstance(value, bool) or not isinstance(value, int):
                units = ", ".join(dict.fromkeys(words.UNITS.values()))
                message = f"{name} needs a whole number as `value` and a `unit`: {units}"
                self.reading.wrong.append((at, message))
                continue
            self.reading.ways["freshness",] = at
            self.contract["freshness"] = {"column": column, "within": f"{value}{unit}"}

    def is_of_others(self, elements: str) -> bool:
        """Whether a service level is about columns of other schemas alone, or about them."""
        own = [column.get("name") for column in self.contract.get("columns", ())]
        named = [one.strip() for one in elements.split(",")]
        return all(one.partition(".")[0] in self.others and one not in own for one in named)


def _names(schema: Any) -> set[str]:
    """Return the names of a schema."""
    if not isinstance(schema, dict):
        return set()
    return {str(schema[key]) for key in ("name", "physicalName") if schema.get(key) is not None}


class _Property:
    """Reads one property as a column of our contract."""

    def __init__(self, reader: _Reader, at: At, data: dict[str, Any], number: int) -> None:
        self.reader, self.at, self.data, self.number = reader, at, data, number
        self.result: dict[str, Any] = {}

    def column(self) -> dict[str, Any]:
        """Return the column."""
        data = self.data
        for ours, theirs in words.PLAIN.items():
            if theirs in data:
                self.put(ours, data[theirs], theirs)
        if self.reader.typed(self.at, data, "required", bool):
            self.put("nullable", False, "required")
        self.type()
        self.options(self.reader.typed(self.at, data, "logicalTypeOptions", dict) or {})
        level = words.SENSITIVE.get(str(data.get("classification", "")).lower())
        if level:
            self.put("sensitive", level, "classification")
        for _, custom in self.reader.items(self.at, data, "customProperties"):
            known = (*words.CUSTOM, *words.UNTYPED)
            if isinstance(custom, dict) and custom.get("property") in known:
                self.put(custom["property"], custom.get("value"), "customProperties")
        for place, rule in self.reader.items(self.at, data, "quality"):
            read_rule(self.reader, place, rule, self.result)
        if data.get("relationships"):
            promise = f"relationships of column {data.get('name')!r}; see ingest.joins"
            self.reader.unchecked((*self.at, "relationships"), promise)
        return self.result

    def put(self, ours: str, value: Any, *theirs: str) -> None:
        """Set one of our keys, and remember the place in the file that it was read from."""
        self.result[ours] = value
        self.reader.reading.ways["columns", self.number, ours] = (*self.at, *theirs)

    def type(self) -> None:
        if self.data.get("logicalType") is None:
            return
        name = str(self.data["logicalType"])
        if name in words.TYPES:
            self.put("type", words.TYPES[name], "logicalType")
            return
        flat = name in {"object", "array", "time"}
        message = (
            f"{name!r} is not supported: tables are flat" if flat else f"{name!r} is not a type"
        )
        self.reader.reading.wrong.append(
            ((*self.at, "logicalType"), f"{message}; {suggest(name, tuple(words.TYPES))}")
        )

    def options(self, options: dict[str, Any]) -> None:
        at = (*self.at, "logicalTypeOptions")
        if not self.reader.is_mapping(at, options, words.OPTION_KEYS):
            return
        for ours, pair in words.BOUNDS.items():
            if any(key in options for key in pair):
                self.put(ours, [options.get(key) for key in pair], "logicalTypeOptions")
        for ours, theirs in words.OPTIONS.items():
            if theirs in options:
                self.put(ours, options[theirs], "logicalTypeOptions", theirs)
        for key in ("format", "multipleOf", "exclusiveMinimum", "exclusiveMaximum", "timezone"):
            if key in options:
                promise = f"{key} {options[key]!r} of column {self.data.get('name')!r}"
                self.reader.unchecked((*at, key), promise)
