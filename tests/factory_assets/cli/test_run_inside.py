"""What the process outside of a boundary tells of the one inside."""

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
