"""Parse plain data of a contract file: check shapes, and collect mistakes with their place.

What the keys mean belongs in `reader` and `rules`.
"""

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
    """The result of reading a contract file."""

    contract: dict[str, Any] = field(default_factory=dict)
    """The contract, with the keys of a `defs.yaml`."""
    ways: dict[At, At] = field(default_factory=dict)
    """Maps a place in `contract` to the place in the file that it was read from."""
    wrong: list[tuple[At, str]] = field(default_factory=list)
    """Mistakes: place in the file, and message."""
    unchecked: list[tuple[At, str]] = field(default_factory=list)
    """Promises that nothing checks: place in the file, and the promise in words."""

    def place(self, at: At) -> At:
        """Return the place in the file of a place in the contract, or of what encloses it."""
        for end in range(len(at), -1, -1):
            if at[:end] in self.ways:
                return (*self.ways[at[:end]], *at[end:])
        return ()


class Reader:
    """Checks plain data, and adds a mistake to the reading if a value has the wrong shape."""

    def __init__(self, reading: Reading) -> None:
        self.reading, self.contract = reading, reading.contract

    def is_mapping(self, at: At, value: Any, keys: Sequence[str]) -> bool:
        """Whether the value is a mapping; if not, or if a key is unknown, add mistakes."""
        if not isinstance(value, dict):
            self.reading.wrong.append((at, "must be a mapping"))
            return False
        for key in value:
            if key not in keys:
                message = f"unknown key {key!r}; {suggest(str(key), keys)}"
                self.reading.wrong.append(((*at, key), message))
        return True

    def typed(self, at: At, data: dict[str, Any], key: str, kind: type) -> Any:
        """Return the value of a key if it is of this type; otherwise None, and add a mistake."""
        value = data.get(key)
        if value is None or isinstance(value, kind):
            return value
        self.reading.wrong.append(((*at, key), f"must be {_KINDS[kind]}"))
        return None

    def items(self, at: At, data: dict[str, Any], key: str) -> Iterator[tuple[At, Any]]:
        """Yield the place and the value of each item in the list below a key."""
        for i, item in enumerate(self.typed(at, data, key, list) or ()):
            yield (*at, key, i), item

    def unchecked(self, at: At, what: str) -> None:
        """Add a promise that nothing checks."""
        self.reading.unchecked.append((at, what))
