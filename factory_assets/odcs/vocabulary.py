"""The terms of the Open Data Contract Standard (v3.1), and the keys of our contract they map to.

This is the only module that knows both; `reader` and `writer` use it.
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
"""The standard's logical type to our type of a column."""

BOUNDS = {"range": ("minimum", "maximum"), "length": ("minLength", "maxLength")}
"""Our pair of bounds to the two keys of the standard's `logicalTypeOptions`."""

OPTIONS = {"pattern": "pattern", "timezone": "defaultTimezone"}
"""Our key of a column to the key of `logicalTypeOptions` with the same meaning."""

PLAIN = {"name": "name", "from": "physicalName", "unique": "unique", "description": "description"}
"""Our key of a column to the standard's key of a property with the same meaning.

The others have another form there: `nullable` is the opposite of `required`, `type` is
`logicalType`, `sensitive` is `classification`, `values` is `validValues` of a rule about
`invalidValues`, and `freshness` is a service level about `latency`."""

CUSTOM = ("missing", "unit", "share")
"""Our keys of a column for which the standard has no term; they become `customProperties`."""

UNTYPED = ("range", "length", "pattern", "timezone")
"""These keys become `customProperties` too if a column has no type: the standard ties them to
one."""

SENSITIVE = {
    "personal": "personal",
    "pii": "personal",
    "sensitive": "personal",
    "confidential": "personal",
    "restricted": "personal",
    "secret": "secret",
}
"""A classification to our level of sensitivity; all other classifications mean none."""

LATENCY = frozenset({"latency", "ly", "freshness"})
"""Names of the service level that becomes `freshness`."""

UNITS = {
    **dict.fromkeys(("min", "minute", "minutes"), "min"),
    **dict.fromkeys(("h", "hr", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("w", "week", "weeks"), "w"),
}
"""The standard's unit of time to ours."""

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
