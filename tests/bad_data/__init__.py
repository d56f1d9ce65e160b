"""The corpus of bad data: one module per family, each with a list of named cases."""

from tests.bad_data import (
    dates,
    encodings,
    headers,
    hostile,
    json_lines,
    lines,
    names,
    numbers,
    parquets,
    places,
    ragged,
    types,
    unicodes,
    zips,
)
from tests.bad_data.case import Case

CASES: list[Case] = [
    case
    for family in (
        encodings,
        ragged,
        lines,
        types,
        numbers,
        dates,
        unicodes,
        names,
        hostile,
        zips,
        places,
        json_lines,
        parquets,
        headers,
    )
    for case in family.CASES
]
