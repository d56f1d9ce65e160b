"""Test a GPU and keep the result: `make test-gpu`, or `python -m tests.gpu [PYTEST_OPTION...]`."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from factory_resources.home.home import PROJECT
from tests.gpu.recording import LIMIT, Recording, without_gpu


def main(options: Sequence[str], folder: Path = PROJECT / "benchmarks") -> int:
    """Run the tests that need a GPU, and write `gpu-DATE.md` to the folder.

    Returns:
        The exit code: 2 if there is no GPU, 1 if a test failed or all took too long.
    """
    if reason := without_gpu():
        click.echo(f"error: {reason}; nothing was tested, and nothing is recorded", err=True)
        return 2
    recording = Recording(folder)
    tests = str(Path(__file__).parent)
    code = int(pytest.main([tests, "-m", "gpu", *options], plugins=[recording]))
    click.echo(f"recorded in {recording.file}")
    if recording.seconds > LIMIT:
        click.echo(f"error: it took more than {LIMIT:.0f} s", err=True)
        return code or 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
