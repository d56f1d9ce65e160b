"""The cases: in files, contracts and derived columns, with partitions and without."""

from collections.abc import Sequence
from typing import Any

from tests.growing.case import FORMULAS, VALUES, Case, Columns, State, csv, every_change, numbered

SITES = ("a", "b")


def _rows(columns: Columns, *, of: Sequence[int] = (0, 1)) -> dict[str, list[Any]]:
    return {name: [values[i] for i in of] for name, values in columns.items()}


def _by_site(columns: Columns, sites: tuple[str, ...]) -> dict[str, str]:
    """Return the files: one with all rows, or one with a row for each site."""
    if not sites:
        return {"data.csv": csv(columns)}
    return {f"{site}.csv": csv(_rows(columns, of=[i])) for i, site in enumerate(sites)}


def _labelled(columns: Columns, sites: tuple[str, ...], derived: Columns | None = None) -> Columns:
    """Return the clean table: partitions add their column after those of the contract."""
    return {**columns, **({"site": sites} if sites else {}), **(derived or {})}


def _states(columns: Columns, sites: tuple[str, ...], contract: bool) -> State:
    promised = [{"name": name, "type": _kind(values)} for name, values in columns.items()]
    files = _by_site(columns, sites)
    return State(files, _labelled(columns, sites), promised if contract else ())


def _kind(values: Sequence[Any]) -> str:
    return next(kind for kind, known in VALUES.items() if type(known[0]) is type(values[0]))


def _every_type(
    name: str, *, contract: bool, sites: tuple[str, ...] = (), kinds: int | None = None
) -> Case:
    walk = numbered(every_change([*VALUES][:kinds]))
    return Case(
        name,
        [_states({"n": n, "v": VALUES[kind]}, sites, contract) for n, kind in walk],
        sites,
        long=kinds is None,
    )


_K = [{"name": "n", "type": "int64"}, {"name": "k", "type": "int64"}]


def _derived(n: list[int], derive: dict[str, str], added: Columns, sites: tuple[str, ...]) -> State:
    source = {"n": n, "k": [1, 2]}
    return State(_by_site(source, sites), _labelled(source, sites, added), _K, derive)


def _every_derived_type(name: str, sites: tuple[str, ...] = ()) -> Case:
    states = []
    for n, kind in numbered(every_change([*FORMULAS])):
        sql, values = FORMULAS[kind]
        states.append(_derived(n, {"d": sql}, {"d": values}, sites))
    return Case(name, states, sites, long=True)


_TIME = VALUES["timestamp"]

_SHAPES: dict[str, list[Columns]] = {
    "a_column_comes_and_goes": [
        {"n": [1, 2]},
        {"n": [1, 2], "text": ["x", "y"]},
        {"n": [1, 2], "text": ["x", "y"], "moment": _TIME},
        {"n": [1, 2], "moment": _TIME},
        {"n": [3, 4]},
        {"moment": _TIME},
        {"n": [1, 2]},
    ],
    "a_column_changes_its_case": [
        {"n": [1, 2], "size": [3, 4]},
        {"n": [1, 2], "Size": [3, 4]},
        {"n": [1, 2], "SIZE": _TIME},
        {"n": [1, 2], "size": [3, 4]},
    ],
    "columns_change_their_order": [
        {"n": [1, 2], "size": [3.5, 4.5], "text": ["x", "y"]},
        {"text": ["x", "y"], "n": [1, 2], "size": [3.5, 4.5]},
        {"size": [3.5, 4.5], "text": ["x", "y"], "n": [1, 2]},
        {"n": [1, 2], "size": [3.5, 4.5], "text": ["x", "y"]},
    ],
}
"""The columns of a table one time after the other; in each case it ends as it began."""


def _shaped(place: str, *, contract: bool, sites: tuple[str, ...] = ()) -> list[Case]:
    return [
        Case(
            f"{shape}_{place}",
            [_states(columns, sites, contract) for columns in tables],
            sites,
            long=contract and not (sites and shape == "a_column_comes_and_goes"),
        )
        for shape, tables in _SHAPES.items()
    ]


