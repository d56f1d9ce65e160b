"""The OpenAPI description of the served pipelines, made from their contracts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from factory_assets.data.contract.pattern_examples import example_of
from factory_assets.serving.online.served_model import ServedModel
from factory_assets.spec import Column

_TYPES = {"float64": "number", "int64": "integer", "bool": "boolean"}

_FORMATS = {"date": "date", "timestamp": "date-time"}

_PICTURE = {
    "type": "string",
    "contentEncoding": "base64",
    "description": "the content of a PNG or JPEG file, in base64",
}

_GREY = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)
"""An image of one pixel."""

_KEY = {
    "type": ["string", "integer", "null"],
    "description": "logged with the answer, not read by the model",
}

_LOOKS_BACK = (
    " Send the last rows of a unit in their order; the prediction is for the last row of each."
)


def openapi(served: Mapping[str, ServedModel]) -> dict[str, Any]:
    """Return the description, version 3.1."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {"Error": _ERROR}
    for name, model in sorted(served.items()):
        schemas[f"{name}.row"] = row_schema(model)
        schemas[f"{name}.answer"] = _answer_schema(model)
        schemas[f"{name}.answers"] = _answers_schema(model)
        paths[f"/predict/{name}"] = {"post": _operation(name, model)}
    if served:
        schemas["Outcome"] = _OUTCOME
        paths["/feedback"] = {"post": _feedback()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Predictions of this factory", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def row_schema(model: ServedModel) -> dict[str, Any]:
    """Return the JSON Schema of one row."""
    picture = model.model.picture
    return {
        "type": "object",
        "properties": {key.source_name: _KEY for key in model.keys}
        | {
            c.source_name: _PICTURE if picture and c.name == picture.name else _column_schema(c)
            for c in model.inputs
        },
        # Either the keys of joins are sent, or the columns that they add.
        "required": [] if model.model.ingest.joins else [c.source_name for c in model.inputs],
    }


def example(model: ServedModel) -> dict[str, Any]:
    """Return a row that satisfies the contract as far as the contract says what does."""
    picture = model.model.picture
    return {
        column.source_name: _GREY if picture and column.name == picture.name else _example(column)
        for column in model.inputs
    }


def _column_schema(column: Column) -> dict[str, Any]:
    kind = _TYPES.get(column.type or "", "string")
    found: dict[str, Any] = {"type": [kind, "null"] if column.nullable else kind}
    if column.type in _FORMATS:
        found["format"] = _FORMATS[column.type]
    if column.values is not None:
        found["enum"] = [*column.values, *([None] if column.nullable else [])]
    if column.range and kind in {"number", "integer"}:
        low, high = column.range
        found |= {"minimum": low} if low is not None else {}
        found |= {"maximum": high} if high is not None else {}
    if column.length:
        low, high = column.length
        found |= {"minLength": low} if low is not None else {}
        found |= {"maxLength": high} if high is not None else {}
    if column.pattern:
        found["pattern"] = f"^(?:{column.pattern})$"
    words = [column.description, f"in {column.unit}" if column.unit else None]
    if any(words):
        found["description"] = ", ".join(filter(None, words))
    return found | {"examples": [_example(column)]}


def _example(column: Column) -> Any:
    if column.values:
        return column.values[0]
    low, high = column.range or (None, None)
    if column.type == "timestamp":
        return _moment(str(low or high or "2024-01-31 12:00:00"))
    if isinstance(low, str) or isinstance(high, str):
        return low or high
    if column.type in {"int64", "float64"}:
        middle = (
            (low + high) / 2
            if low is not None and high is not None
            else low + 1
            if low is not None
            else high - 1
            if high is not None
            else 1.0
        )
        return round(middle) if column.type == "int64" else float(middle)
    if column.pattern:
        return example_of(column.pattern, column.unit) or "text"
    return {"bool": True, "date": "2024-01-31"}.get(column.type or "", "text")


def _moment(text: str) -> str:
    """Return a time of a contract as the format `date-time` has it, with an offset."""
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat()


def _answer_schema(model: ServedModel) -> dict[str, Any]:
    """Describe the answer to one row."""
    properties = _head_schemas(model) | _entry_schemas(model)
    required = ["id", "pipeline", "version", "prediction"]
    return {"type": "object", "properties": properties, "required": required}


def _answers_schema(model: ServedModel) -> dict[str, Any]:
    """Describe the answer to a list of rows: what single answers share is said once."""
    of_row = {"type": "object", "properties": _entry_schemas(model)}
    predictions = {
        "type": "array",
        "items": {**of_row, "required": ["id", "prediction"]},
        "description": "in the order of the rows",
    }
    return {
        "type": "object",
        "properties": {**_head_schemas(model), "predictions": predictions},
        "required": ["pipeline", "version", "predictions"],
    }


def _head_schemas(model: ServedModel) -> dict[str, Any]:
    """Describe what an answer says of the version."""
    properties: dict[str, Any] = {
        "pipeline": {"const": model.pipeline},
        "version": {"type": "integer", "description": "of the model that answered"},
    }
    if model.model.threshold is not None:
        what = f"the probability from which on {model.model.classes[1]!r} is predicted"
        properties["threshold"] = {"type": "number", "description": what}
    if model.model.regions:
        what = "of the sets or intervals that contain the truth"
        properties["coverage"] = {"type": "number", "description": what}
    return properties


def _entry_schemas(model: ServedModel) -> dict[str, Any]:
    """Describe what an answer says of a row."""
    classes = model.model.classes
    one: dict[str, Any] = {"enum": list(classes)} if classes else {"type": "number"}
    one = {"anyOf": [one, {"type": "null"}], "description": "null for a row that was refused"}
    properties: dict[str, Any] = {
        "id": {"type": "string", "format": "uuid", "description": "by which the answer is logged"},
        "prediction": one,
        "moved_by": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"input": {"type": "string"}, "change": {"type": "number"}},
                "required": ["input", "change"],
            },
            "description": "the inputs that moved it most, if `explain` is true",
        },
        **_REASONS,
    }
    if classes:
        share = {"type": "number", "minimum": 0, "maximum": 1}
        properties["probabilities"] = {
            "type": "object",
            "properties": dict.fromkeys(classes, share),
        }
    return properties | _region_schemas(model)


