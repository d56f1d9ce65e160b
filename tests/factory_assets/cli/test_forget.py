"""`factory forget`: what is shown, who may, what is refused, what becomes of the champion."""

import copy
from hashlib import sha256
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from factory_assets.cli import forget
from factory_assets.cli.main import main
from factory_assets.erasure import staging
from factory_assets.execution.rollout import ongoing_rollout
from factory_resources.erasure.manifest import manifest_file, manifests
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.statements import statement_file
from factory_resources.security.personal_keys import create_key, public_file
from factory_resources.tracking.registry import Registry
from tests.erasures import (
    CITY,
    NAME,
    PEOPLE,
    PERSON,
    WEIGHT,
    WHERE,
    copied,
    home_of,
    log_answer,
    make_people,
    note_erased,
    run_all,
)
from tests.ledger import problems
from tests.long_run import in_long
from tests.pipelines import declare

pytestmark = pytest.mark.slow

PASSPHRASE = "correct horse"

IN_VAIN = "people is stopped, and nothing was erased; let it serve again: factory resume people --"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("people") / "root"
    make_people(root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return copied(made, tmp_path / "root", monkeypatch)


def _factory(*arguments: str, told: str = "", key: Path | None = None) -> tuple[int, str]:
    environment = {"FACTORY_PASSPHRASE": PASSPHRASE, **({"FACTORY_KEY": str(key)} if key else {})}
    done = CliRunner().invoke(main, arguments, input=told, env=environment)
    return done.exit_code, done.output


def _content(root: Path) -> str:
    """Return the digest of all files but those that the first command in a copied home adapts."""
    digest = sha256()
    adapted = {"tmp", "dagster", "mlflow.db", "prepared.json", ".up.lock"}
    for path in sorted((root / "home").rglob("*")):
        if path.is_file() and not adapted & set(path.parts):
            digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()


def test_a_preview_shows_everything_and_changes_nothing(root: Path) -> None:
    before = _content(root)
    code, text = _factory("forget", "--where", WHERE, "--preview")
    assert code == 0
    for line in (
        "  data.csv: 42",
        "  visits-mon.csv: 2, 3",
        "  people/clean: 1 row in 1 file",
        "  study/ingest: 1 row in 1 file",
        "  visits/ingest_quarantine: 1 row in 1 file",
        "people@1 serves until a new version does; people is trained again",
    ):
        assert line in text.splitlines()
    assert NAME not in text
    # The others have no model that could have answered.
    assert [one for one in text.splitlines() if one.startswith("answers of ")] == [
        "answers of people do not have nbr: found by values that only these rows have"
    ]
    assert _content(root) == before


def test_columns_are_named_in_whatever_case(root: Path) -> None:
    code, text = _factory("forget", "--where", WHERE.upper(), "--preview")
    assert code == 0, text
    _, shown = _factory("forget", "--where", WHERE, "--preview")
    assert text.replace("do not have NBR", "do not have nbr") == shown


def test_who_interrupts_is_told_how_to_finish(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    asked = ("forget", "--where", WHERE, "--reason", "r", "--yes")
    with monkeypatch.context() as patch:
        patch.setattr(forget, "enter", interrupt)
        code, text = _factory(*asked)
        assert (code, text.splitlines()[-1].startswith("interrupted; ")) == (130, True), text
        assert "if the erasure was entered already, finish it: factory forget --resume" in text
    assert not [*manifests(home_of(root))]
    with monkeypatch.context() as patch:
        patch.setattr(forget, "finish", interrupt)
        assert _factory(*asked)[0] == 130
    assert _factory("forget", "--resume")[0] == 0
    assert problems(home_of(root)) == []


def test_who_says_no_changes_nothing(root: Path) -> None:
    before = _content(root)
    code, text = _factory("forget", "--where", WHERE, "--reason", "request 117", told="n\n")
    assert (code, text.splitlines()[-1]) == (0, "nothing was changed")
    assert _content(root) == before


def test_who_answers_nothing_changes_nothing(root: Path) -> None:
    before = _content(root)
    code, text = _factory("forget", "--where", WHERE, "--reason", "request 117", told="")
    assert (code, "interrupted at a question; nothing was done" in text) == (130, True), text
    assert _content(root) == before


def test_an_answer_that_comes_while_one_is_asked_is_shown_before_anything_is_erased(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_of(root)
    where = f"weight > {WEIGHT} - 0.00001 AND weight < {WEIGHT} + 0.00001"

    def answered(_: str) -> bool:
        log_answer(home, {"weight": WEIGHT})
        return True

    with monkeypatch.context() as patch:
        patch.setattr(click, "confirm", answered)
        code, text = _factory("forget", "--where", where, "--reason", "request 117")
    assert (code, "a run or an answer was recorded while" in text) == (2, True), text
    assert not [*manifests(home)]
    _, text = _factory("forget", "--where", where, "--preview")
    assert "answers of people, in whole requests with 1 row" in text


@pytest.mark.parametrize(
    ("where", "reason", "line"),
    [
        ("nmr = 1", "r", "no table has 'nmr'; did you mean 'nbr'?"),
        ("pulse = 1 OR city = 'x'", "r", "together; name the person in one table, then"),
        ("1 = 1", "r", "names no column"),
        ("nbr", "r", "yields BIGINT, not true or false"),
        ("nbr = 'x'", "r", "Could not convert string 'x' to INT64"),
        ("count(*) > 1", "r", "aggregates many rows"),
        ("row_number() OVER (ORDER BY nbr) = 1", "r", "looks at other rows, with OVER"),
        ("nbr = (SELECT 1)", "r", "a subquery"),
        ("nbr ==", "r", "syntax error"),
        (WHERE, "", "there is no reason"),
        (WHERE, f"{NAME} asked for it", "the reason contains a value of the person"),
        (f"{WHERE} AND city IN ('P005', '{CITY}')", "for p005", "contains a value of the person"),
        ("", "r", "no person is named"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(
    root: Path, where: str, reason: str, line: str
) -> None:
    before = _content(root)
    code, text = _factory("forget", "--where", where, "--reason", reason, "--yes")
    [error] = [one for one in text.splitlines() if one.startswith("error: ")]
    assert (code, line in error) == (2, True), text
    assert _content(root) == before


def test_a_mistake_quotes_no_value_of_a_sensitive_column(root: Path) -> None:
    code, text = _factory("forget", "--where", "name = 17", "--preview")
    assert (code, "details are hidden" in text, "correct the expression" in text) == (2, True, True)
    assert "Person " not in text


def test_nobody_is_found(root: Path) -> None:
    code, text = _factory("forget", "--where", "nbr = 1", "--reason", "r", "--yes")
    assert (code, text) == (
        0,
        "nothing satisfies the expression: no row of a table, and no answer\n",
    )
    assert [*manifests(home_of(root))] == []


def test_answers_without_the_columns_are_told_if_nobody_is_found(root: Path) -> None:
    log_answer(home_of(root), {"weight": WEIGHT})
    code, text = _factory("forget", "--where", "nbr = 1", "--reason", "r", "--yes")
    assert (code, text.splitlines()[1:]) == (
        0,
        [
            "answers of people do not have nbr: to find some of them, name the person by what was "
            "asked"
        ],
    )


def test_a_pipeline_without_tables_is_named(root: Path) -> None:
    code, text = _factory("forget", "peple", "--where", WHERE, "--preview")
    assert (code, "no pipeline 'peple' has tables; did you mean 'people'?" in text) == (2, True)


def test_nothing_is_to_be_resumed(root: Path) -> None:
    code, text = _factory("forget", "--resume")
    assert (code, "no erasure is unfinished" in text) == (2, True)


def _with_people(root: Path) -> None:
    roles = {"jane": ["approver"], "ada": ["auditor"]}
    people = {}
    for name, some in roles.items():
        create_key(root / name, PASSPHRASE.encode())
        key = public_file(root / name).read_text().strip()
        people[name] = {"roles": some, "keys": [key]}
    create_key(root / "stranger", PASSPHRASE.encode())
    (root / "defs" / "people.yaml").write_text(yaml.safe_dump(people))


def test_where_there_are_people_one_of_them_signs(root: Path) -> None:
    _with_people(root)
    asked = ("forget", "--where", WHERE, "--reason", "request 117")
    for name, line in {
        "ada": "ada may not erase anybody",
        "stranger": "nobody in people.yaml",
    }.items():
        code, text = _factory(*asked, key=root / name)
        assert (code, line in text) == (2, True), text
        assert [*manifests(home_of(root))] == []
    code, text = _factory(*asked, key=root / "jane")
    assert code == 0, text
    assert problems(home_of(root)) == []


def test_no_erasure_hides_that_a_record_was_changed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_of(root)
    [record] = (home.records / "people" / "clean").glob("*.json")
    record.write_bytes(record.read_bytes() + b" ")
    asked = ("forget", "--where", WHERE, "--reason", "r", "--yes")
    code, text = _factory(*asked)
    assert (code, "was changed since it was entered" in text) == (2, True), text
    assert [*manifests(home)] == []
    monkeypatch.setattr(staging, "_require_entered", lambda *_: None)
    assert _factory(*asked)[0] == 0
    [problem] = problems(home)
    assert f"{record.name}: was not as it had been entered" in problem


def test_the_verifier_sees_a_manifest_that_no_entry_names(root: Path) -> None:
    home = home_of(root)
    manifest = note_erased(home, {"1" * 64: [1, 2]}, "people")
    [problem] = problems(home)
    assert f"{manifest.id}.json: has no entry" in problem


def test_the_verifier_sees_what_was_changed_afterwards(root: Path) -> None:
    home = home_of(root)
    [old] = (home.tables / "people" / "ingest").glob("*.parquet")
    content = old.read_bytes()
    assert _factory("forget", "--where", WHERE, "--reason", "r", "--yes")[0] == 0
    [manifest] = manifests(home)
    assert problems(home) == []
    old.write_bytes(content)
    assert any("was erased, and is there" in line for line in problems(home))
    old.unlink()
    path = manifest_file(home, manifest.id)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"42", b"43"))
    assert any("was changed" in line and manifest.id in line for line in problems(home))
    path.write_bytes(whole)
    [statement] = statement_file(home, "_erasures", "").parent.glob("*.json")
    statement.write_bytes(statement.read_bytes().replace(b'"payload"', b'"payload" '))
    assert any("was changed" in line and "_erasures" in line for line in problems(home))


def test_a_proof_names_nobody(root: Path) -> None:
    home = home_of(root)
    assert _factory("forget", "--where", WHERE, "--reason", "request 117", "--yes")[0] == 0
    [manifest] = manifests(home)
    [statement] = statement_file(home, "_erasures", "").parent.glob("*.json")
    with Ledger(home).reading() as log:
        entries = b"".join(log.body(number) for number in range(log.size))
    for value in (str(PERSON), NAME, CITY):
        for text in (manifest.content, statement.read_bytes(), entries):
            assert value.encode() not in text


def test_where_only_answers_were_erased_nothing_is_to_be_run(root: Path) -> None:
    log_answer(home_of(root), {"weight": 123_456.75})
    words = ("forget", "--where", "weight = 123456.75", "--reason", "request 117", "--yes")
    code, text = _factory(*words)
    assert (code, "answers of people, in whole requests with 1 row" in text) == (0, True), text
    assert "next:" not in text
    assert "next: factory run people" in _factory(*words[:2], WHERE, *words[3:])[1]


def _refuse(*_: object) -> None:
    raise StorageError("a run uses this home", remedy="wait until it has ended")


@pytest.mark.parametrize("remembers", [True, *in_long([False])])
def test_the_champion_is_stopped_if_declared_or_if_it_has_values(
    root: Path, remembers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    attributes = copy.deepcopy(PEOPLE)
    if remembers:
        attributes["train"]["exclude"].remove("city")
    else:
        attributes["deploy"] = {"after_erasure": "stop"}
    declare(root / "defs" / "people", attributes)
    run_all()
    registry = Registry(home_of(root))
    before = registry.serving("people")
    asked = ("forget", "--where", WHERE, "--reason", "request 117", "--yes")
    with monkeypatch.context() as patch:
        # A run has come between its two locks.
        patch.setattr(forget, "_require_files", _refuse)
        code, text = _factory(*asked)
    assert (code, IN_VAIN in text) == (2, True), text
    assert _factory("resume", "people", "--reason", "nothing was erased")[0] == 0
    code, text = _factory(*asked)
    assert (code, f"people@{before} is stopped" in text, IN_VAIN in text) == (0, True, False), text
    assert ("its files contain values of them and are removed" in text) is remembers
    code, text = _factory("trace", f"people@{before}")
    assert (code, "no problems" in text) == (0, True), text
    assert ("files: removed by an erasure" in text) is remembers
    code, text = _factory("evidence", f"people@{before}", "--out", str(root / "evidence.zip"))
    assert ("files of it were removed by an erasure" in text) is remembers
    assert code == (2 if remembers else 0)
    assert registry.serving("people") is None
    assert problems(home_of(root)) == []
    if remembers:
        code, text = _factory("resume", "people", "--reason", "nothing was trained")
        assert (code, "was removed by an erasure" in text) == (2, True), text
        _requires_a_new_version(root)
    run_all()
    assert _factory("resume", "people", "--reason", "trained anew")[0] == 0
    assert registry.serving("people") == (before or 0) + 1
    assert problems(home_of(root)) == []


def _requires_a_new_version(root: Path) -> None:
    told = "so that it does not serve; train a new version: factory run people"
    file = root / "defs" / "people" / "defs.yaml"
    declared = file.read_text()
    # Also of a pipeline whose declaration is wrong meanwhile.
    for content in (declared, "type: nothing"):
        file.write_text(content)
        _, text = _factory("status")
        assert (told in " ".join(text.split()), "factory resume" in text) == (True, False), text
    file.write_text(declared)
    code, text = _factory("predict", "people", str(root / "defs" / "people" / "data.csv"))
    assert (code, told in text, "factory resume" in text) == (1, True, False), text


def test_a_roll_out_ends_of_a_version_whose_files_have_values(root: Path) -> None:
    home, attributes = home_of(root), copy.deepcopy(PEOPLE)
    attributes["train"]["exclude"].remove("city")
    attributes["deploy"] = {"canary": {"share": "10%", "for": "1h"}}
    declare(root / "defs" / "people", attributes)
    run_all()
    assert _rolls_out(home) == 2
    code, text = _factory("forget", "--where", WHERE, "--preview")
    assert (code, "the roll-out of people@2 ends" in text, _rolls_out(home)) == (0, True, 2), text
    code, text = _factory("forget", "--where", WHERE, "--reason", "request 117", "--yes")
    assert (code, "the roll-out of people@2 ends" in text) == (0, True), text
    # The champion has no such value, and is kept, as declared.
    assert (_rolls_out(home), Registry(home).serving("people")) == (None, 1)
    assert problems(home) == []


def _rolls_out(home: Home) -> int | None:
    with Ledger(home).reading() as log:
        ongoing = ongoing_rollout(log, "people")
    return ongoing.started.version if ongoing else None
