"""Prepare the bytes of a text file for the engine.

Encodings that it does not know are converted to UTF-8, NUL bytes are refused, and skipped lines are
blanked if they would confuse its reader. Line breaks inside quotes are found.
"""

import re
import shutil
from codecs import BOM_UTF8, getincrementaldecoder
from dataclasses import replace
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path

from factory_resources.errors import EncodingError, SourceError
from factory_resources.home.home import storage_errors
from factory_resources.sources.files.delimited_text import TextRules, decoder
from factory_resources.sources.files.discovery import unreadable
from factory_resources.sources.files.text_errors import LONGEST, not_text

_CHUNK = 1 << 20

_NO_QUOTES = bytes({*range(256)} - {*b'"\r\n'})
"""All bytes but those that say where a quoted value of several lines is."""

_LINE_END = re.compile(b"\r\n|\r|\n")

_QUOTE_OR_END = re.compile(b'"|\r\n|\r|\n')


def plain_text(
    path: Path, name: str, rules: TextRules, scratch: Path, *, latin: bool = True
) -> tuple[Path, TextRules]:
    """Return the file, or a UTF-8 copy if it is UTF-16, which the engine reads only in part, or
    Windows-1252, which it does not read.

    Args:
        latin: whether the reader of its format knows Latin-1.

    Raises:
        SourceError: the file does not have the declared encoding, or contains NUL bytes.
    """
    if rules.encoding != "utf-8" and _is_utf8(path, rules.encoding):
        raise EncodingError(
            f"is UTF-8 text, not {rules.encoding}",
            where=name,
            remedy=f"set source.encoding to utf-8, or write the file in {rules.encoding}",
        )
    if rules.encoding in ("utf-16", "windows-1252") or (rules.encoding == "latin-1" and not latin):
        path = _transcoded(path, name, rules.encoding, scratch)
        rules = replace(rules, encoding="utf-8")
    _require_no_nul(path, name)
    path = _without_preamble(path, rules.skip, scratch) if rules.skip else _unmarked(path, scratch)
    return (_without_end(path, rules, scratch) if rules.until else path), rules


def _without_preamble(path: Path, skip: int, scratch: Path) -> Path:
    """Return the file, or a copy with blank lines in place of those that are skipped.

    The engine does not skip a line whose quote is not closed, and expects one kind of line end. A
    copy keeps the numbers of the lines.
    """
    with path.open("rb") as file:
        beginning = file.read(LONGEST)
        ends = [*_LINE_END.finditer(beginning)][: skip + 1]
        if len(ends) <= skip:
            return path
        start = ends[skip - 1].end()
        end = (_end_of_record(beginning, start) or ends[skip])[0]
        file.seek(0)
        preamble = file.read(start)
        if b'"' not in preamble and all(one[0] == end for one in ends[:skip]):
            return path
        target = scratch / "rows"
        with storage_errors(target), target.open("wb") as rows:
            rows.write(end * skip)
            shutil.copyfileobj(file, rows, _CHUNK)
    return target


def _unmarked(path: Path, scratch: Path) -> Path:
    """Return the file, or a copy without its byte order mark if its first record has several lines.

    Behind a mark, the engine takes the first of them for the whole record.
    """
    with path.open("rb") as file:
        mark = file.read(len(BOM_UTF8))
        beginning = file.read(LONGEST) if mark == BOM_UTF8 else b""
        line, record = _LINE_END.search(beginning), _end_of_record(beginning, 0)
        if line is None or (record and record.start() == line.start()):
            return path
        file.seek(len(mark))
        target = scratch / "unmarked"
        with storage_errors(target), target.open("wb") as rows:
            shutil.copyfileobj(file, rows, _CHUNK)
    return target


def _end_of_record(content: bytes, start: int) -> re.Match[bytes] | None:
    """Return the first line end that is not inside quotes, as that of a name of two lines is."""
    is_quoted = False
    for one in _QUOTE_OR_END.finditer(content, start):
        if one[0] == b'"':
            is_quoted = not is_quoted
        elif not is_quoted:
            return one
    return None


