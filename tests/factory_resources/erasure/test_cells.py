"""Values in cells of databases are counted, whatever type the cells have."""

from factory_resources.erasure.cells import CellSearch
from factory_resources.erasure.search_terms import search_terms


def test_numbers_are_found_in_cells_of_every_type() -> None:
    own = CellSearch(search_terms([420_042, 71.38091746]))
    rows = [
        (420_042, "id=420042", b"\0 420042 "),
        (420_042.0, "id=4200421", None),
        (71.38091746, None, memoryview(b"71.38091746")),
        (4_200_421, "71.38091746", b"4200421"),
    ]
    own.add(["t.number", "t.text", "t.blob"], rows)
    assert own.found == {
        ("t.number", "number"): 3,
        ("t.text", "number"): 2,
        ("t.blob", "number"): 2,
    }
