"""Ctrl-C ends the `factory` command without a traceback while it is still being imported, and later
also where Python drops it."""

import signal
import subprocess
import sys

_INTERRUPTED = """
import importlib.abc, os, signal, sys

class Interrupting(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "factory_assets.cli.group":
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
signal.signal(signal.SIGINT, getattr(signal, sys.argv.pop(1)))
from factory_assets.cli.__main__ import main
main()
"""


def _interrupted(handler: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", _INTERRUPTED, handler, "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_ends_by_the_signal_and_says_nothing() -> None:
    ended = _interrupted("default_int_handler")
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


def test_what_ignores_it_goes_on() -> None:
    ended = _interrupted("SIG_IGN")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("Usage: factory")


_DROPPED = """
import importlib.abc, os, signal, sys, time, weakref

class Thing:
    pass

class Dropping(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "factory_assets.cli.schema":
            thing = Thing()
            told = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGINT))
            del thing
            time.sleep(60)

sys.meta_path.insert(0, Dropping())
signal.signal(signal.SIGINT, signal.default_int_handler)
from factory_assets.cli.__main__ import main
main()
"""


def test_where_python_drops_it_it_comes_again() -> None:
    command = [sys.executable, "-c", _DROPPED, "schema"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr.startswith("interrupted; ")
    assert len(ended.stderr.splitlines()) == 1
