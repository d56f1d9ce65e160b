"""What a full disk does not take of the output is told; streams that are closed are nobody's."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.long_run import in_long

_SCHEMA = [sys.executable, "-m", "factory_assets.cli", "schema"]

_LIMIT = 8192
"""Bytes of a file, fewer than the schema has."""


@pytest.mark.parametrize("unbuffered", ["", *in_long(["1"])])
def test_output_that_a_disk_does_not_take_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unbuffered: str
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    # What it compiles would be cut off, too.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    with (tmp_path / "schema.json").open("wb") as file:
        ended = subprocess.run(
            _SCHEMA,
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (_LIMIT, _LIMIT)),
        )
    assert ended.stderr == (
        "error: standard output: cannot write (File too large); free space there, or write to "
        "another place\n"
    )
    assert ended.returncode == 2


def test_a_reader_that_goes_away_is_no_fault() -> None:
    with subprocess.Popen(_SCHEMA, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 1)


def test_characters_that_the_encoding_lacks_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    streams = "prepare_streams(); print('50 µg · ok'); print('done')"
    code = f"from factory_assets.cli.standard_streams import prepare_streams; {streams}"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert ended.stdout == rb"50 \xb5g \xb7 ok" + b"\ndone\n"


def test_streams_that_are_closed_are_those_of_nobody() -> None:
    streams = "import sys; prepare_streams(); print(sys.stdin.read(), file=sys.stdout, flush=True)"
    code = f"from factory_assets.cli.standard_streams import prepare_streams; {streams}"
    files = "; open('/dev/null').fileno() > 2 or sys.exit(9)"
    command = ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", sys.executable, "-c", code + files]
    assert subprocess.run(command, check=False).returncode == 0
