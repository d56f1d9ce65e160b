"""No value of a sensitive column is anywhere but in the tables, whatever goes right or wrong."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

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
    """A home and a pipeline, used as a person does."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder / "defs" / "patients", folder / "home"
        self.folder.mkdir(parents=True)
        self.said = ""

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
        tool = Path(sys.executable).with_name("factory")
        defs = str(self.folder.parent)
        done = subprocess.run(
            [tool, *command],
            env={**os.environ, "FACTORY_HOME": str(self.home), "FACTORY_DEFS": defs},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        self.said += done.stdout + done.stderr
        return done.stdout + done.stderr

    def leaks(self, *apart: str) -> list[str]:
        """The files that hold the token, tables and the model's own files left out."""
        found = ["what it said"] if TOKEN.lower() in self.said.lower() else []
        for path in self.home.rglob("*"):
            name = str(path.relative_to(self.home))
            if not path.is_file() or name.startswith("tables/") or name.endswith(apart or ("\0",)):
                continue
            if TOKEN.lower().encode() in path.read_bytes().lower():
                found.append(name)
        return found


@pytest.fixture
def factory(tmp_path: Path) -> Factory:
    made = Factory(tmp_path)
    made.declare()
    made.data()
    return made


def _without(marks: bool) -> dict[str, Any]:
    contract = [dict(column) for column in _PATIENTS["ingest"]["contract"]]
    for column in contract if marks else ():
        column.pop("sensitive", None)
    return {**_PATIENTS["ingest"], "contract": contract}


def test_the_whole_pipeline_keeps_them_to_the_tables(factory: Factory) -> None:
    factory.run("run", "patients")
    new = factory.folder / "new.csv"
    new.write_text(f"patient,city,age,back\n{TOKEN},{TOKEN}1,40,no\n{TOKEN},{TOKEN}1,400,no\n")
    factory.run("predict", "patients", str(new))
    factory.run("trace", "patients@1")
    factory.run("contract", "patients")
    # A model that reads a column has its categories: in its own files, and in nothing to look at.
    own = (".onnx", "/model.json")
    assert factory.leaks(*own) == []
    assert factory.leaks(".onnx") != []


def test_they_would_be_seen_if_nobody_said_so(factory: Factory) -> None:
    factory.declare(ingest=_without(marks=True))
    factory.run("run", "patients")
    assert len(factory.leaks()) > 2


FAILURES: dict[str, tuple[dict[str, Any], str]] = {
    "an allowed value": ({"values": ["nobody"]}, "break the contract"),
    "a pattern": ({"pattern": "[0-9]+"}, "break the contract"),
    "a type": ({"type": "int64"}, "break the contract"),
}


@pytest.mark.parametrize("promise", FAILURES.values(), ids=list(FAILURES))
def test_a_broken_contract_quotes_nothing(
    promise: tuple[dict[str, Any], str], factory: Factory
) -> None:
    broken, message = promise
    ingest = _without(marks=False)
    ingest["contract"][0].update(broken)
    factory.declare(ingest=ingest, clean={}, train={**_PATIENTS["train"], "exclude": ["patient"]})
    assert message in factory.run("run", "patients", expect=2)
    assert factory.leaks() == []


def test_an_expression_that_fails_on_a_value_quotes_nothing(factory: Factory) -> None:
    factory.declare(
        clean={"derive": {"number": "CAST(patient AS INTEGER)"}},
        train={**_PATIENTS["train"], "exclude": ["patient", "number"]},
    )
    said = factory.run("run", "patients", expect=2)
    assert "patients/clean: derive.number: the data does not fit" in said
    assert factory.leaks() == []


def test_a_row_that_cannot_be_read_quotes_nothing(factory: Factory) -> None:
    factory.data(f"{TOKEN},{TOKEN},1,no,more")
    assert "columns in this row" in factory.run("run", "patients", expect=2)
    assert factory.leaks() == []


def test_a_function_that_fails_quotes_nothing(factory: Factory) -> None:
    (factory.folder / "own.py").write_text(
        f"def load():\n    raise KeyError({TOKEN[:4]!r} + {TOKEN[4:]!r})\n"
    )
    factory.declare(ingest={**_PATIENTS["ingest"], "source": {"python": "own:load"}})
    assert "own:load" in factory.run("run", "patients", expect=2)
    assert factory.leaks() == []


def test_uses_that_would_show_them_are_refused(factory: Factory) -> None:
    factory.declare(
        train={"target": "city", "exclude": ["initials", "known"], "model": {"kind": "linear"}},
        evaluate={"slices": ["city"]},
    )
    said = factory.run("check", "patients", expect=2)
    assert "train.target: 'city' is personal" in said
    assert "evaluate.slices.0: 'city' is personal" in said
    assert "train.exclude: 'patient' is secret and would be an input; exclude it" in said
    assert "'city' is personal" in factory.run("run", "patients", expect=2)
    assert not (factory.home / "tables").exists()
