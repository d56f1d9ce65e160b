"""Packed sources are shown at the line, without Arrow in the process, up to a limit."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from rich.console import Console

from factory_assets.cli.run import run
from factory_assets.cli.shared import RunSelection
from factory_assets.web.auditor import packed_sources
from factory_assets.web.auditor.packed_sources import plain_stream
from factory_resources.errors import SourceError
from factory_resources.sources.files.discovery import sha256_of
from tests.factory_assets.web.auditor.conftest import Audited, Browse
from tests.factory_assets.web.pages.markup import text_of
from tests.pipelines import declare

pytestmark = pytest.mark.slow

CONTENT = "size,name\n" + "".join(f"{n},secret-{n}\n" for n in range(1, 3001))


def _pack(path: Path, content: bytes) -> Path:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content))
    else:
        with pyarrow.output_stream(str(path), compression="zstd") as file:
            file.write(content)
    return path


def _ingest(changed: Audited, name: str, file: str, sensitive: str | None) -> str:
    folder = changed.factory.defs / name
    folder.mkdir()
    path = _pack(folder / file, CONTENT.encode())
    contract = [
        {"name": "size", "type": "int64"},
        {"name": "name", "type": "string", **({"sensitive": sensitive} if sensitive else {})},
    ]
    ingest = {"source": {"files": file}, "contract": contract}
    declare(folder, {"purpose": "Read packed rows", "ingest": ingest})
    run(RunSelection([name]), Console(file=io.StringIO()))
    return sha256_of(path, file)


def test_a_packed_source_is_shown_at_the_line(changed: Audited, browse: Browse) -> None:
    digests = {end: _ingest(changed, end, f"data.csv.{end}", None) for end in ("gz", "zst")}
    client = browse(changed.home, "auditor")
    for digest in digests.values():
        text = text_of(client.get(f"/audit/files/{digest}?line=2001").text)
        assert "2001 2000,secret-2000" in text
        assert "secret-1980" in text
        assert "secret-1979" not in text


def test_sensitive_columns_of_a_packed_source_are_hidden(changed: Audited, browse: Browse) -> None:
    for end in ("gz", "zst"):
        digest = _ingest(changed, end, f"data.csv.{end}", "personal")
        page = browse(changed.home, "auditor").get(f"/audit/files/{digest}?line=2001")
        assert "secret-" not in page.text
        assert "2000 2000 hidden" in text_of(page.text)


def test_text_that_parquet_has_as_bytes_is_shown_as_text(changed: Audited, browse: Browse) -> None:
    folder = changed.factory.defs / "places"
    folder.mkdir()
    file = folder / "data.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"place": ["Köln".encode(), b"Bonn"]}), file)
    declare(folder, {"purpose": "Read places", "ingest": {"source": {"files": file.name}}})
    run(RunSelection(["places"]), Console(file=io.StringIO()))
    page = browse(changed.home, "auditor").get(f"/audit/files/{sha256_of(file, '')}?row=1")
    assert "place 1 Köln 2 Bonn" in text_of(page.text)


_WITHOUT_ARROW = """\
import sys
from pathlib import Path
from factory_assets.web.door.refused_imports import WITHOUT, refuse_imports
refuse_imports()
from factory_assets.web.auditor.packed_sources import plain_stream
from factory_assets.web.auditor.source_text import text_lines
for name in sys.argv[1:]:
    with plain_stream(Path(name), name, name.rpartition(".")[2]) as file:
        print(*text_lines(file, 2001, 2001, "utf-8"))
assert not WITHOUT & sys.modules.keys()
"""


def test_the_process_of_the_pages_needs_no_arrow(tmp_path: Path) -> None:
    files = [str(_pack(tmp_path / f"a.{end}", CONTENT.encode())) for end in ("gz", "zst")]
    command = [sys.executable, "-c", _WITHOUT_ARROW, *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["2000,secret-2000"] * 2


@pytest.mark.parametrize("end", ["gz", "zst"])
def test_what_is_too_long_or_damaged_is_said(
    tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = _pack(tmp_path / f"bomb.{end}", bytes(30_000_000))
    monkeypatch.setattr(packed_sources, "_MOST", 20_000_000)
    with plain_stream(bomb, "bomb", end) as file:
        assert file.read(10_000_000) == bytes(10_000_000)
        with pytest.raises(SourceError, match="too long to be unpacked for a page"):
            file.read(20_000_000)
    monkeypatch.setattr(packed_sources, "_SECONDS", 0.0)
    with (
        plain_stream(bomb, "bomb", end) as file,
        pytest.raises(SourceError, match="too long to be unpacked for a page"),
    ):
        file.read(1)
    monkeypatch.undo()
    damaged = tmp_path / f"damaged.{end}"
    damaged.write_bytes(_pack(tmp_path / f"a.{end}", os.urandom(100_000)).read_bytes()[:50_000])
    with (
        plain_stream(damaged, "damaged", end) as file,
        pytest.raises(SourceError, match="damaged: is damaged or cut short"),
    ):
        file.read()


def test_nobody_unpacks_on_after_the_line_was_found(tmp_path: Path) -> None:
    large = _pack(tmp_path / "large.zst", b"a line\n" * 20_000_000)
    before = time.perf_counter()
    with plain_stream(large, "large", "zst") as file:
        assert file.readline() == b"a line\n"
        packed = file.raw._packed  # type: ignore[attr-defined]
    assert packed._process.returncode is not None
    assert time.perf_counter() - before < 10
