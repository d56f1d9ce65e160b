"""What an attempt is, and the list of all of them."""

from collections.abc import Callable
from typing import Literal, NamedTuple

Proof = Literal["seen", "returned"]
"""An attempt got out if the outside has seen its token, or if the attempt came to its end."""


class World(NamedTuple):
    """What an attempt knows of the outside."""

    token: str
    """What it tries to bring out: letters, digits and hyphens."""
    address: str
    """An IPv4 address somewhere outside; every port of `outside.PORTS` answers."""
    address_6: str
    folder: str
    """A folder of the user's, with `daemon.sock`, `fifo`, `secret` and a home."""
    abstract: str
    """The name of an abstract unix socket."""
    memory_key: int
    """The key of a System V shared memory segment."""
    shared: str
    """A file of shared memory."""
    pid: int
    """A process of the same user."""
    secret: str
    secret_at: int
    """Where the process has its secret in memory."""
    descriptors: dict[str, int]
    """What the attempt inherits: `tcp`, `unix`, `network` (a namespace)."""


class EscapeAttempt(NamedTuple):
    """A way to leave."""

    name: str
    what: str
    """What is tried, for people."""
    run: Callable[[World], object]
    """Raises if it is refused."""
    proof: Proof
    slow: bool


ATTEMPTS: dict[str, EscapeAttempt] = {}
"""All attempts by name; importing a module of attempts registers its own."""


def attempt(
    what: str, *, proof: Proof = "seen", slow: bool = False
) -> Callable[[Callable[[World], object]], Callable[[World], object]]:
    """Register a function as an attempt; its name is the function's."""

    def register(function: Callable[[World], object]) -> Callable[[World], object]:
        name = function.__name__.replace("_", "-")
        ATTEMPTS[name] = EscapeAttempt(name, what, function, proof, slow)
        return function

    return register


def require(condition: bool, why: str) -> None:
    """Give an attempt up.

    Raises:
        OSError: the condition does not hold.
    """
    if not condition:
        raise OSError(why)
