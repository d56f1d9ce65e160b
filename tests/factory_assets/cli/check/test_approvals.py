"""`factory check` of approvals: enough people must be able to approve."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from factory_assets.cli.check.approvals import approval_warnings
from factory_assets.cli.main import main
from factory_resources.security.personal_keys import create_key, public_file
from tests.pipelines import APPLES, declare, write_apples


@pytest.fixture
def apples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "defs"))
    write_apples(tmp_path / "defs" / "apples")
    return tmp_path / "defs" / "apples"


def _declare(apples: Path, **rule: Any) -> None:
    declare(apples, {**APPLES, "deploy": {"approval": rule}})


def _write_people(apples: Path, **people: dict[str, Any]) -> None:
    (apples.parent / "people.yaml").write_text(yaml.safe_dump(people))


def _approver(apples: Path, name: str, **more: str) -> dict[str, Any]:
    create_key(apples.parent / name, b"correct horse")
    key = public_file(apples.parent / name).read_text().strip()
    return {"roles": ["approver"], "keys": [key], **more}


def test_four_eyes_need_approvers_with_an_account(apples: Path) -> None:
    _declare(apples, signatures=2, four_eyes=True)
    jane, bob = _approver(apples, "jane"), _approver(apples, "bob", account="bob")
    _write_people(apples, jane=jane, bob=bob)
    done = CliRunner().invoke(main, ["check", "apples"])
    assert done.exit_code == 0, done.output
    assert (
        "no version can be approved: it takes 2 people with the role approver, a key and, for "
        "four_eyes, an `account`, and people.yaml has 1"
    ) in done.output
    [warning] = approval_warnings(["apples"])
    line = (apples / "defs.yaml").read_text().splitlines()[warning.line - 1]
    assert line.strip() == "approval:"
    _write_people(apples, jane={**jane, "account": "jane"}, bob=bob)
    assert approval_warnings(["apples"]) == []


def test_an_approver_needs_a_key_and_the_declared_role(apples: Path) -> None:
    _declare(apples)
    jane = _approver(apples, "jane")
    for person in ({**jane, "keys": []}, {**jane, "roles": ["auditor"]}):
        _write_people(apples, jane=person)
        [warning] = approval_warnings(["apples"])
        assert "it takes 1 person with the role approver and a key, and people.yaml has 0" in str(
            warning
        )
    _write_people(apples, jane=jane)
    assert approval_warnings(["apples"]) == []


def test_without_an_approval_or_people_nothing_is_told(apples: Path) -> None:
    _declare(apples, four_eyes=True)
    assert approval_warnings(["apples"]) == []
    _write_people(apples, jane={"roles": ["auditor"]})
    declare(apples, APPLES)
    assert approval_warnings(["apples"]) == []
