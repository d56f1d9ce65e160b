"""What `make` runs, and that a run of the tests is the same everywhere."""

import subprocess

from hypothesis import settings

from factory_resources.home.home import PROJECT


def _commands(*arguments: str) -> str:
    """Return the commands that `make` would run."""
    return subprocess.run(
        ["make", "--dry-run", "--always-make", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_the_examples_of_a_test_are_the_same_everywhere() -> None:
    assert settings.default.derandomize or settings.get_current_profile_name() == "random"


def test_only_the_long_test_run_draws_examples() -> None:
    assert "--hypothesis-profile random" in _commands("test-long")
    assert "--hypothesis-profile" not in _commands("test")


def test_setup_passes_options_through_to_pip() -> None:
    flags = "--no-index --find-links wheels"
    assert f"pip install --quiet {flags} --constraint" in _commands("setup", f"PIP_FLAGS={flags}")
