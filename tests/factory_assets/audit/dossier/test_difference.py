"""What differs between two dossiers, of facts that are made here."""

from factory_assets.audit.dossier.cited import Citation, CitedDocument, fact_table
from factory_assets.audit.dossier.difference import dossier_difference
from factory_assets.audit.dossier.dossier import Dossier


def _dossier(*rows: int) -> Dossier:
    """Return a dossier about partitions, which are all read from a source of the same name."""
    record = CitedDocument(Citation("records/a.json", "0" * 64, 7, "1" * 64), {"rows": [*rows]})
    cells = (("a.csv", record.at("rows", number)) for number in range(len(rows)))
    tables = fact_table("sources", "sources", "Sources", ("source", "rows"), cells)
    return Dossier(
        pipeline="apples",
        version=1,
        made="",
        champion=True,
        stopped=False,
        size=8,
        checkpoint="",
        key="",
        tables=tuple(tables),
        tier="minimal",
        answers={},
        entries={},
    )


def test_each_of_several_rows_with_the_same_name_is_compared() -> None:
    changes = dossier_difference(_dossier(10, 20, 30), _dossier(11, 20, 30, 40))
    assert [(one.change, one.fact, one.before, one.now) for one in changes] == [
        ("changed", "Sources: a.csv, rows", "10", "11"),
        ("added", "Sources: a.csv (4), rows", "", "40"),
    ]
    assert dossier_difference(_dossier(10, 20), _dossier(10, 20)) == ()
