"""The verifier is one file that needs Python 3.9 and `cryptography` and nothing else."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from factory_resources.ledger import factory_verify
from factory_resources.ledger.factory_verify import COSIGNATURE, VerificationReport, VerifierKey

FILE = Path(factory_verify.__file__)


def test_it_is_python_3_9() -> None:
    ast.parse(FILE.read_bytes(), feature_version=(3, 9))


def test_it_imports_the_standard_library_and_cryptography_alone() -> None:
    names = set()
    for node in ast.walk(ast.parse(FILE.read_bytes())):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert node.module
            names.add(node.module.split(".")[0])
    assert names - sys.stdlib_module_names == {"cryptography"}


def test_importing_it_does_not_import_cryptography(tmp_path: Path) -> None:
    code = "import sys, factory_verify; sys.exit('cryptography' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=FILE.parent, check=True)


@pytest.mark.parametrize(
    "call",
    [
        [],
        ["/nowhere"],
        [".", "--key", "no key"],
        [".", "--key", "name+00000000+AAAA"],
        [".", "--key", str(VerifierKey("example.com/witness", COSIGNATURE, bytes(32)))],
        [".", "--policy", "/nowhere"],
        [".", "--since", "/nowhere"],
        [".", "--no-such-option"],
        ["witness"],
        ["witness", "new", "/nowhere/key", "--name", "example.com/w"],
        ["witness", "cosign", "/nowhere/key", "x", "--log", "y", "--out", "z"],
        ["/dev/null"],
    ],
)
def test_a_mistake_in_the_call_is_told_in_one_line(
    call: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = factory_verify.main(call)
    except SystemExit as stopped:
        code = int(str(stopped.code))
    assert code == 2
    assert capsys.readouterr().err.splitlines()[-1]


def test_what_it_prints_cannot_control_a_terminal() -> None:
    finding = factory_verify.Finding("is \x1b[31mred\u202e", 3, "records/\udcff\n.json")
    assert str(finding) == "entry 3, records/\\udcff\\n.json: is \\x1b[31mred\\u202e"


def test_of_many_problems_a_thousand_are_listed_and_all_are_counted() -> None:
    report = VerificationReport()
    for number in range(1_003):
        report.problem("is missing", number)
    lines = [*report.lines()]
    assert len(lines) - len(report.cannot_prove) == 1 + 1_000 + 1 + 1
    assert "problem: and 3 more" in lines
    assert json.loads(report.json())["unlisted_problems"] == 3
    assert not report.holds
