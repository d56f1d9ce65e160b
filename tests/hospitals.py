"""The example `heart` in one hospital, watched: trained in Cleveland, asked in Hungary."""

import csv
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from factory_resources.home.home import PROJECT
from factory_resources.security.personal_keys import create_key
from tests.approvals import PASSPHRASE, ROLES, Factory
from tests.pipelines import enter
from tests.sinks import Sink, smtp, webhook

COLUMNS = (
    *("age", "sex", "cp", "trestbps", "chol", "fbs", "restecg"),
    *("thalach", "exang", "oldpeak", "slope", "ca", "thal", "num"),
)


def patients(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a hospital as a caller sends them, with the truth in `num`."""
    with file.open(newline="") as lines:
        return [
            {name: None if cell == "?" else float(cell) for name, cell in row.items()}
            for row in csv.DictReader(lines, fieldnames=COLUMNS)
        ]


def as_asked(row: dict[str, Any]) -> dict[str, Any]:
    """Return what a caller sends of a patient, without the truth."""
    whole = {"sex", "cp", "fbs", "restecg", "exang", "slope", "ca", "thal"}
    return {
        name: int(cell) if name in whole and cell is not None else cell
        for name, cell in row.items()
        if name != "num"
    }


def declare_hospital(root: Path, data: Path, patch: pytest.MonkeyPatch) -> Factory:
    """Declare the pipeline with the patients of Cleveland alone; nothing has run.

    Args:
        data: the folder with the files of the hospitals.
    """
    made = Factory(root)
    for name in ROLES:
        create_key(made.key(name), PASSPHRASE.encode())
    folder = made.defs / "heart"
    shutil.copytree(PROJECT / "examples" / "heart", folder)
    document = yaml.safe_load((folder / "defs.yaml").read_text())
    spec = document["attributes"]
    spec["ingest"]["source"] |= {"files": "*.data"}
    del spec["ingest"]["source"]["label"]
    spec["clean"]["derive"] = {"disease": "num > 0"}
    spec["split"] = {"test": 0.25, "validation": 0.15, "stratify": "disease"}
    spec["train"] |= {"exclude": ["num"]}
    spec["evaluate"] = {"metric": "roc_auc", "gates": [{"metric": "roc_auc", "at_least": 0.7}]}
    spec["watch"] = {
        "false_alarm": "1y",
        "retrain": {"after": ["drift", "outcomes"], "outcomes": 1_000},
    }
    (folder / "defs.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    shutil.copy2(data / "processed.cleveland.data", folder / "cleveland.data")
    enter(made.root, patch)
    made.people()
    return made


@contextmanager
def alert_sinks(made: Factory) -> Iterator[tuple[Sink, Sink]]:
    """Run a webhook and a mailbox, which factory.yaml names."""
    with webhook() as hook, smtp() as mail:
        email = {
            "to": ["cardiology@example.org"],
            "sender": "factory@example.org",
            "host": "127.0.0.1",
            "port": mail.port,
            "tls": "none",
        }
        to_webhook = {"webhook": {"url": f"http://127.0.0.1:{hook.port}/"}}
        alerts = {"alerts": [to_webhook, {"email": email}]}
        (made.defs / "factory.yaml").write_text(yaml.safe_dump(alerts))
        yield hook, mail
