"""Looking at a file in the Open Data Contract Standard: places, mistakes, unchecked promises."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from factory_assets.spec.base import suggest

At = tuple[str | int, ...]

_KINDS: dict[Any, str] = {
    int: "a whole number",
    str: "text",
    bool: "true or false",
    list: "a list",
    dict: "a mapping",
}


@dataclass
class Reading:
    """What came of a file."""

    contract: dict[str, Any] = field(default_factory=dict)
    """As in a `defs.yaml`."""
    ways: dict[At, At] = field(default_factory=dict)
    """A place in `contract` to the place in the file that it came from."""
    wrong: list[tuple[At, str]] = field(default_factory=list)
    """Mistakes: place in the file, and what."""
    unchecked: list[tuple[At, str]] = field(default_factory=list)
    """What is promised and not checked: place in the file, and what."""

    def place(self, at: At) -> At:
        """The place in the file of a place in the contract, or of what encloses it."""
        for end in range(len(at), -1, -1):
            if at[:end] in self.ways:
                return (*self.ways[at[:end]], *at[end:])
        return ()


class Reader:
    """Looks at plain data, and tells what is not as it must be."""

    def __init__(self, reading: Reading) -> None:
        self.reading, self.contract = reading, reading.contract

    def is_mapping(self, at: At, value: Any, keys: Sequence[str]) -> bool:
        if not isinstance(value, dict):
            self.reading.wrong.append((at, "must be a mapping"))
            return False
        for key in value:
            if key not in keys:
                message = f"unknown key {key!r}; {suggest(str(key), keys)}"
                self.reading.wrong.append(((*at, key), message))
        return True

    def typed(self, at: At, data: dict[str, Any], key: str, kind: type) -> Any:
        """The value below a key where it is of the kind; else None, and told."""
        value = data.get(key)
        if value is None or isinstance(value, kind):
            return value
        self.reading.wrong.append(((*at, key), f"must be {_KINDS[kind]}"))
        return None

    def items(self, at: At, data: dict[str, Any], key: str) -> Iterator[tuple[At, Any]]:
        for i, item in enumerate(self.typed(at, data, key, list) or ()):
            yield (*at, key, i), item

    def unchecked(self, at: At, what: str) -> None:
        self.reading.unchecked.append((at, what))
