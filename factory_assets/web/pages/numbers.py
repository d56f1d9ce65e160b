"""Numbers in the addresses of pages.

Starlette's own kind `int` takes any number of digits; Python converts 4,300 at most.
"""

from __future__ import annotations

from starlette.convertors import IntegerConvertor, register_url_convertor


class _NumberConvertor(IntegerConvertor):
    regex = "[0-9]{1,4300}"


def number_in_path(name: str) -> str:
    """Return a parameter of the path of a route, such as `{version:number}`."""
    register_url_convertor("number", _NumberConvertor())
    return f"{{{name}:number}}"