def _derived_shapes(place: str, sites: tuple[str, ...] = ()) -> list[Case]:
    two = [10, 11]
    plus, text = {"d": "k + 1"}, {"t": "'a' || k"}
    moment, (_, times) = {"m": FORMULAS["timestamp"][0]}, FORMULAS["timestamp"]
    d, t = {"d": [2, 3]}, {"t": ["a1", "a2"]}
    return [
        Case(
            f"a_derived_column_comes_and_goes_{place}",
            [
                _derived(two, {}, {}, sites),
                _derived(two, plus, d, sites),
                _derived(two, plus | moment, {**d, "m": times}, sites),
                _derived(two, moment, {"m": times}, sites),
                _derived(two, {}, {}, sites),
            ],
            sites,
        ),
        Case(
            f"a_derived_column_changes_its_case_and_order_{place}",
            [
                _derived(two, plus | text, {**d, **t}, sites),
                _derived(two, text | plus, {**t, **d}, sites),
                _derived(two, {"D": "k + 1"} | text, {"D": [2, 3], **t}, sites),
                _derived(two, plus | text, {**d, **t}, sites),
            ],
            sites,
        ),
    ]


def _added_files() -> list[Case]:
    """A file is added to those that are there, and its columns differ."""
    first, n = csv({"n": [1, 2], "v": [5, 6]}), {"n": [1, 2, 3]}
    start = State({"1.csv": first}, {"n": [1, 2], "v": [5, 6]})
    promised = [{"name": "n", "type": "int64"}, {"name": "v", "type": "int64"}]
    kept = State({"1.csv": first}, {"n": [1, 2], "v": [5, 6]}, promised)

    def second(text: str, expected: Columns | str, **more: Any) -> State:
        return State({"1.csv": first, "2.csv": text}, expected, **more)

    return [
        Case(
            "a_file_is_added_with_other_types",
            [
                start,
                second("n,v\n3,7\n", {**n, "v": [5, 6, 7]}),
                second("n,v\n3,7.5\n", {**n, "v": [5.0, 6.0, 7.5]}),
                second("n,v\n3,x\n", {**n, "v": ["5", "6", "x"]}),
                start,
            ],
        ),
        Case(
            "a_file_is_added_with_other_columns",
            [
                start,
                second("n,v,w\n3,7,8\n", "there is no column 'w'"),
                second("n\n3\n", "there is no column 'v'"),
                second("n,V\n3,7\n", "there is no column 'V'"),
                second("v,n\n7,3\n", {**n, "v": [5, 6, 7]}),
            ],
        ),
        Case(
            "a_file_is_added_to_a_contract",
            [
                kept,
                second("n,v,w\n3,7,8\n", {**n, "v": [5, 6, 7]}, contract=promised),
                second("n\n3\n", "there is no column 'v'", contract=promised),
                second("v,n\n7,3\n", {**n, "v": [5, 6, 7]}, contract=promised),
                second("v,n,t\n7,3,2024-01-01\n", {"n": [1, 2, 3]}, contract=promised[:1]),
                kept,
            ],
        ),
    ]


CASES: list[Case] = [
    *_shaped("in_a_file", contract=False),
    *_shaped("in_a_contract", contract=True),
    *_shaped("in_partitions", contract=True, sites=SITES),
    *_derived_shapes("in_a_table"),
    *_derived_shapes("in_partitions", SITES),
    *_added_files(),
    _every_type("numbers_and_text_to_each_other_in_a_file", contract=False, kinds=3),
    _every_type("every_type_to_every_other_in_a_file", contract=False),
    _every_type("every_type_to_every_other_in_a_contract", contract=True),
    _every_type("every_type_to_every_other_in_partitions", contract=True, sites=SITES),
    _every_derived_type("every_derived_type_to_every_other"),
    _every_derived_type("every_derived_type_to_every_other_in_partitions", SITES),
]
