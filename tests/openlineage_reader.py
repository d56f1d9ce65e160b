"""Read events of OpenLineage into the classes that the project makes from its specification.

The classes know each key and its type; what they do not know is an error here.
"""

import importlib
import pkgutil
import types
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import attr
from openlineage.client import generated
from openlineage.client.generated import base


def read_event(event: dict[str, Any]) -> Any:
    """Return the event as a `RunEvent`.

    Raises:
        TypeError, ValueError: it is not one.
    """
    # The classes take any text for an address.
    assert urlsplit(event["producer"]).scheme, event["producer"]
    return _read(base.RunEvent, event, "event")


def facet_classes() -> dict[str, type]:
    """Return each class of a facet by the address of its schema."""
    found = {}
    for module in pkgutil.iter_modules(generated.__path__):
        loaded = importlib.import_module(f"openlineage.client.generated.{module.name}")
        for kind in vars(loaded).values():
            if isinstance(kind, type) and issubclass(kind, base.BaseFacet):
                found[kind._get_schema()] = kind
    return found


def _read(kind: Any, value: Any, place: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        kinds = [one for one in get_args(kind) if one is not type(None)]
        assert value is not None, place
        return _read(kinds[0], value, place)
    if origin is list:
        return [_read(get_args(kind)[0], one, place) for one in _typed(list, value, place)]
    if origin is dict:
        of = get_args(kind)[1]
        known = {name: _read(of, one, f"{place}.{name}") for name, one in value.items()}
        return known
    if isinstance(kind, type) and issubclass(kind, base.BaseFacet):
        facet = facet_classes()[value["_schemaURL"]]
        assert issubclass(facet, kind), f"{place}: {facet} is no {kind}"
        assert value["_producer"].startswith("urn:")
        return _made(facet, {k: v for k, v in value.items() if k[0] != "_"}, place)
    if attr.has(kind):
        return _made(kind, value, place)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    return value if kind is Any else _typed(kind, value, place)


def _made(kind: type, value: dict[str, Any], place: str) -> Any:
    hints = get_type_hints(kind)
    fields = {field.name: field for field in attr.fields(kind) if field.name[0] != "_"}
    unknown = {*value} - {*fields}
    assert not unknown, f"{place}: unknown {unknown}"
    content = {name: _read(hints[name], one, f"{place}.{name}") for name, one in value.items()}
    schema = content.pop("schemaURL", None)
    made = kind(**content)
    assert schema in (None, getattr(made, "schemaURL", None)), schema
    return made


def _typed(kind: type, value: Any, place: str) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{place}: {value!r} is no {kind.__name__}")
    return value
