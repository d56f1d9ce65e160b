"""The words of the Open Data Contract Standard (v3.1), and which of ours they stand for.

The one place that knows both; `odcs` reads by it and `odcs_write` writes by it.
"""

from collections.abc import Mapping

from factory_assets.spec.contract import ColumnType

API_VERSION = "v3.1.0"

TYPES: Mapping[str, ColumnType] = {
    "integer": "int64",
    "number": "float64",
    "string": "string",
    "boolean": "bool",
    "date": "date",
    "timestamp": "timestamp",
}

BOUNDS = {"range": ("minimum", "maximum"), "length": ("minLength", "maxLength")}
"""Our pair of bounds to the two of `logicalTypeOptions`; `pattern` is the same word in both."""

PLAIN = {"name": "name", "from": "physicalName", "unique": "unique", "description": "description"}
"""Our key of a column to that of a property with the same meaning. `nullable` is the opposite of
`required`, `type` the `logicalType`, `sensitive` the `classification`, `values` the `validValues`
of a rule about `invalidValues`, `freshness` the SLA about `latency`."""

CUSTOM = ("missing", "unit")
"""Our keys of a column that the standard has no word for: its `customProperties`."""

UNTYPED = ("range", "length", "pattern")
"""These too, where a column has no type: the standard ties the options to one."""

SENSITIVE = {
    "personal": "personal",
    "pii": "personal",
    "sensitive": "personal",
    "confidential": "personal",
    "restricted": "personal",
    "secret": "secret",
}
"""A classification to how sensitive it makes a column; any other does not."""

LATENCY = frozenset({"latency", "ly", "freshness"})

UNITS = {
    **dict.fromkeys(("min", "minute", "minutes"), "min"),
    **dict.fromkeys(("h", "hr", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("w", "week", "weeks"), "w"),
}

_ANY = ["id", "name", "description", "tags", "customProperties", "authoritativeDefinitions"]

OPERATORS = [
    "mustBe",
    "mustNotBe",
    "mustBeGreaterThan",
    "mustBeGreaterOrEqualTo",
    "mustBeLessThan",
    "mustBeLessOrEqualTo",
    "mustBeBetween",
    "mustNotBeBetween",
]

METRICS = ["nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount"]

CONTRACT_KEYS = [
    *_ANY,
    *[
        "version",
        "kind",
        "apiVersion",
        "tenant",
        "status",
        "servers",
        "dataProduct",
        "domain",
        "schema",
        "support",
        "price",
        "team",
        "roles",
        "slaDefaultElement",
        "slaProperties",
        "contractCreatedTs",
    ],
]

SCHEMA_KEYS = [
    *_ANY,
    *[
        "logicalType",
        "physicalType",
        "physicalName",
        "businessName",
        "dataGranularityDescription",
        "properties",
        "relationships",
        "quality",
    ],
]

PROPERTY_KEYS = [
    *_ANY,
    *[
        "primaryKey",
        "primaryKeyPosition",
        "logicalType",
        "logicalTypeOptions",
        "physicalType",
        "physicalName",
        "businessName",
        "required",
        "unique",
        "partitioned",
        "partitionKeyPosition",
        "classification",
        "encryptedName",
        "transformSourceObjects",
        "transformLogic",
        "transformDescription",
        "examples",
        "criticalDataElement",
        "relationships",
        "quality",
        "items",
        "properties",
    ],
]

OPTION_KEYS = [
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "timezone",
    "defaultTimezone",
]

QUALITY_KEYS = [
    *_ANY,
    *[
        "businessImpact",
        "dimension",
        "method",
        "schedule",
        "scheduler",
        "severity",
        "type",
        "unit",
        "metric",
        "rule",
        "arguments",
        "query",
        "engine",
        "implementation",
    ],
    *OPERATORS,
]

SLA_KEYS = [
    *_ANY,
    *["property", "value", "valueExt", "unit", "element", "driver", "scheduler", "schedule"],
]
