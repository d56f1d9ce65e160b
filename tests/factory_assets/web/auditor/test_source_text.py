"""Lines of text files by their numbers: any encoding, line end and length."""

from __future__ import annotations

from pathlib import Path

import pytest

from factory_assets.web.auditor import source_text

LINES = [f"line {n}, ä" for n in range(1, 2_001)]


def text_lines(path: Path, first: int, last: int, encoding: str) -> list[str]:
    with path.open("rb") as file:
        return source_text.text_lines(file, first, last, encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("first", [1, 2, 990, 1_990])
def test_lines_are_those_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, end: str, first: int
) -> None:
    monkeypatch.setattr(source_text, "_BLOCK", 100)
    file = tmp_path / "a.txt"
    file.write_bytes(end.join(LINES).encode(encoding))
    assert text_lines(file, first, first + 20, encoding) == LINES[first - 1 : first + 20]
    assert text_lines(file, 2_001, 2_020, encoding) == []


def test_old_line_ends_and_a_last_line_end(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes("\r".join([*LINES, ""]).encode())
    assert text_lines(file, 1_999, 2_010, "utf-8") == LINES[1_998:]


def test_long_lines_and_wrong_bytes_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"\xff\n" + b"x" * 3_000_000 + b"\nlast\n")
    [wrong, long, *rest] = text_lines(file, 1, 3, "utf-8")
    assert wrong == "\N{REPLACEMENT CHARACTER}"
    assert len(long) == 1_001
    assert rest == []
    assert text_lines(file, 3, 3, "utf-8") == ["last"]
