"""The `factory` command line: options and exit codes.

The work of a sub-command belongs in the module of its name; what `dg` and
the UI already do is left to them.
"""

import gc
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from factory_resources.errors import FactoryError

_PORT = click.IntRange(1, 65_535)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def main(context: click.Context, debug: bool) -> None:
    """Declare, run and prove models on your own machine."""
    from factory_resources.security.offline import go_offline

    go_offline()
    context.obj = debug


def command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """A sub-command whose FactoryErrors become one line on standard error and their exit code."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        @wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except KeyboardInterrupt:
                click.echo("interrupted; what was finished is kept, run it again", err=True)
                sys.exit(130)
            except FactoryError as error:
                if click.get_current_context().find_root().obj:
                    raise
                click.echo(f"error: {error}", err=True)
                sys.exit(error.exit_code)

        return main.command(name)(guarded)

    return decorate


@command("run")
@click.argument("pipelines", nargs=-1)
@click.option("--stages", default="", help="Only these, separated by commas.")
@click.option(
    "--partition", "partitions", multiple=True, help="Only this one, by key; may be repeated."
)
@click.option("--no-reuse", is_flag=True, help="Compute every stage, also where nothing changed.")
@click.option("--explain", is_flag=True, help="Only say what would run, and why.")
def run_command(
    pipelines: tuple[str, ...],
    stages: str,
    partitions: tuple[str, ...],
    no_reuse: bool,
    explain: bool,
) -> None:
    """Materialise PIPELINES (all of them where none is named) in this process."""
    # Looking for cycles among modules being imported takes .4 s of the 2 s in which nothing is
    # found changed; `run_stage` switches it on again where something is computed.
    gc.disable()
    if explain:
        from factory_assets.cli.explain import plan as do
    else:
        from factory_assets.cli.run import run as do
    do(
        pipelines,
        stages=[s for s in stages.split(",") if s],
        partitions=partitions,
        reuse=not no_reuse,
        console=_console(),
    )


@command("check")
@click.argument("pipelines", nargs=-1)
def check_command(pipelines: tuple[str, ...]) -> None:
    """Find every mistake in the declarations, with file and line."""
    from factory_assets.cli.check.check import check, unchecked
    from factory_assets.declarations.loader import pipeline_folders

    problems = check(pipelines)
    for problem in problems:
        click.echo(str(problem), err=True)
    for promise in unchecked(pipelines):
        click.echo(f"warning: {promise}", err=True)
    if problems:
        sys.exit(2)
    count = len(pipelines) or len(pipeline_folders())
    click.echo(f"{count} pipeline{'s' if count != 1 else ''}, no problems")


@command("new")
@click.argument("name")
@click.option("--from", "source", required=True, type=click.Path(path_type=Path), help="The data.")
@click.option("--target", required=True, help="The column to predict.")
@click.option(
    "--in", "folder", type=click.Path(path_type=Path), help="Where pipelines are declared."
)
def new_command(name: str, source: Path, target: str, folder: Path | None) -> None:
    """Profile a data file and declare a pipeline for it."""
    from factory_assets.cli.new.new import new
    from factory_assets.declarations.loader import new_pipelines_folder

    declared = new(name, source=source, target=target, folder=folder or new_pipelines_folder())
    click.echo(f"declared {declared}\nnext: factory check {name} && factory run {name}")


@command("predict")
@click.argument("pipeline")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="CSV or Parquet; standard output else."
)
def predict_command(pipeline: str, file: Path, out: Path | None) -> None:
    """Score FILE with PIPELINE's champion."""
    from factory_assets.cli.predict import predict_file

    predict_file(pipeline, file, out)


@command("up")
@click.option("--port", type=_PORT, default=3000, show_default=True, help="The Dagster UI's.")
@click.option("--mlflow-port", type=_PORT, default=5000, show_default=True)
def up_command(port: int, mlflow_port: int) -> None:
    """Serve the UI, the daemon and MLflow on this machine only, until Ctrl-C."""
    from factory_assets.cli.up import up

    sys.exit(up(port, mlflow_port, _console()))


@command("demo")
def demo_command() -> None:
    """Run every shipped pipeline and say what to do next."""
    from factory_assets.cli.run import demo

    demo(_console())


@command("env")
def env_command() -> None:
    """Make the home ready and print the environment that Dagster's own commands need."""
    from factory_assets.cli.up import environment

    click.echo(environment(), nl=False)


