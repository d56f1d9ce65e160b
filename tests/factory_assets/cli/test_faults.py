"""Unexpected exceptions: one line, a traceback in a file, and the other pipelines still run."""

import copy
import os
from collections.abc import Sequence
from errno import EACCES, EISDIR, ELOOP, EMFILE, ENAMETOOLONG, ENOMEM, ENOTDIR
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from pydantic_core import SchemaError

from factory_assets.cli.faults import unexpected
from factory_assets.cli.group import command
from factory_assets.cli.main import main
from factory_resources.home.home import Home
from factory_resources.tracking.records import Records
from tests.long_run import in_long
from tests.pipelines import APPLES, declare, write_apples


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("FACTORY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "defs"))
    return Home(tmp_path / "home")


@pytest.fixture
def defs(tmp_path: Path) -> Path:
    return tmp_path / "defs"


ODD = """
class DataFrame:
    __module__ = "pandas"

def load():
    return DataFrame()
"""
"""Code whose result passes for a frame of pandas, so that converting it fails in the factory."""


def _declare_odd(folder: Path) -> None:
    _declare(folder, source="mine:load")
    (folder / "mine.py").write_text(ODD)


def _declare(
    folder: Path, *, source: str | None = None, files: str | None = None, model: str | None = None
) -> None:
    attributes = copy.deepcopy(APPLES)
    if source:
        attributes["ingest"]["source"] = {"python": source}
    if files:
        attributes["ingest"]["source"] = {"files": files}
    if model:
        attributes["train"]["model"] = {"python": model}
    declare(folder, attributes)
    write_apples(folder)


def _factory(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def _ingested(home: Home, name: str) -> bool:
    return Records(home).latest(name, "ingest") is not None


def _error_line(result: Result) -> str:
    [line] = [one for one in result.stderr.splitlines() if one.startswith("error: ")]
    return line


def test_an_unexpected_exception_is_one_line_and_the_other_pipelines_run(
    home: Home, defs: Path
) -> None:
    _declare_odd(defs / "a")
    _declare(defs / "b")
    _declare(defs / "c")
    result = _factory("run", "a", "b", "c", "--stages", "ingest")
    assert result.exit_code == 70
    assert "Traceback" not in result.output
    line = _error_line(result)
    assert line.startswith("error: a: unexpected ")
    [log] = (home.path / "logs").glob("error-*.log")
    assert str(log) in line
    assert "has no attribute" in log.read_text()
    assert "discover_python" in log.read_text()
    assert _ingested(home, "b")
    assert _ingested(home, "c")


def test_a_sub_command_ends_with_one_line_and_with_debug_shows_the_traceback(
    home: Home, defs: Path
) -> None:
    _declare_odd(defs / "a")
    arguments = ("run", "a", "--explain")
    quiet = _factory(*arguments)
    assert quiet.exit_code == 70
    assert "Traceback" not in quiet.output
    assert "logs/error-" in _error_line(quiet)
    loud = _factory("--debug", *arguments)
    assert loud.exit_code == 70
    assert "discover_python" in loud.stderr


@pytest.mark.parametrize("number", [EACCES, ENAMETOOLONG, ENOTDIR, EISDIR, ELOOP])
def test_a_path_that_cannot_be_used_is_the_users_mistake(home: Home, number: int) -> None:
    error = OSError(number, os.strerror(number), "secret/a.csv")
    told = unexpected(error, home)
    assert told.exit_code == 2
    assert str(told) == (
        f"secret/a.csv: this path cannot be used ({os.strerror(number)}); change its rights, or "
        "name another one"
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "the memory is too small; free some, or raise the limit"),
        (OSError(ENOMEM, os.strerror(ENOMEM)), "the memory is too small; "),
        (ImportError("libblas.so: failed to map segment from shared object"), "the memory is too"),
        (RuntimeError("can't start new thread"), "no further thread can be started; "),
        (OSError(EMFILE, os.strerror(EMFILE)), "no further file can be opened; let fewer be open"),
        # Dagster keeps an exception as text.
        (RuntimeError("SomeError: in a step\n\nMemoryError: 5 GB"), "the memory is too small; "),
    ],
)
def test_what_the_machine_allows_no_more_of_is_no_fault_of_the_factory(
    home: Home, error: Exception, said: str
) -> None:
    told = unexpected(error, home, "apples")
    assert (str(told).startswith(f"apples: {said}"), told.exit_code) == (True, 2), str(told)
    assert told.__cause__ is error
    assert not [*home.path.rglob("error-*.log")]


@pytest.mark.parametrize(
    "arguments",
    [
        ("pack", "\udcff", "--edge", "--out", "pack"),
        ("forget", "--where", "name = '\udcff'", "--preview"),
    ],
)
def test_what_has_to_be_text_and_is_not_is_the_users_mistake(
    home: Home, defs: Path, monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str]
) -> None:
    _declare(defs / "apples")
    assert _factory("run", "apples", "--stages", "ingest").exit_code == 0
    monkeypatch.setattr("sys.argv", ["factory", *arguments])
    result = _factory(*arguments)
    assert result.exit_code == 2
    assert _error_line(result).endswith("is not UTF-8; write it in UTF-8, unless it is a path")
    assert not (home.path / "logs").exists()


