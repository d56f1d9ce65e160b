"""Parse one YAML file as plain data that knows the lines of its keys and values.

Unquoted values follow YAML 1.2: `on`, `yes` and dates are text, `1e-3` is a number. What may be
declared belongs in `spec`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from errno import EINVAL
from pathlib import Path
from typing import Any

import yaml

At = tuple[str | int, ...]
"""A place in the document: keys and positions from the top."""

MAX_BYTES = 1_000_000

MAX_DEPTH = 50

MAX_VALUES = 500_000
"""More than a document of `MAX_BYTES` has, unless aliases repeat them: a few lines of aliases of
aliases stand for billions."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INT = re.compile(r"[-+]?[0-9]+\Z")

_BASED = re.compile(r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")

_MOST_DIGITS = 3500
"""Python converts no number of more than 4300 digits to text or back, and 3570 hexadecimal ones are
as many. No declared number is that long."""

_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")

_NAMED: Mapping[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}


class NotYaml(Exception):  # noqa: N818 - the name says what is wrong
    """The text is not one YAML document of plain data; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        self.line, self.message = max(line, 1), message
        super().__init__(message)


@dataclass
class Document:
    """Plain data, and the line of the key and of the value of everything in it."""

    data: Any = None
    keys: dict[At, int] = field(default_factory=dict)
    values: dict[At, int] = field(default_factory=dict)
    repeated: list[tuple[At, int, int]] = field(default_factory=list)
    """Keys that occur again: (place, first line, later line)."""
    empty: list[At] = field(default_factory=list)
    """Keys with nothing behind the colon."""
    elsewhere: dict[At, "Elsewhere"] = field(default_factory=dict)
    """Parts that come from another file, by the place that names the file."""

    def place(self, at: At, at_key: bool) -> "YamlLocation":
        """Return where a value, or its key, is written."""
        for root, other in self.elsewhere.items():
            if at[: len(root)] == root:
                return other.place(at[len(root) :], at_key)
        return YamlLocation(None, self.key_line(at) if at_key else self.value_line(at), at)

    def key_line(self, at: At) -> int:
        """Return the line of the key or list item, or of what encloses it."""
        while at and at not in self.keys:
            at = at[:-1]
        return self.keys.get(at, 1)

    def value_line(self, at: At) -> int:
        """Return the line where the value begins, or of what encloses it."""
        return self.values.get(at) or self.key_line(at)


@dataclass(frozen=True)
class YamlLocation:
    """A line and its place in the document; `file` is None for the document itself."""

    file: Path | None
    line: int
    at: At


@dataclass(frozen=True)
class Elsewhere:
    """Another file that provides a part of this document."""

    file: Path
    document: Document
    way: Callable[[At], At]
    """Maps a place in the part to the place in the file that it came from."""

    def place(self, at: At, at_key: bool) -> YamlLocation:
        """Return where a value of the part, or its key, is written."""
        inner = self.document.place(self.way(at), at_key)
        return YamlLocation(self.file, inner.line, inner.at)


def content_of(file: Path) -> bytes:
    """Return what is in a file that a declaration names; of one that is too large, its beginning.

    Raises:
        OSError: it cannot be read, or is not a file: a pipe or a device may never end.
    """
    if file.exists() and not file.is_file() and not file.is_dir():
        raise OSError(EINVAL, "not a file")
    with file.open("rb") as opened:
        return opened.read(MAX_BYTES + 1)


Wrong = tuple[YamlLocation, str]
"""A mistake: its location, and the message."""


def repeated_keys(file: Path | None, document: Document) -> list[Wrong]:
    """Return the keys of a file that repeat others; None as for `YamlLocation`."""
    return [
        (YamlLocation(file, again, at), f"key {at[-1]!r} repeats line {first}; keep one")
        for at, first, again in document.repeated
    ]


def empty_values(document: Document) -> list[Wrong]:
    """Return the keys with nothing behind the colon, which looks like the defaults of a section."""
    message = (
        "an empty value declares nothing; write one, such as {} for the defaults of a section, or "
        "remove the key"
    )
    return [(YamlLocation(None, document.key_line(at), at), message) for at in document.empty]


def parse(content: bytes) -> Document:
    """Parse one document.

    Raises:
        NotYaml: with the line, and the remedy if it is known.
    """
    text = _decoded(content)
    document = Document()
    try:
        events = iter(yaml.parse(text, Loader=_LOADER))
        _Builder(events, document).build()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise NotYaml(
            line, f"a character that YAML does not allow (#x{error.character:04x}); remove it"
        ) from error
    except yaml.MarkedYAMLError as error:
        raise _explained(error, text) from error
    return document


def _decoded(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise NotYaml(1, f"more than {MAX_BYTES} bytes; a declaration has a page or two")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise NotYaml(
            line, f"byte 0x{content[error.start]:02x} is not UTF-8; save it as UTF-8"
        ) from error


@dataclass(frozen=True)
class _Anchored:
    """A value that aliases repeat."""

    value: Any
    values: int
    """How many it has, itself counted."""
    depth: int
    """How many levels there are below it."""


class _Builder:
    """Builds data from parser events, not nodes: with limited depth, and lines in the same pass."""

    def __init__(self, events: Iterator[Any], document: Document) -> None:
        self.events, self.document = events, document
        self.anchors: dict[str, _Anchored] = {}
        self.values = 0
        self.depth = 0

    def build(self) -> None:
        documents = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise NotYaml(
                        _line(event), "a second document (`---`); a file declares one pipeline"
                    )
            elif isinstance(event, yaml.NodeEvent):
                self.document.data = self._value(event, ())

    def _value(self, event: Any, at: At) -> Any:
        self.document.values[at] = _line(event)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise NotYaml(
                    _line(event),
                    f"*{event.anchor} refers to no &{event.anchor} before it; define it first",
                )
            anchored = self.anchors[event.anchor]
            self._count(event, anchored.values, len(at) + anchored.depth)
            return anchored.value
        if event.tag and event.tag != "!":
            raise NotYaml(_line(event), f"tag {event.tag} is not supported; write plain YAML")
        values, depth, self.depth = self.values, self.depth, len(at)
        self._count(event, 1, len(at))
        if isinstance(event, yaml.ScalarEvent):
            value = scalar(event.value) if event.implicit[0] else event.value
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._list(at)
        else:
            value = self._mapping(at)
        if event.anchor:
            self.anchors[event.anchor] = _Anchored(
                value, self.values - values, self.depth - len(at)
            )
        self.depth = max(self.depth, depth)
        return value

    def _count(self, event: Any, values: int, depth: int) -> None:
        """Count what a value has, which an alias repeats."""
        self.values, self.depth = self.values + values, max(self.depth, depth)
        if self.depth > MAX_DEPTH:
            raise NotYaml(_line(event), f"nested more than {MAX_DEPTH} levels deep")
        if self.values > MAX_VALUES:
            raise NotYaml(
                _line(event), f"aliases stand for more than {MAX_VALUES} values; repeat fewer"
            )

    def _list(self, at: At) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            here = (*at, len(items))
            self.document.keys[here] = _line(event)
            items.append(self._value(event, here))
        return items

    def _mapping(self, at: At) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            line = _line(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise NotYaml(line, "a key must be plain text; put a value with braces in quotes")
            if event.implicit[0] and event.value[:1].isspace():
                raise NotYaml(line, "a no-break space or the like; indent with spaces")
            if event.implicit[0] and event.value == "<<":
                raise NotYaml(line, "a merge key (<<), which YAML 1.2 lacks; write its keys out")
            here = (*at, event.value)
            value_event = next(self.events)
            if event.value in entries:
                self.document.repeated.append((here, self.document.keys[here], line))
            self.document.keys[here] = line
            entries[event.value] = self._value(value_event, here)
            if entries[event.value] is None:
                # The parser puts an empty value where the next token is.
                self.document.values[here] = line
                if isinstance(value_event, yaml.ScalarEvent) and not value_event.value:
                    self.document.empty.append(here)
        return entries


def scalar(text: str) -> Any:
    """Return the value of an unquoted scalar by the core schema of YAML 1.2."""
    if text in _NAMED:
        return _NAMED[text]
    if _INT.match(text):
        return int(text) if len(text) < _MOST_DIGITS else text
    if _BASED.match(text):
        return int(text, 0) if len(text) < _MOST_DIGITS else text
    return float(text) if _FLOAT.match(text) else text


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _explained(error: yaml.MarkedYAMLError, text: str) -> NotYaml:
    problem, start = error.problem or "", error.context_mark
    mark = start if start and "end of stream" in problem else error.problem_mark or start
    lines = text.split("\n")
    line = min(mark.line, len(lines) - 1) if mark else 0
    column = mark.column if mark else 0
    if problem in _MISPLACED and not lines[line][:column].strip():
        return NotYaml(line + 1, _misplaced(_MISPLACED[problem], column, start))
    message = _remedy(problem, lines[line], column)
    if start and start.line != line:
        message += f" ({error.context}, line {start.line + 1})"
    return NotYaml(line + 1, message)


_MISPLACED = {
    "did not find expected key": "an item (-) among the keys",
    "did not find expected '-' indicator": "a key among the items (-)",
    "did not find expected <document start>": "",
}
"""What the parser says of a wrong indentation, and what a line is that is indented as its block."""


def _misplaced(what: str, column: int, block: Any) -> str:
    beside = f"the block of line {block.line + 1}" if block else ""
    if block and block.column == column:
        return f"{what} of {beside}; correct the indentation here or above"
    other = f", and {beside} by {block.column}" if block else ""
    alike = "lines that belong together are indented alike"
    return f"is indented by {column}{other}; {alike}: correct this one or those above"


def _remedy(problem: str, line: str, column: int) -> str:
    at = line[column : column + 1]
    if "\t" in line[: len(line) - len(line.lstrip())] or at == "\t":
        return "a tab; indent with spaces"
    if "alphabetic or numeric" in problem:
        return "an unquoted * or & has a special meaning in YAML; put the value in quotes"
    if "cannot start any token" in problem and at:
        return f"a value cannot begin with {at}; put it in quotes"
    if "mapping values are not allowed" in problem:
        return 'a colon is not allowed here; put text with `: ` in "…", or correct the indentation'
    return f"not YAML: {problem}"
