"""A process on a node of a cluster: it becomes a worker, inside the boundary of its pipeline.

python -m factory_assets.execution.workers.node_process IN OUT PARENT FOLDER HOME CPUS WAY

WAY is `sealed`, or `open` for processes of several nodes that reach each other, which no boundary
lets them. The boundary of the run that asks is on another machine. What the worker does belongs in
`process`.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.boundary_reports import REPORT_VARIABLE, report_file
from factory_assets.execution.run_boundary import run_boundary
from factory_assets.execution.workers.process import work
from factory_assets.execution.workers.protocol import FailedMessage, line_of
from factory_assets.execution.workers.settings import share_of_machine
from factory_assets.spec import Pipeline
from factory_resources.boundary.boundary import level_here
from factory_resources.boundary.syscalls import IS_SUPPORTED, die_with_parent
from factory_resources.errors import BoundaryError, FactoryError
from factory_resources.home.home import Home
from factory_resources.interpreter import module_command
from factory_resources.security.offline import go_offline


def main(arguments: Sequence[str]) -> None:
    """Become the worker, or answer each request with the reason why there is none."""
    requests, answers, parent = map(int, arguments[:3])
    folder, home, cpus, way = arguments[3:]
    if IS_SUPPORTED:
        # It ends with the actor that started it, whatever it becomes.
        die_with_parent()
    if os.getppid() != parent:
        return
    go_offline()
    os.environ.update(share_of_machine(int(cpus)))
    try:
        pipeline = load_pipeline(Path(folder))
        command = _command(pipeline, Home(Path(home))) if way == "sealed" else []
    except FactoryError as error:
        _refuse(error, requests, answers)
        return
    if not command:
        work([*arguments[:3]])
        return
    os.dup2(requests, 0)
    os.dup2(answers, 1)
    os.execv(command[0], command)


def _command(pipeline: Pipeline, home: Home) -> list[str]:
    """Return the command line of the worker inside its boundary; empty if it has none.

    Raises:
        BoundaryError: a boundary is required, and there can be none here.
        DeclarationError: the declaration, or `factory.yaml`, is wrong.
    """
    boundary = run_boundary([pipeline], home)
    if boundary.level == "off":
        return []
    level, reason = level_here()
    if boundary.level == "required" and level != "namespaces":
        raise BoundaryError(
            f"a boundary is required, and there is none on this node: {reason}",
            where=f"{os.uname().nodename}: {pipeline.name}",
            remedy="docs/boundary.md says what it needs",
        )
    if level == "none":
        return []
    name = uuid4().hex
    os.environ[REPORT_VARIABLE] = name
    command = module_command(__package__, "0", "1", "0")
    return boundary.command(command, report_file(home, name))


def _refuse(error: FactoryError, requests: int, answers: int) -> None:
    with os.fdopen(requests, "rb") as read, os.fdopen(answers, "wb", 0) as written:
        read.readline()
        for _ in read:
            written.write(line_of(FailedMessage.of(error)))


if __name__ == "__main__":
    main(sys.argv[1:])
