"""`factory governance new` writes every question, and overwrites nothing."""

from pathlib import Path

import pytest

from factory_assets.audit.requirements.catalogue import catalogue
from factory_assets.declarations.governance import load_governance
from tests.commands import in_process
from tests.pipelines import APPLES, declare, write_apples


@pytest.fixture
def apples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "defs"))
    monkeypatch.setenv("FACTORY_HOME", str(tmp_path / "home"))
    write_apples(tmp_path / "defs" / "apples")
    declare(tmp_path / "defs" / "apples", APPLES)
    return tmp_path / "defs" / "apples"


def test_a_new_file_asks_every_question_and_passes_the_check(apples: Path) -> None:
    code, text = in_process("governance", "new", "apples")
    assert (code, f"wrote {apples / 'governance.yaml'}" in text) == (0, True), text
    assert in_process("check", "apples") == (0, "1 pipeline, no problems\n")
    assert in_process("check", "apples", "apples") == (0, "1 pipeline, no problems\n")
    governance = load_governance(apples)
    assert governance
    asked = [one for one in catalogue().requirements if one.person]
    assert governance.statements == {one.id: None for one in asked}
    lines = (apples / "governance.yaml").read_text().splitlines()
    for requirement in asked:
        at = lines.index(f"  {requirement.id}:")
        start = max(i for i in range(at) if not lines[i])
        words = " ".join(line.removeprefix("  # ") for line in lines[start + 1 : at])
        assert words.startswith(requirement.title)
        assert words.endswith(requirement.person)


def test_a_file_is_never_overwritten(apples: Path) -> None:
    file = apples / "governance.yaml"
    file.write_text("owner: a@example.org\n")
    code, text = in_process("governance", "new", "apples")
    assert (code, "this file exists already" in text) == (2, True), text
    assert file.read_text() == "owner: a@example.org\n"


@pytest.mark.parametrize("command", ["new", "show", "sign"])
def test_a_pipeline_without_a_model_has_no_answers_to_sign(apples: Path, command: str) -> None:
    declare(apples, {name: APPLES[name] for name in ("purpose", "ingest")})
    code, text = in_process("governance", command, "apples")
    told = "apples: a pipeline without `train` has no version about which a person could sign"
    assert (code, told in text) == (2, True), text
    assert not (apples / "governance.yaml").exists()


def test_an_unknown_pipeline_is_told() -> None:
    code, text = in_process("governance", "new", "aples")
    assert (code, "no pipeline 'aples'" in text) == (2, True), text
