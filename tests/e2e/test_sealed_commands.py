"""Commands that are no runs call a user's code inside a boundary, too.

A module that a declaration names calls a server on loopback when it is imported. As a control, each
command is repeated without a boundary: then the server is called.
"""

import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pytest

from factory_resources.boundary.inside import LEVEL_VARIABLE
from tests.factory_resources.boundary.machine import needs_namespaces
from tests.pipelines import APPLES, declare, write_apples
from tests.user_factory import UserFactory, user_factory

pytestmark = [pytest.mark.slow, needs_namespaces]

_MODULE = """
import socket
try:
    socket.create_connection(("127.0.0.1", {port}), timeout=5).close()
except OSError:
    pass
import pyarrow as pa
from sklearn.linear_model import LogisticRegression

class Line(LogisticRegression):
    pass

def prices():
    return pa.table({{"colour": ["red", "green"], "price": [1.0, 2.0]}})

def outcomes():
    return pa.table({{"id": pa.array([], pa.string()), "outcome": pa.array([], pa.string())}})
"""
_DECLARED: dict[str, Any] = {
    **APPLES,
    "ingest": {
        "source": {"files": "data.csv"},
        "joins": {"prices": {"source": {"python": "mine:prices"}, "on": "colour"}},
        "contract": [*APPLES["ingest"]["contract"], {"name": "price", "type": "float64"}],
    },
    "train": {"target": "label", "model": {"python": "mine:Line"}},
    "evaluate": {"importances": 0, "bootstrap": 0},
    "watch": {"outcomes": {"source": {"python": "mine:outcomes"}}},
}
_INFLUENCE = {"influence": {"subsets": 8, "rows": 5, "at_least": 0.0}}


class Visited(NamedTuple):
    """A factory whose module calls a server, and how often the server was called."""

    place: UserFactory
    calls: list[str]

    def ask(self, *arguments: str, sealed: bool = True) -> tuple[str, int]:
        """Call `factory` as the ordinary user; return its output, and how often it called."""
        self.calls.clear()
        control = {} if sealed else {LEVEL_VARIABLE: "none"}
        done = self.place.ask(*arguments, **control)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout, len(self.calls)

    def require_sealed(self, *arguments: str) -> str:
        """Require that a command calls nobody inside, and somebody without a boundary."""
        output, calls = self.ask(*arguments)
        assert calls == 0, output
        without, calls = self.ask(*arguments, sealed=False)
        assert calls > 0, without
        return output


def _listen(door: socket.socket, calls: list[str]) -> None:
    while True:
        try:
            one, (address, _) = door.accept()
        except OSError:
            return
        calls.append(address)
        one.close()


@pytest.fixture(scope="module")
def visited() -> Iterator[Visited]:
    """A factory in which nothing has run yet."""
    calls: list[str] = []
    with user_factory() as place, socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=_listen, args=(door, calls), daemon=True).start()
        folder = place.path / "defs" / "apples"
        write_apples(folder)
        (folder / "mine.py").write_text(_MODULE.format(port=door.getsockname()[1]))
        declare(folder, {**_DECLARED, "evaluate": {**_DECLARED["evaluate"], **_INFLUENCE}})
        yield Visited(place, calls)
        door.shutdown(socket.SHUT_RDWR)


@pytest.mark.long
def test_check_imports_modules_inside(visited: Visited) -> None:
    assert visited.require_sealed("check", "apples") == "1 pipeline, no problems\n"
    assert not visited.place.home.path.exists(), "looking made a home"


def test_explain_calls_functions_inside_and_makes_no_home(visited: Visited) -> None:
    output = visited.require_sealed("run", "--explain", "apples")
    assert "apples · ingest    compute: never computed" in output
    assert not visited.place.home.path.exists(), "looking made a home"


def test_a_mistake_is_told_from_inside_with_its_line(visited: Visited) -> None:
    module = visited.place.path / "defs" / "apples" / "mine.py"
    before = module.read_text()
    module.write_text(before.replace("class Line", "print('printed')\nclass Curve"))
    try:
        checked = visited.place.ask("check", "apples")
    finally:
        module.write_text(before)
    [line] = [line for line in checked.stderr.splitlines() if "defs.yaml:" in line]
    assert "has no 'Line'" in line


@pytest.fixture(scope="module")
def trained(visited: Visited) -> tuple[Visited, str]:
    """The factory with a champion that has answered, and the id of an answer."""
    _, calls = visited.ask("run", "apples")
    assert calls == 0
    rows = visited.place.path / "defs" / "apples" / "data.csv"
    predicted = visited.require_sealed("predict", "apples", str(rows))
    return visited, predicted.splitlines()[1].rpartition(",")[2].strip('"')


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("influence", "apples@1", "--suspicious"), "training rows"),
        (("monitor", "apples"), "apples@1  look"),
        (("trace", "ID", "--influence", "--no-verify"), "training rows"),
    ],
    ids=lambda one: one[0] if isinstance(one, tuple) else "",
)
def test_what_looks_back_calls_code_inside(
    trained: tuple[Visited, str], arguments: Sequence[str], said: str
) -> None:
    visited, answer = trained
    assert said in visited.require_sealed(*(answer if one == "ID" else one for one in arguments))