def test_a_name_that_no_file_can_have_is_one_line(home: Home) -> None:
    result = _factory("audit-deps", "--advisories", "x" * 300)
    assert result.exit_code == 2
    assert "this path cannot be used (File name too long)" in _error_line(result)


_UNKNOWN = "~nobody-has-this-name"
"""Whoever is not known has no folder."""


def test_a_source_of_a_user_who_is_not_known_is_the_users_mistake(home: Home, defs: Path) -> None:
    _declare(defs / "apples", files=f"{_UNKNOWN}/apples.csv")
    assert _factory("check", "apples").exit_code == 0
    assert _factory("run", "--explain", "apples").exit_code == 0
    result = _factory("run", "apples")
    assert result.exit_code == 2
    assert f"no file matches '{_UNKNOWN}/apples.csv'" in result.output


@pytest.mark.parametrize("variable", ["FACTORY_HOME", "FACTORY_DEFS", "FACTORY_SECRETS"])
def test_a_setting_with_a_user_who_is_not_known_is_a_path_as_any(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, f"{_UNKNOWN}/folder")
    for arguments in (
        ("check", "apples"),
        ("token", "list"),
        ("new", "pears", "--from", f"{_UNKNOWN}/pears.csv"),
        ("restore", "backups", "--home", f"{_UNKNOWN}/home"),
    ):
        assert _factory(*arguments).exit_code in {0, 2}
        assert not (tmp_path / _UNKNOWN).exists(), arguments


@pytest.mark.parametrize("arguments", [("run", "apples"), ("check",)])
def test_a_home_and_declarations_behind_a_link_to_itself_are_told_in_one_line(
    arguments: tuple[str, ...], home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "link")
    monkeypatch.setenv("FACTORY_DEFS" if arguments == ("check",) else "FACTORY_HOME", "link")
    monkeypatch.chdir(tmp_path)
    result = _factory(*arguments)
    assert (result.exit_code, len(result.output.splitlines())) == (2, 1), result.output
    assert "link" in result.output


@pytest.mark.parametrize("arguments", [("status",), ("check",), ("backup", "backups")])
def test_a_present_folder_that_is_gone_is_told_in_one_line(
    arguments: tuple[str, ...], home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.setenv("FACTORY_HOME", "home")
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    result = _factory(*arguments)
    assert (result.exit_code, result.output) == (
        2,
        "error: the current folder does not exist any more; change to one that exists\n",
    )


@pytest.mark.parametrize(
    ("variable", "arguments"),
    [("FACTORY_HOME", ("status",)), ("FACTORY_PASSPHRASE", ("key", "new", "anna"))],
)
def test_a_setting_that_is_no_text_is_told_without_its_value(
    variable: str,
    arguments: tuple[str, ...],
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv(variable, str(tmp_path / "a\udcffb"))
    result = _factory(*arguments)
    assert (result.exit_code, result.output) == (
        2,
        f"error: {variable}: its value is not UTF-8; set it to text in UTF-8\n",
    )


def test_a_key_of_a_user_whose_folder_is_not_known_needs_a_name(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("FACTORY_PASSPHRASE", "long enough")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    result = _factory("key", "new", "anna")
    assert result.exit_code == 2
    assert _error_line(result) == (
        "error: HOME: the folder of this user is not known; set it, or name a file: --out of "
        "factory key new, --key of other commands"
    )


def test_a_declaration_that_does_not_load_stops_no_other_pipeline(home: Home, defs: Path) -> None:
    _declare(defs / "a")
    (defs / "a" / "defs.yaml").write_text("type: nonsense\n")
    _declare(defs / "b")
    result = _factory("run", "a", "b", "--stages", "ingest")
    assert result.exit_code == 2
    assert "defs.yaml:1" in _error_line(result)
    assert _ingested(home, "b")


@pytest.mark.parametrize(
    ("source", "model", "code", "message"),
    [
        ("mine:load", None, "load = 3\n", "is int, not a function or class"),
        (None, "mine:Net", "class Net: ...\n", "is neither a LightningModule nor"),
        *in_long(
            [
                ("absent:load", None, "", "cannot import 'absent'"),
                (None, "absent:Net", "", "cannot import 'absent'"),
                (None, "mine:Net", "Net = 3\n", "is int, not a function or class"),
            ]
        ),
    ],
)
def test_check_and_run_tell_a_wrong_user_object_in_the_same_line(
    home: Home, defs: Path, source: str | None, model: str | None, code: str, message: str
) -> None:
    _declare(defs / "a", source=source, model=model)
    (defs / "a" / "mine.py").write_text(code)
    _declare(defs / "b")
    checked = _factory("check", "a")
    assert checked.exit_code == 2
    [line] = checked.stderr.splitlines()
    assert message in line
    assert "defs.yaml:" in line
    stages = "ingest,clean,split,train" if model else "ingest"
    ran = _factory("run", "a", "b", "--stages", stages)
    assert ran.exit_code == 2
    assert _error_line(ran) == f"error: {line}"
    assert _ingested(home, "b")


def test_an_interruption_that_pydantic_tells_as_an_error_is_one() -> None:
    group = click.Group()

    @command("build", group, any_database=True, needs_records=False)
    def build() -> None:
        raise SchemaError("Error building `model` serializer:\n  KeyboardInterrupt: ")

    told = CliRunner().invoke(group, ["build"])
    assert (told.exit_code, told.stderr.split(";")[0]) == (130, "interrupted")
