"""Values of sensitive columns occur only in the tables, whether a run succeeds or fails."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands import forked

pytestmark = pytest.mark.slow
TOKEN = "Zaphod7Q"
_PATIENTS: dict[str, Any] = {
    "purpose": "Tell who comes back",
    "ingest": {
        "source": {"files": "data.csv"},
        "contract": [
            {"name": "patient", "type": "string", "sensitive": "secret"},
            {"name": "city", "type": "string", "sensitive": "personal"},
            {"name": "age", "type": "int64", "range": [0, 120]},
            {"name": "back", "type": "string"},
        ],
    },
    "clean": {
        "where": {"grown": "age >= 18"},
        "derive": {"initials": "upper(left(patient, 8))", "known": "length(patient) > 0"},
    },
    "train": {
        "target": "back",
        "exclude": ["patient", "initials", "known"],
        "model": {"kind": "linear"},
    },
    "evaluate": {"gates": [{"metric": "roc_auc", "better_than": "trivial"}], "bootstrap": 0},
}


class Factory:
    """A home and a pipeline, used through the command; `output` collects all that it prints."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder / "defs" / "patients", folder / "home"
        self.folder.mkdir(parents=True)
        self.output = ""

    def declare(self, **parts: Any) -> None:
        attributes = {**_PATIENTS, **parts}
        document = {"type": "factory_assets.ModelPipeline", "attributes": attributes}
        (self.folder / "defs.yaml").write_text(yaml.safe_dump(document, sort_keys=False))

    def data(self, *more: str, name: str = TOKEN) -> None:
        lines = [
            f"{name}{i},{name}{i % 2},{18 + i % 60},{'yes' if i % 60 + i % 11 > 30 else 'no'}"
            for i in range(240)
        ]
        broken = [f"{name}old,{name},999,no", f"{name}young,{name},3,no"]
        header = "patient,city,age,back"
        (self.folder / "data.csv").write_text("\n".join([header, *lines, *broken, *more]) + "\n")

    def run(self, *command: str, expect: int = 0) -> str:
        done = forked(self.home, FACTORY_DEFS=str(self.folder.parent))(*command)
        assert done.returncode == expect, done.stdout + done.stderr
        self.output += done.stdout + done.stderr
        return done.stdout + done.stderr

    def leaks(self, *ignored: str) -> list[str]:
        """Return the files outside the tables that contain the token.

        Args:
            ignored: endings of files that may contain it.
        """
        leaks = ["output"] if TOKEN.lower() in self.output.lower() else []
        allowed = ignored or ("\0",)
        for path in self.home.rglob("*"):
            name = str(path.relative_to(self.home))
            if not path.is_file() or name.startswith("tables/") or name.endswith(allowed):
                continue
            if TOKEN.lower().encode() in path.read_bytes().lower():
                leaks.append(name)
        return leaks


@pytest.fixture
def factory(tmp_path: Path) -> Factory:
    new = Factory(tmp_path)
    new.declare()
    new.data()
    return new


def _ingest(sensitive: bool) -> dict[str, Any]:
    """Copy the declared `ingest`, with or without marking sensitive columns as such."""
    contract = [dict(column) for column in _PATIENTS["ingest"]["contract"]]
    for column in () if sensitive else contract:
        column.pop("sensitive", None)
    return {**_PATIENTS["ingest"], "contract": contract}


def test_a_successful_pipeline_has_sensitive_values_only_in_tables(factory: Factory) -> None:
    factory.run("run", "patients")
    new = factory.folder / "new.csv"
    new.write_text(f"patient,city,age,back\n{TOKEN},{TOKEN}1,40,no\n{TOKEN},{TOKEN}1,400,no\n")
    factory.run("predict", "patients", str(new))
    factory.run("trace", "patients@1")
    factory.run("contract", "patients")
    # A model needs the categories of its inputs: they are in its own files, and nowhere else.
    model_files = (".onnx", "/model.json")
    assert factory.leaks(*model_files) == []
    assert factory.leaks(".onnx") != []


def test_values_of_columns_that_are_not_marked_sensitive_are_shown(factory: Factory) -> None:
    factory.declare(ingest=_ingest(sensitive=False))
    factory.run("run", "patients")
    assert len(factory.leaks()) > 2


FAILURES: dict[str, tuple[dict[str, Any], str]] = {
    "an allowed value": ({"values": ["nobody"]}, "break the contract"),
    "a pattern": ({"pattern": "[0-9]+"}, "break the contract"),
    "a type": ({"type": "int64"}, "break the contract"),
}


@pytest.mark.parametrize(
    "promise",
    [
        pytest.param(failure, id=name, marks=[] if name == "a pattern" else pytest.mark.long)
        for name, failure in FAILURES.items()
    ],
)
def test_a_broken_contract_quotes_nothing(
    promise: tuple[dict[str, Any], str], factory: Factory
) -> None:
    broken, message = promise
    ingest = _ingest(sensitive=True)
    ingest["contract"][0].update(broken)
    factory.declare(ingest=ingest, clean={}, train={**_PATIENTS["train"], "exclude": ["patient"]})
    assert message in factory.run("run", "patients", expect=2)
    assert factory.leaks() == []


def test_an_expression_that_fails_on_a_value_quotes_nothing(factory: Factory) -> None:
    factory.declare(
        clean={"derive": {"number": "CAST(patient AS INTEGER)"}},
        train={**_PATIENTS["train"], "exclude": ["patient", "number"]},
    )
    output = factory.run("run", "patients", expect=2)
    assert "patients/clean: derive.number: the data is not valid" in output
    assert factory.leaks() == []


def test_a_row_that_cannot_be_read_quotes_nothing(factory: Factory) -> None:
    factory.data(f"{TOKEN},{TOKEN},1,no,more")
    assert "columns in this row" in factory.run("run", "patients", expect=2)
    assert factory.leaks() == []


@pytest.mark.long
def test_a_function_that_fails_quotes_nothing(factory: Factory) -> None:
    (factory.folder / "own.py").write_text(
        f"def load():\n    raise KeyError({TOKEN[:4]!r} + {TOKEN[4:]!r})\n"
    )
    factory.declare(ingest={**_PATIENTS["ingest"], "source": {"python": "own:load"}})
    assert "own:load" in factory.run("run", "patients", expect=2)
    assert factory.leaks() == []


def test_uses_that_would_show_sensitive_values_are_refused(factory: Factory) -> None:
    factory.declare(
        train={"target": "city", "exclude": ["initials", "known"], "model": {"kind": "linear"}},
        evaluate={"slices": ["city"]},
    )
    output = factory.run("check", "patients", expect=2)
    assert "train.target: 'city' is personal" in output
    assert "evaluate.slices.0: 'city' is personal" in output
    assert "train.exclude: 'patient' is secret and would be an input; exclude it" in output
    assert "'city' is personal" in factory.run("run", "patients", expect=2)
    assert not (factory.home / "tables").exists()