def _without_end(path: Path, rules: TextRules, scratch: Path) -> Path:
    """Return the file, or a copy that ends before the first line that begins as declared.

    Skipped lines may begin like that.
    """
    # Characters that the encoding does not have cannot occur in the file.
    beginning = rules.until.encode(rules.encoding, "backslashreplace")
    ending_line = re.compile(b"[\r\n]" + re.escape(beginning))
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        skipped = [0, *(one.start() for one in islice(_LINE_END.finditer(content), rules.skip))]
        end = ending_line.search(content, skipped[-1])
        if end is None:
            return path
        target = scratch / "beginning"
        with storage_errors(target), target.open("wb") as rows:
            for place in range(0, end.start() + 1, _CHUNK):
                rows.write(content[place : min(place + _CHUNK, end.start() + 1)])
    return target


def _is_utf8(path: Path, declared: str) -> bool:
    """Whether it is UTF-8 that would be other text as declared.

    Windows-1252 and Latin-1 have a letter for nearly any byte, but hardly a text in them looks like
    UTF-8. A text in UTF-16 has NUL bytes, at least in its line ends.
    """
    codec, is_other = getincrementaldecoder("utf-8")(), False
    with path.open("rb") as file:
        try:
            while chunk := file.read(_CHUNK):
                codec.decode(chunk)
                if b"\0" in chunk:
                    return False
                is_other = is_other or declared == "utf-16" or not chunk.isascii()
            codec.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return is_other


def _transcoded(path: Path, name: str, encoding: str, scratch: Path) -> Path:
    target = scratch / "text"
    with storage_errors(target), path.open("rb") as source, target.open("wb") as file:
        chunk = source.read(_CHUNK)
        codec = decoder(encoding, chunk)
        try:
            while chunk:
                file.write(codec.decode(chunk).encode())
                chunk = source.read(_CHUNK)
            codec.decode(b"", final=True)
        except UnicodeError as error:
            raise not_text(name, encoding) from error
    return target


def _require_no_nul(path: Path, name: str) -> None:
    # A power cut can leave them in a file, and undeclared UTF-16 of ASCII text is half NUL bytes.
    buffer = bytearray(_CHUNK)
    try:
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                if buffer.find(0, 0, count) >= 0:
                    raise SourceError(
                        "holds NUL bytes, which text cannot contain",
                        where=name,
                        remedy="check the file; if it is UTF-16, set source.encoding to utf-16",
                    )
    except OSError as error:
        raise unreadable(name, error) from error


def has_multiline_values(path: Path, delimiter: str) -> bool:
    """Whether a quoted value has several lines, and each quoted value certainly ends.

    With a single thread, the engine drops a value that does not end without a word.
    """
    return _has_odd_line(path) and _is_closed(path, delimiter.encode())


def _has_odd_line(path: Path) -> bool:
    """Whether a line has a quote without a partner."""
    # Without numpy, which the front door, where such a file is shown, does not have.
    single = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if not single and b'"' not in chunk:
                continue
            unpaired = (single + chunk.translate(None, _NO_QUOTES)).replace(b'""', b"")
            place = unpaired.find(b'"')
            if 0 <= place < len(unpaired) - 1:
                return True
            single = unpaired[-1:] if place >= 0 else b""
    return False


def _is_closed(path: Path, delimiter: bytes) -> bool:
    # A quote after a blank may begin a value or not: then nothing is certain.
    begins = rb"(?:(?<=" + re.escape(delimiter) + rb")|(?<=[\r\n])|\A)"
    value = begins + rb'"[^"]*+(?:""[^"]*+)*+"'
    stray = rb"(?!" + begins + rb')(?<![ \t])"'
    values = re.compile(rb'[^"]*+(?:(?:' + value + rb"|" + stray + rb')[^"]*+)*+')
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        return values.fullmatch(content) is not None