def _region_schemas(model: ServedModel) -> dict[str, Any]:
    """Describe what an answer says of its certainty."""
    classes, bounds = model.model.classes, model.model.regions
    if not bounds:
        return {}
    if not classes:
        ends = {"type": ["number", "null"], "description": "null if it is infinite"}
        return {"interval": {"type": "array", "items": ends, "minItems": 2, "maxItems": 2}}
    found: dict[str, Any] = {}
    found["set"] = {"type": "array", "items": {"enum": list(classes)}, "uniqueItems": True}
    if bounds.abstain:
        what = "whether the set has no class, or several"
        found["abstained"] = {"type": "boolean", "description": what}
    return found


def _feedback() -> dict[str, Any]:
    outcome = {"$ref": "#/components/schemas/Outcome"}
    problems = {**_PROBLEMS, "422": "none of the outcomes can be recorded"}
    del problems["404"]
    return {
        "summary": "Say what turned out to be true of answers",
        "description": "One outcome, or a list of them. Sending one again records nothing twice.",
        "operationId": "feedback",
        "security": [{}, {"token": []}],
        "requestBody": {
            "required": True,
            **_json({"anyOf": [outcome, {"type": "array", "items": outcome}]}),
        },
        "responses": {
            "200": {
                "description": "what became of each: recorded, repeated, corrected, or an error",
                **_json({"type": "object"}),
            },
            **_responses(problems),
        },
    }


def _responses(problems: Mapping[str, str]) -> dict[str, Any]:
    error = _json({"$ref": "#/components/schemas/Error"})
    return {status: {"description": what, **error} for status, what in problems.items()}


def _json(schema: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema, **more}}}


def _operation(name: str, model: ServedModel) -> dict[str, Any]:
    row = {"$ref": f"#/components/schemas/{name}.row"}
    answers = [{"$ref": f"#/components/schemas/{name}.{one}"} for one in ("answer", "answers")]
    flag = {"in": "query", "schema": {"type": "boolean", "default": False}}
    return {
        "summary": f"Predict with the champion of {name}",
        "description": "One row, or a list of rows." + _LOOKS_BACK * bool(model.looks_back),
        "operationId": f"predict_{name}",
        "security": [{}, {"token": []}],
        "parameters": [
            {**flag, "name": "explain", "description": "add the inputs that moved it most"},
            {**flag, "name": "partial", "description": "answer the valid rows if others are wrong"},
        ],
        "requestBody": {
            "required": True,
            **_json(
                {"anyOf": [row, {"type": "array", "items": row, "minItems": 1}]},
                example=example(model),
            ),
        },
        "responses": {
            "200": {
                "description": "the prediction; of a list, one entry for each row",
                **_json({"anyOf": answers}),
            },
            **_responses(_PROBLEMS),
        },
    }


_PROBLEMS = {
    "400": "the request cannot be read",
    "401": "there is no valid token",
    "403": "the token or the page may not ask this",
    "404": "no such pipeline is served",
    "408": "the body came too slowly",
    "413": "the request is too large",
    "415": "the body is of another type",
    "422": "a row breaks the contract",
    "429": "too many requests",
    "503": "the pipeline was stopped, or the answer cannot be logged",
}

_OUTCOME = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "format": "uuid", "description": "that came with the answer"},
        "outcome": {"description": "a class of the target, or a number"},
        "observed": {
            "type": "string",
            "format": "date-time",
            "description": "when the outcome was known; now by default",
        },
    },
    "required": ["id", "outcome"],
    "additionalProperties": False,
}

_REASONS = {
    "reasons": {"type": "array", "items": {"type": "object"}, "description": "the first ones"},
    "more_reasons": {"type": "integer", "description": "how many others there are"},
}

_ERROR = {
    "type": "object",
    "properties": {
        "error": {"type": "string", "description": "what is wrong, and what to do"},
        **_REASONS,
    },
    "required": ["error"],
}
