"""Back up under load, and restore to another path, user and kind of database."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from factory_resources.backup.manifest import read_manifest
from factory_resources.backup.restoring import check_backup
from factory_resources.home.home import PROJECT, Home
from factory_resources.prediction_log.prediction_log import PredictionLog
from tests.approvals import Factory, copy_factory
from tests.commands import forked
from tests.ledger import problems
from tests.loopback import OTHER, needs_root, relayed
from tests.ordinary_user import USER
from tests.pipelines import APPLES, declare, write_apples
from tests.postgres import Postgres
from tests.serving import asking, serving
from tests.user_factory import user_factory

pytestmark = pytest.mark.slow

_ROW = {"size": 3.5, "colour": "red"}
_PAUSE = 4
"""Seconds between two backups, so that there are some while a pipeline runs, and not many."""


def test_backups_under_load_are_whole_and_have_every_answer_given_before(
    made: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apples = copy_factory(made, tmp_path / "factory", monkeypatch)
    factory = forked(apples.home.path, FACTORY_DEFS=str(apples.defs))
    assert factory("run", "apples").returncode == 0
    answered, known = _backed_up_under_load(apples.home, apples.defs, tmp_path)
    assert problems(apples.home) == []
    # The last one was made after the training, those between the first and it beside it.
    for number in sorted({2, len(known)}):
        count = known[number - 1]
        home = Home(tmp_path / f"restored{number}" / "home")
        done = factory("restore", tmp_path / f"backup{number}.tar", "--home", home.path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert problems(home) == []
        with PredictionLog(home) as log:
            log.collect()
            lost = [one for one in answered[:count] if log.find(one) is None]
        assert lost == [], f"{len(lost)} of {count}"
        assert problems(home) == []
    # The last one goes on.
    restored = forked(home.path, FACTORY_DEFS=str(apples.defs))
    for arguments in (("run", "apples"), ("verify",), ("predict", "apples", apples.data)):
        done = restored(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    assert answered


def _backed_up_under_load(
    home: Home, defs: Path, folder: Path, **variables: str
) -> tuple[list[str], list[int]]:
    """Back up again and again while a pipeline runs and its champion is asked.

    The backups are `backup1.tar` and so on, the last of them of when the run had ended.

    Returns:
        The ids of all answers, and for each backup how many had been given before.
    """
    answered, known = list[str](), list[int]()
    variables = {"FACTORY_DEFS": str(defs), **variables}
    factory = forked(home.path, **variables)
    with (
        serving(home.path, **variables) as server,
        asking(server, "/predict/apples", _ROW, answered, clients=2, pause=0.01),
        subprocess.Popen(
            [sys.executable, "-m", "factory_assets.cli", "run", "apples", "--no-reuse"],
            env={**os.environ, "FACTORY_HOME": str(home.path), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as run,
    ):
        has_ended = False
        while not has_ended:
            has_ended = run.poll() is not None
            known.append(len(answered))
            done = factory("backup", folder / f"backup{len(known)}.tar")
            assert done.returncode == 0, done.stdout + done.stderr
            with suppress(subprocess.TimeoutExpired):
                run.wait(_PAUSE)
        assert run.returncode == 0, run.communicate()
    return answered, known


@pytest.fixture
def addresses(postgres: Postgres, prepared_tables: str) -> Iterator[tuple[str, str]]:
    """The addresses of a database with the tables of libraries, and of an empty one."""
    with postgres.database(prepared_tables) as one, postgres.database() as two:
        yield one, two


@pytest.mark.long
def test_a_factory_on_postgres_is_restored_to_files_and_to_another_server(
    addresses: tuple[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "defs" / "apples"
    folder.mkdir(parents=True)
    write_apples(folder)
    declare(folder, APPLES)
    one, two = addresses
    variables = {"FACTORY_DEFS": str(folder.parent), "FACTORY_DATABASE_URL": one}
    factory = forked(tmp_path / "home", **variables)
    said: list[Any] = []
    for arguments in (("run", "apples"), ("backup", tmp_path / "backups"), ("verify",)):
        done = factory(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        said.append(done.stdout)
    told = factory("status", "--json")
    assert told.returncode == 0, told.stdout + told.stderr
    status = json.loads(told.stdout)
    assert [(run["pipeline"], run["state"]) for run in status["night"]] == [("apples", "succeeded")]
    assert status["backup"]["entries"] == status["entries"] - 1
    rows = folder / "data.csv"
    predicted = _predicted(factory("predict", "apples", rows).stdout)
    root = said[1].partition("the root ")[2].split()[0]
    shutil.move(tmp_path / "home", tmp_path / "gone")
    for name, url in (("files", ""), ("server", two)):
        settings = {"FACTORY_DEFS": str(folder.parent), "FACTORY_DATABASE_URL": url}
        done = forked(tmp_path / "home", **settings)(
            "restore", tmp_path / "backups", "--home", tmp_path / name
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert root in done.stdout
        assert f"next: export FACTORY_HOME={tmp_path / name}\n" in done.stdout
        restored = forked(tmp_path / name, **settings)
        assert (tmp_path / name / "ledger.db").exists()
        for arguments in (("verify",), ("run", "apples"), ("trace", "apples@1")):
            done = restored(*arguments)
            assert done.returncode == 0, done.stdout + done.stderr
        assert _predicted(restored("predict", "apples", rows).stdout) == predicted
    # Neither says that the other database is its own.
    wrong = forked(tmp_path / "files", **variables)("verify")
    assert wrong.returncode == 2
    # One that is not empty is refused before there is a home.
    full = forked(tmp_path / "again", **variables)
    done = full("restore", tmp_path / "backups", "--home", tmp_path / "other")
    assert done.returncode == 2
    assert "it is not empty" in done.stderr
    assert "nothing was restored" in done.stderr
    assert not (tmp_path / "other").exists()


@pytest.mark.long
@needs_root
@pytest.mark.parametrize("load_on", ["files", "server"])
def test_a_backup_under_load_is_restored_by_another_user_to_the_other_kind_of_database(
    load_on: str, postgres: Postgres, addresses: tuple[str, str], tmp_path: Path
) -> None:
    folder, home = tmp_path / "defs" / "apples", Home(tmp_path / "home")
    write_apples(folder)
    declare(folder, APPLES)
    server = {"FACTORY_DATABASE_URL": addresses[0]} if load_on == "server" else {}
    first = forked(home.path, FACTORY_DEFS=str(folder.parent), **server)("run", "apples")
    assert first.returncode == 0, first.stdout + first.stderr
    answered, known = _backed_up_under_load(home, folder.parent, tmp_path, **server)
    name = urlsplit(addresses[1]).path[1:]
    with user_factory() as other, relayed(f"{postgres.socket}/.s.PGSQL.5432") as port:
        if load_on == "files":
            postgres.execute(
                "CREATE ROLE other LOGIN PASSWORD 'secret'",
                f"ALTER DATABASE {name} OWNER TO other",
            )
            url = f"postgresql://other:secret@127.0.0.1:{port}/{name}"
            other.variables["FACTORY_DATABASE_URL"] = url
        shutil.copytree(folder.parent, other.path / "defs")
        backup = shutil.move(tmp_path / f"backup{len(known)}.tar", other.path / "backup.tar")
        for path in (Path(backup), *(other.path / "defs").rglob("*"), other.path / "defs"):
            os.chown(path, *USER)
        for arguments in (
            ("restore", str(backup), "--home", str(other.home.path)),
            ("verify",),
            ("run", "apples"),
            ("trace", "apples@2"),
        ):
            done = other.ask(*arguments)
            assert done.returncode == 0, done.stdout + done.stderr
        asked = answered[: known[-1]]
        assert asked
        for identifier in (asked[0], asked[-1]):
            found = other.ask("answers", "prove", identifier, "--out", str(other.path / "proof"))
            assert found.returncode == 0, found.stdout + found.stderr
        assert {path.stat().st_uid for path in other.home.path.rglob("*")} == {USER[0]}


def _predicted(text: str) -> list[str]:
    # The last column has the ids of the answers.
    return [line.rpartition(",")[0] for line in text.splitlines()]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of the other user; the folders of tests are private to this one."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chown(folder, OTHER, OTHER)
        yield Path(folder)


@needs_root
def test_another_user_restores_what_was_handed_over(
    made: Factory, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apples = copy_factory(made, tmp_path / "factory", monkeypatch)
    factory = forked(apples.home.path, FACTORY_DEFS=str(apples.defs))
    done = factory("backup", tmp_path / "backups")
    assert done.returncode == 0, done.stdout + done.stderr
    backups = shutil.move(tmp_path / "backups", place / "backups")
    for path in Path(backups).rglob("*"):
        os.chown(path, OTHER, OTHER)
    os.chown(backups, OTHER, OTHER)
    code = f"""
