"""A text is validated in the pass that reads it, with the result of one that was stored first."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_assets.data.blocks import StagedBlock
from factory_assets.data.contract.validation import ContractValidation
from factory_assets.data.sources.base import SourceContext, SourceHandle
from factory_assets.data.sources.files import discover_files
from factory_assets.data.validated_blocks import validate_sources
from factory_assets.spec import FileSource, Ingest
from factory_resources.errors import SourceError
from factory_resources.home.home import Home
from factory_resources.sql.shared_engines import SharedEngines
from tests.random_examples import examples

CONTRACT = [
    {"name": "number", "type": "int64", "range": [0, 1000]},
    {"name": "taken", "type": "timestamp"},
    {"name": "word", "type": "string", "nullable": False},
]


def _ingest(**source: Any) -> Ingest:
    declared = {"source": {"files": "data.csv", **source}, "contract": CONTRACT}
    return Ingest.model_validate(declared)


def _handles(ingest: Ingest, folder: Path) -> Sequence[SourceHandle]:
    source = ingest.every_source[0]
    assert isinstance(source, FileSource)
    context = SourceContext(folder, Home(folder / "home"), folder / "scratch")
    return list(discover_files(source, context))


def _validated(folder: Path, text: str, *, once: bool, **source: Any) -> StagedBlock:
    (folder / "data.csv").write_text(text)
    ingest = _ingest(**source)
    [handle] = _handles(ingest, folder)
    chosen = handle if once else _without_options(handle)
    scratch = folder / ("once" if once else "stored")
    scratch.mkdir()
    return validate_sources(
        ingest, [chosen], key="block", table="t/ingest", scratch=scratch, engines=SharedEngines()
    )


def _without_options(handle: SourceHandle) -> SourceHandle:
    """Read a text into a file of its own, and in an engine of its own."""
    return replace(handle, read=lambda own, **_: handle.read(own))


def _content(block: StagedBlock) -> Any:
    tables = [pq.read_table(t.path).to_pylist() if t else None for t in (block.good, block.broken)]
    counts = (block.rows_in, block.quarantined, block.offsets, block.example, block.ignored)
    return *tables, *counts, [(source.rows, source.sha256) for source in block.sources]


CELLS = st.tuples(
    st.sampled_from(["1", " 7", "1001", "x", "", "12.0", '"3"']),
    st.sampled_from(["2024-01-01 10:00:00", "2024-01-01T10:00:00+02:00", "", "soon", "2024-01-01"]),
    st.sampled_from(["a", "", '"two\nlines"', '"a ""quote"""', " padded "]),
)


@settings(max_examples=examples(50))
@given(rows=st.lists(CELLS, min_size=1, max_size=12), skip=st.integers(0, 2))
def test_one_pass_gives_what_two_give(
    rows: list[tuple[str, str, str]], skip: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("text")
    lines = ["a note"] * skip + ["number,taken,word", *(",".join(row) for row in rows)]
    text = "\n".join(lines) + "\n"
    blocks = [_validated(folder, text, once=once, skip=skip) for once in (True, False)]
    first, second = map(_content, blocks)
    # Counting after one pass covers the valid rows, and all rows once there is an offset.
    if not any(with_offset for with_offset, _ in blocks[1].offsets.values()):
        assert all(
            a[0] == 0 and a[1] <= b[1]
            for a, b in zip(blocks[0].offsets.values(), blocks[1].offsets.values(), strict=True)
        )
        first, second = first[:4] + first[5:], second[:4] + second[5:]
    assert first == second


def test_rows_are_numbered_in_the_order_of_the_file(tmp_path: Path) -> None:
    """The engine reads a text of this size in several buffers at once."""
    rows, filler = 150_000, "x" * 500
    text = "number,taken,word\n" + "".join(f"{i % 2000},,{i}{filler}\n" for i in range(rows))
    block = _validated(tmp_path, text, once=True)
    assert block.rows_in == rows
    assert block.broken is not None
    numbers = []
    for table in (block.good, block.broken):
        stored = pq.read_table(table.path, columns=["word", "_row"])
        words = [int(word.rstrip("x")) for word in stored["word"].to_pylist()]
        assert stored["_row"].to_pylist() == [word + 1 for word in words]
        assert words == sorted(words)
        numbers += words
    assert sorted(numbers) == [*range(rows)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('1,,"never closed\n', "quoted value that never ends"),
        ("1,,a\n2,,b,c\n", "line 3|columns"),
    ],
)
def test_a_broken_text_is_an_error_of_the_source(tmp_path: Path, rows: str, message: str) -> None:
    errors = []
    for once in (True, False):
        folder = tmp_path / str(once)
        folder.mkdir()
        with pytest.raises(SourceError, match=message) as caught:
            _validated(folder, "number,taken,word\n" + rows, once=once)
        errors.append(str(caught.value))
    assert errors[0] == errors[1]


def test_a_text_that_is_replaced_between_two_readings_is_an_error_of_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    separate = ContractValidation.separate_broken

    def after_replacement(self: ContractValidation, *arguments: Any) -> None:
        (tmp_path / "other.csv").write_text("number,taken,word\n5,,a\n")
        (tmp_path / "other.csv").replace(tmp_path / "data.csv")
        separate(self, *arguments)

    monkeypatch.setattr(ContractValidation, "separate_broken", after_replacement)
    with pytest.raises(SourceError, match="changed while it was read; run again"):
        _validated(tmp_path, "number,taken,word\n1,,a\nx,,b\n", once=True)


def test_many_small_files_are_read_in_one_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine takes ten times as long to start as to read a small file."""
    rows = [f"{number},2024-01-01 10:00:00,a" for number in range(20)]
    for number, row in enumerate(rows):
        (tmp_path / f"{number:02d}.csv").write_text(f"number,taken,word\n{row}\n")
    ingest = _ingest(files="*.csv")
    handles = _handles(ingest, tmp_path)
    started, connect = list[int](), duckdb.connect

    def counted(*arguments: Any, **config: Any) -> duckdb.DuckDBPyConnection:
        started[-1] += 1
        return connect(*arguments, **config)

    monkeypatch.setattr(duckdb, "connect", counted)
    found = []
    for name in ("shared", "apart"):
        started.append(0)
        (scratch := tmp_path / name).mkdir()
        chosen = handles if name == "shared" else [*map(_without_options, handles)]
        block = validate_sources(
            ingest, chosen, key="block", table="t/ingest", scratch=scratch, engines=SharedEngines()
        )
        found.append(_content(block))
    assert found[0] == found[1]
    assert [row["number"] for row in found[0][0]] == list(range(20))
    # One reads the files, one validates the rows.
    assert started == [2, len(rows) + 1]
