"""What the process outside of a boundary tells of the one inside."""

import socket
import subprocess
import sys

import pytest

from factory_assets.cli.run_inside import await_command


@pytest.mark.parametrize(
    ("ends", "code", "said"),
    [
        ("os.kill(os.getpid(), 9)", 137, "the process that did the work was ended (Killed)"),
        # As a boundary tells it.
        ("os._exit(128 + 11)", 139, "the process that did the work was ended (Segmentation fault)"),
        ("os._exit(130)", 130, ""),
        ("os._exit(97)", 2, ""),
        ("os._exit(1)", 1, ""),
    ],
)
def test_a_signal_that_ends_the_work_is_told(
    ends: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await_command([sys.executable, "-c", f"import os; {ends}"], {}) == code
    error = capsys.readouterr().err
    assert said in error
    assert bool(error) == bool(said)


_PRINT = """
import os, stat
# A boundary lets no socket in.
assert not any(stat.S_ISSOCK(os.fstat(number).st_mode) for number in (1, 2))
os.write(1, b"x" * 300_000)
os.write(2, b"error")
"""

_AWAIT = """
import sys
from factory_assets.cli.run_inside import await_command
sys.exit(await_command([sys.executable, "-c", sys.argv[1]], {}))
"""


@pytest.mark.parametrize("is_read", [True, False])
def test_what_is_printed_reaches_a_socket_such_as_that_of_ssh(is_read: bool) -> None:
    (output, theirs), (errors, also_theirs) = socket.socketpair(), socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, "-c", _AWAIT, _PRINT], stdout=theirs, stderr=also_theirs
    )
    theirs.close()
    also_theirs.close()
    if is_read:
        assert output.makefile("rb").read() == b"x" * 300_000
        assert errors.makefile("rb").read() == b"error"
    output.close()
    errors.close()
    # If nobody reads it, the work ends as with a pipe that nobody reads.
    assert process.wait(timeout=60) == 0 or not is_read
