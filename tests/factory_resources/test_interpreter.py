"""Processes look for garbage rarely, and not at their end; what they wrote is written, and Ctrl-C
interrupts them wherever it comes."""

import subprocess
import sys
from pathlib import Path

import pytest

from factory_resources.interpreter import module_command

_SCRIPT = """
import atexit, gc, sys
from factory_resources.interpreter import collect_less

class Circle:
    def __init__(self):
        self.itself = self
    def __del__(self):
        print("circle", flush=True)

if sys.argv[1] == "less":
    collect_less()
    collect_less()
print(gc.get_threshold()[0])
atexit.register(print, "registered", flush=True)
circle = Circle()
text = open("text", "w")
text.write("left open")
data = open("data", "w+b")
data.write(b"left open")
closed = open("closed", "w")
closed.close()
"""


def test_no_module_of_the_present_folder_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('this is not the library')\n")
    subprocess.run(module_command("json.tool", "--help"), cwd=tmp_path, check=True)


@pytest.mark.parametrize(
    ("how", "printed"),
    [
        ("always", ["2000" if sys.version_info >= (3, 13) else "700", "registered", "circle"]),
        ("less", ["20000", "registered"]),
    ],
)
def test_a_process_ends_without_looking_and_what_it_left_open_is_written(
    how: str, printed: list[str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, how],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.split() == printed
    assert (tmp_path / "text").read_text() == (tmp_path / "data").read_text() == "left open"


_INTERRUPTED = """
import gc, os, signal, sys
from factory_resources.interpreter import collect_less

number = signal.Signals[sys.argv[1]]

def interrupted():
    os.kill(os.getpid(), number)
    return []

signal.signal(number, signal.default_int_handler)
gc.get_objects = interrupted
collect_less()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_ctrl_c_in_the_last_moment_shows_no_traceback(name: str) -> None:
    command = [sys.executable, "-c", _INTERRUPTED, name]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


_REMOVED = """
import os, signal, sys, time, weakref
from factory_resources.interpreter import keep_interruptions

class Thing:
    def __del__(self):
        if sys.argv[1] == "__del__":
            interrupted()

def interrupted(_=None):
    os.kill(os.getpid(), signal.SIGINT)

def failing(_):
    raise ValueError("not an interruption")

signal.signal(signal.SIGINT, signal.default_int_handler)
keep_interruptions()
keep_interruptions()
thing = Thing()
other = weakref.ref(thing, failing)
if sys.argv[1] == "weak reference":
    told = weakref.ref(thing, interrupted)
try:
    del thing
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("where", ["__del__", "weak reference"])
def test_ctrl_c_while_an_object_is_removed_is_not_lost(where: str) -> None:
    command = [sys.executable, "-c", _REMOVED, where]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=50)
    assert ended.stdout == "interrupted\n"
    assert "KeyboardInterrupt" not in ended.stderr
    # What else goes wrong then is told as always.
    assert ended.stderr.count("ValueError: not an interruption") == 1
