"""Numbers in the addresses of pages.

Starlette's own kind `int` takes any number of digits; Python converts 4,300 at most.
"""

from __future__ import annotations

from starlette.convertors import IntegerConvertor, register_url_convertor

NUMBER = "number"
"""The kind of such a parameter in the path of a route, as in `{version:number}`."""


class _NumberConvertor(IntegerConvertor):
    regex = "[0-9]{1,4300}"


register_url_convertor(NUMBER, _NumberConvertor())