@command("trace")
@click.argument("name")
@click.option("--row", help="One row: its number, or SOURCE:N, as in data.csv:17.")
@click.option("--json", "as_json", is_flag=True, help="For programs; see factory schema trace.")
@click.option("--no-verify", is_flag=True, help="Do not read the files to compare their digests.")
def trace_command(name: str, row: str | None, as_json: bool, no_verify: bool) -> None:
    """Follow NAME back to its source rows, or forward to the models it fed.

    NAME is a model version (pipeline@3, pipeline@champion), a snapshot (pipeline/clean,
    pipeline/clean@<data version>, pipeline/split.train) or a source (a path, sha256:<digest>).
    Exit code 1: something is not what was written.
    """
    from factory_assets.cli.trace import run_trace, trace_json, trace_text

    found = run_trace(name, row, verify=not no_verify)
    click.echo(trace_json(found) if as_json else trace_text(found), nl=False)
    sys.exit(1 if found.problems else 0)


@command("reproduce")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def reproduce_command(name: str, as_json: bool) -> None:
    """Train the model version NAME (pipeline@3, pipeline@champion) again, and compare.

    From the recorded rows, declaration and seed; nothing is registered. Exit code 1: the weights
    are not the same.
    """
    from rich.console import Console

    from factory_assets.cli.reproduce import reproduction_json, reproduction_text, run_reproduce

    # What is told on the way must not get into the JSON.
    found = run_reproduce(name, Console(stderr=True) if as_json else _console())
    click.echo(reproduction_json(found) if as_json else reproduction_text(found), nl=False)
    sys.exit(0 if found.identical else 1)


@command("influence")
@click.argument("name")
@click.option("--row", help="A judged row: its number in the predictions, or SOURCE:N.")
@click.option(
    "--file", type=click.Path(path_type=Path), help="A file like the source; --row is then its."
)
@click.option("--suspicious", is_flag=True, help="The training rows whose labels may be wrong.")
@click.option("--top", type=click.IntRange(1, 1000), default=10, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def influence_command(
    name: str, row: str | None, file: Path | None, suspicious: bool, top: int, as_json: bool
) -> None:
    """List the training rows that moved a prediction of NAME most, with file and record.

    NAME is a model version (pipeline@3, pipeline@champion) whose influence was measured:
    `evaluate: {influence: {}}`. A score above zero raised what is said of the row.
    """
    from factory_assets.cli.influence import influence_json, influence_text, run_influence

    found = run_influence(name, row, file, suspicious=suspicious, top=top)
    click.echo(influence_json(found) if as_json else influence_text(found), nl=False)


@command("contract")
@click.argument("pipeline")
@click.option("--out", type=click.Path(path_type=Path), help="The file; standard output else.")
def contract_command(pipeline: str, out: Path | None) -> None:
    """Write PIPELINE's contract in the Open Data Contract Standard."""
    from factory_assets.cli.contract import contract_text, write_contract
    from factory_resources.home.home import Home

    if out is None:
        click.echo(contract_text(pipeline, Home.from_env()), nl=False)
    else:
        write_contract(pipeline, out, Home.from_env())


@command("gc")
@click.option("--apply", is_flag=True, help="Remove it; otherwise it is only shown.")
@click.option("--older-than", help="Keep what is younger, such as 30d (the default) or 12h.")
@click.option("--list", "every", is_flag=True, help="Name every file.")
def gc_command(apply: bool, older_than: str | None, every: bool) -> None:
    """Show what no model version, latest result or retention time needs, and remove it.

    Never a source file. FACTORY_KEEP sets the default of --older-than.
    """
    from factory_assets.cli.gc import collect, listing, total

    found = collect(older_than, apply)
    for line in listing(found, every=every):
        click.echo(line)
    if not found:
        click.echo("nothing to remove")
    elif apply:
        click.echo(f"removed {total(found)}")
    else:
        click.echo(f"{total(found)}; nothing is removed without --apply")


@command("schema")
@click.argument("what", type=click.Choice(["defs", "trace"]), default="defs")
def schema_command(what: str) -> None:
    """Print the JSON Schema of a defs.yaml, for editors, or of `factory trace --json`."""
    from factory_assets.cli.schema import schema_text
    from factory_assets.cli.trace import trace_schema_text

    click.echo(schema_text() if what == "defs" else trace_schema_text(), nl=False)


def _console() -> Any:
    from rich.console import Console

    console = Console()
    # A pipe has no width of its own; the table needs this much.
    return console if console.is_terminal else Console(width=120)
