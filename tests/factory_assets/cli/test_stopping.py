"""A `factory up` is stopped by another process as by Ctrl-C, and no other process is."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from factory_assets.cli import stopping
from factory_assets.cli.running import up_process
from factory_assets.cli.stopping import await_idle, taken_over
from factory_assets.cli.up import serving_lock
from factory_resources.errors import FactoryError, StorageError
from factory_resources.home.home import PROJECT, Home
from factory_resources.home.processes import process_identity

_UP = ["up", "--name", "a b"]

_HOLD = """
import json, signal, sys, time
from contextlib import nullcontext
from pathlib import Path
from factory_assets.cli.running import recorded_process
from factory_assets.cli.up import serving_lock
from factory_resources.home.home import Home

home, arguments, ends = Home(Path(sys.argv[1])), json.loads(sys.argv[2]), sys.argv[3] == "ends"
signal.signal(signal.SIGINT, signal.default_int_handler if ends else signal.SIG_IGN)
with serving_lock(home), recorded_process(home, arguments) if arguments else nullcontext():
    print("holds", flush=True)
    time.sleep(600)
"""

Holding = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def holding(home: Home) -> Iterator[Holding]:
    """Start a process that holds the lock of `factory up`, recorded with its arguments if any."""
    home.require_writable()
    with ExitStack() as started:

        @contextmanager
        def ended(process: "subprocess.Popen[str]") -> Iterator[None]:
            with process:
                yield
                process.kill()

        def start(arguments: list[str], how: str = "ends") -> "subprocess.Popen[str]":
            command = [sys.executable, "-c", _HOLD, str(home.path), json.dumps(arguments), how]
            process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
            started.enter_context(ended(process))
            assert process.stdout is not None
            assert process.stdout.readline() == "holds\n"
            return process

        yield start


def _refused(home: Home, said: str) -> None:
    with pytest.raises(FactoryError, match=said) as refused, taken_over(home):
        pass
    assert "\n" not in str(refused.value)


def test_if_nothing_is_up_nothing_can_start_in_the_block(home: Home) -> None:
    home.require_writable()
    with taken_over(home) as stopped:
        assert stopped is None
        with pytest.raises(FactoryError, match="this factory is already running"):
            serving_lock(home)


def test_a_factory_that_is_up_ends_and_its_lock_is_passed_on(home: Home, holding: Holding) -> None:
    process = holding(_UP)
    with taken_over(home) as stopped:
        assert stopped is not None
        assert stopped.arguments == _UP
        process.wait(timeout=60)
        assert up_process(home) is None
        with pytest.raises(FactoryError, match="this factory is already running"):
            serving_lock(home)


def test_one_that_does_not_end_is_one_line(
    home: Home, holding: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "_STOPPED", 0.2)
    process = holding(_UP, "stays")
    _refused(home, "factory up was asked to stop, and has not ended after 0 seconds; end it where")
    assert process.poll() is None


def test_what_is_not_recorded_is_not_stopped(home: Home, holding: Holding) -> None:
    process = holding([])
    _refused(home, "in use by a process that this command cannot stop; wait until it has ended")
    assert process.poll() is None


@pytest.mark.parametrize("recorded", ["one that has ended", "its number alone", "another home's"])
def test_another_process_than_the_recorded_one_is_not_stopped(
    home: Home, holding: Holding, recorded: str
) -> None:
    process = holding([])
    folder, identity = str(home.path), process_identity(process.pid)
    match recorded:
        case "one that has ended":
            identity = f"{2**22} 1 {identity.split()[-1]}"
        case "its number alone":
            identity = f"{process.pid} 1 {identity.split()[-1]}"
        case _:
            folder += "-copied"
    recording = {"home": folder, "identity": identity, "arguments": _UP}
    (home.path / ".up.json").write_text(json.dumps(recording))
    _refused(home, "in use by a process that this command cannot stop; wait until it has ended")
    assert process.poll() is None


def test_what_ends_by_itself_is_waited_for_and_what_does_not_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[int] = []

    def require_idle() -> None:
        looks.append(1)
        if len(looks) < 3:
            raise StorageError("a run uses this home", remedy="wait until it has ended")

    await_idle(require_idle)
    assert len(looks) == 3
    looks.clear()
    monkeypatch.setattr(stopping, "_ENDED", 0)
    with pytest.raises(StorageError, match="a run uses this home"):
        await_idle(require_idle)
