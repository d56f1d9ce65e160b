"""A pipeline whose candidates wait for people: jane and bob may approve, eve may not."""

import copy
import io
import os
import shutil
import subprocess
import sys
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from click.testing import CliRunner
from rich.console import Console

from factory_assets.cli.main import main
from factory_assets.cli.run import run
from factory_assets.cli.shared import RunSelection
from factory_resources.home.database import DATABASE_VARIABLE
from factory_resources.home.home import PROJECT, Home
from factory_resources.instance import prepare
from factory_resources.security.personal_keys import create_key, public_file
from tests.commands import forked_command
from tests.pipelines import APPLES, declare, enter, write_apples
from tests.shared_homes import made_once

PASSPHRASE = "correct horse"

ROLES = {"jane": ["approver"], "bob": ["engineer", "approver"], "eve": ["engineer"]}


@dataclass(frozen=True)
class Factory:
    """A folder with declarations, keys and a home."""

    root: Path
    database: str = ""
    """The address of its database on PostgreSQL; empty if its databases are files of the home."""

    @property
    def home(self) -> Home:
        return Home(self.root / "home")

    @property
    def defs(self) -> Path:
        return self.root / "defs"

    @property
    def data(self) -> str:
        return str(self.defs / "apples" / "data.csv")

    def key(self, name: str) -> Path:
        return self.root / "keys" / name

    def declare(
        self,
        *,
        seed: int = 7,
        approval: Any = "keep",
        rollout: Any = None,
        high_risk: bool = False,
        **evaluate: Any,
    ) -> None:
        """Declare another seed, so that the next run trains another version.

        Args:
            rollout: `canary` or `shadow` of `deploy`, with its settings.
            high_risk: without a `governance.yaml`.
        """
        attributes = copy.deepcopy(APPLES)
        attributes["train"]["seed"] = seed
        attributes["evaluate"]["gates"] = {"champion": "off"}
        attributes["evaluate"] |= evaluate
        if high_risk:
            attributes["risk"] = {"tier": "high", "area": "food"}
        rule = {"signatures": 1} if approval == "keep" else approval
        if rule is not None:
            attributes["deploy"] = {"approval": rule}
        if rollout is not None:
            attributes["deploy"] = {**attributes.get("deploy", {}), **rollout}
        declare(self.defs / "apples", attributes)

    def people(self, **changed: dict[str, Any] | None) -> None:
        """Write people.yaml; None leaves a person out."""
        people: dict[str, Any] = {
            name: {"roles": roles, "keys": [public_file(self.key(name)).read_text().strip()]}
            for name, roles in ROLES.items()
        }
        for name, more in changed.items():
            if more is None:
                people.pop(name, None)
            else:
                people[name] = {**people.get(name, {}), **more}
        (self.defs / "people.yaml").write_text(yaml.safe_dump(people))

    def run(self) -> str:
        """Run the pipeline in this process; return what was printed."""
        text = io.StringIO()
        run(RunSelection(["apples"]), Console(file=text, width=200))
        return text.getvalue()

    def add_run(self, job: str, status: dg.DagsterRunStatus, **tags: str) -> None:
        """Add a run of a job to Dagster's history."""
        prepare(self.home)
        added = dg.DagsterRun(job, run_id=str(uuid.uuid4()), status=status, tags=tags)
        with dg.DagsterInstance.from_config(str(self.home.dagster)) as instance:
            instance.run_storage.add_run(added)

    def start(self, *arguments: str, code: str = "", by: str = "") -> "subprocess.Popen[str]":
        """Start `factory` with these arguments, or a script that takes them.

        Signals reach the script alone.
        """
        start = [sys.executable, "-c", code] if code else forked_command()
        key = {"FACTORY_KEY": str(self.key(by))} if by else {}
        return subprocess.Popen(
            [*start, *arguments],
            cwd=self.defs / "apples",
            env={
                **os.environ,
                "PYTHONPATH": str(PROJECT),
                "FACTORY_PASSPHRASE": PASSPHRASE,
                **key,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def factory(self, *arguments: str, by: str = "") -> tuple[int, str]:
        """Run `factory` in this process; return its exit code and what it printed."""
        key = {"FACTORY_KEY": str(self.key(by))} if by else {}
        done = CliRunner().invoke(main, arguments, env={"FACTORY_PASSPHRASE": PASSPHRASE, **key})
        return done.exit_code, done.output

    def approve(self, name: str = "apples", *, by: str = "jane") -> str:
        """Approve as a person, successfully."""
        code, text = self.factory("approve", name, "--reason", "it is better", by=by)
        assert code == 0, text
        return text


def declare_factory(root: Path) -> Factory:
    """Make the folder; nothing has run."""
    factory = Factory(root)
    for name in ROLES:
        create_key(factory.key(name), PASSPHRASE.encode())
    create_key(factory.key("stranger"), PASSPHRASE.encode())
    (factory.defs / "apples").mkdir(parents=True)
    write_apples(factory.defs / "apples")
    factory.declare()
    factory.people()
    return factory


def make_factory(root: Path, database: str = "") -> Factory:
    """Make the folder; version 1 waits. Those without a database are copies of one home."""
    if database:
        return make_another(root, database)
    made_once("approvals", root, make_another)
    return Factory(root)


def make_another(root: Path, database: str = "") -> Factory:
    """Make the folder as `make_factory` does, with a home that is no copy of another."""
    factory = replace(declare_factory(root), database=database)
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        patch.setenv(DATABASE_VARIABLE, database)
        factory.run()
    return factory


def copy_factory(made: Factory, to: Path, patch: pytest.MonkeyPatch, database: str = "") -> Factory:
    """Return a copy, which the environment names.

    Args:
        database: the address of a copy of its database, if that is on PostgreSQL.
    """
    shutil.copytree(made.root, to)
    enter(to, patch)
    patch.setenv(DATABASE_VARIABLE, database)
    return Factory(to, database)
