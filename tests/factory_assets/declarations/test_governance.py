"""Reading `governance.yaml`: what is valid, and where each mistake is."""

import json
from pathlib import Path

import pytest

from factory_assets.declarations.governance import load_governance, read_governance
from factory_resources.errors import DeclarationError

WHOLE = """\
provider: {name: Example Hospital, address: Example Street, contact: info@example.org}
owner: jane
oversight:
  - {who: bob@example.org, role: pathologist, can: stop the model, training: two days}
risks:
  - id: missed
    what: A tumour is missed
    affected: The patient
    likelihood: remote
    severity: critical
    measure: A second look
    residual: Some are missed
    accepted_by: jane
    tests: [leaks]
statements:
  annex-iv.1a: A second opinion
  annex-iv.2a:
"""


def _problems(folder: Path, text: str) -> list[str]:
    (folder / "governance.yaml").write_text(text)
    return [f"{one.line}: {one.what}" for one in read_governance(folder)[2]]


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "governance.yaml").write_text(WHOLE)
    governance = load_governance(tmp_path)
    assert governance
    assert (governance.owner, governance.oversight[0].who) == ("jane", "bob@example.org")
    assert governance.risks[0].tests == ("leaks",)
    assert governance.statements == {"annex-iv.1a": "A second opinion", "annex-iv.2a": None}


def test_lines_tabs_and_scripts_from_right_to_left_are_text(tmp_path: Path) -> None:
    text = "a\tb\n\n\u0645\u0631\u062d \u0915\u094d\u200d\u0937"
    (tmp_path / "governance.yaml").write_text(WHOLE.replace("A second opinion", json.dumps(text)))
    governance = load_governance(tmp_path)
    assert governance
    assert governance.statements["annex-iv.1a"] == text


def test_without_a_file_nothing_is_declared_and_nothing_is_wrong(tmp_path: Path) -> None:
    assert load_governance(tmp_path) is None
    assert read_governance(tmp_path)[2] == []


def test_an_empty_file_leaves_everything_open(tmp_path: Path) -> None:
    (tmp_path / "governance.yaml").write_text("")
    governance = load_governance(tmp_path)
    assert governance
    assert governance.owner is None


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("owner: jane", "ownr: jane", "2: ownr: unknown key 'ownr'; did you mean 'owner'?"),
        ("owner: jane", "owner: Jane Doe", "2: owner: 'Jane Doe' is neither a name in people"),
        ("likelihood: remote", "likelihood: rare", "9: risks.0.likelihood: 'rare' is not valid"),
        ("    measure: A second look\n", "", "6: risks.0: 'measure' is missing: What is done"),
        ("role: pathologist, ", "", "4: oversight.0: 'role' is missing: In which role"),
        ("A second opinion", "5", "16: statements.annex-iv.1a: 5 is not valid; must be text"),
        ("[leaks]", "leaks", "14: risks.0.tests: 'leaks' is not valid; must be a list, such as"),
        ("owner: jane", "owner: jane\nowner: bob", "3: owner: key 'owner' repeats line 2"),
        ("[leaks]", "[leaks", "not YAML"),
        ("A second opinion", r'"a\e[2Jb"', r"16: statements.annex-iv.1a: contains the control"),
        ("A second opinion", r'"a\u202eb"', r"16: statements.annex-iv.1a: contains the control"),
        ("A second opinion", r'"a\rb"', r"16: statements.annex-iv.1a: contains the control"),
        ("A second look", r'"a\u2066b"', r"11: risks.0.measure: contains the control"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, old: str, new: str, problem: str) -> None:
    text = WHOLE.replace(old, new)
    assert text != WHOLE
    found = _problems(tmp_path, text)
    assert any(problem in one for one in found), found


def test_of_a_file_with_a_key_twice_nothing_counts(tmp_path: Path) -> None:
    text = WHOLE.replace("owner: jane", "owner: jane\nowner: bob")
    assert _problems(tmp_path, text)
    assert read_governance(tmp_path)[0] is None


def test_two_risks_with_one_id_are_refused(tmp_path: Path) -> None:
    risk = WHOLE[WHOLE.index("  - id") : WHOLE.index("statements")]
    found = _problems(tmp_path, WHOLE.replace("statements", f"{risk}statements"))
    assert found == ["5: risks: two risks have the id 'missed'; rename one of them"]


def test_loading_raises_the_first_mistake_and_counts_the_others(tmp_path: Path) -> None:
    text = WHOLE.replace("owner: jane", "ownr: jane").replace("remote", "rare")
    (tmp_path / "governance.yaml").write_text(text)
    with pytest.raises(DeclarationError) as raised:
        load_governance(tmp_path)
    assert "governance.yaml:2: ownr" in str(raised.value)
    assert "and 1 more" in str(raised.value)