import os, sys
from pathlib import Path
from factory_resources.backup.restoring import restore_backup
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from tests.ledger import problems
import cryptography.hazmat.primitives.asymmetric.ed25519, dagster, mlflow, sqlalchemy
os.setgroups([])
os.setgid({OTHER})
os.setuid({OTHER})
os.environ["HOME"] = {str(place)!r}
home = Home(Path({str(place)!r}) / "home")
restore_backup(Path({str(place)!r}) / "backups", home, print)
assert problems(home) == []
print(home.path.stat().st_uid, oct(home.path.stat().st_mode))
"""
    done_by = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done_by.returncode == 0, done_by.stdout + done_by.stderr
    assert done_by.stdout.splitlines()[-1] == f"{OTHER} 0o40700"


def test_the_commands_tell_what_they_did_and_refuse_in_one_line(
    made: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apples = copy_factory(made, tmp_path / "factory", monkeypatch)
    code, text = apples.factory("backup", str(tmp_path / "backups"))
    assert code == 0, text
    [backup] = (tmp_path / "backups").iterdir()
    manifest = read_manifest(backup)
    assert f"{len(manifest.files):,} files" in text
    assert manifest.ledger.root in text
    assert "it contains the secrets of the factory" in text
    assert apples.factory("restore", str(backup), "--check")[1].startswith("complete: ")
    code, text = apples.factory("restore", str(backup), "--home", str(apples.home.path))
    assert (code, len(text.splitlines())) == (2, 1), text
    assert "something exists here already" in text
    new = tmp_path / "new home"
    code, text = apples.factory("restore", str(backup), "--home", str(new))
    assert (code, f"next: export FACTORY_HOME='{new}'\n" in text) == (0, True), text
    assert apples.factory("restore", str(backup))[0] == 2
    code, text = apples.factory("restore", str(tmp_path / "nothing"), "--check")
    assert (code, len(text.splitlines())) == (2, 1), text
    assert check_backup(backup, lambda _: None) == manifest
    monkeypatch.setenv("FACTORY_DATABASE_URL", "postgresql://127.0.0.1:1/nowhere")
    code, text = apples.factory("restore", str(backup), "--home", str(tmp_path / "third"))
    assert (code, len(text.splitlines())) == (2, 1), text
    assert text.startswith("error: FACTORY_DATABASE_URL: it cannot be used (")
    assert "nothing was restored" in text
    assert not (tmp_path / "third").exists()
