"""The `factory` command line: options, help texts and exit codes.

The work of a sub-command belongs in the module of its name; most commands are in the modules whose
names end in `_commands`. What `dg` and the Dagster UI already do has no sub-command here.
"""

import gc
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import click

from factory_assets.cli import (  # noqa: F401 - they register
    audit_commands,
    boundary_commands,
    cluster_commands,
    decision_commands,
    door_commands,
    edge_commands,
    erasure_commands,
    exchange_commands,
    governance_commands,
    operation_commands,
    serving_commands,
    supply_commands,
    watch_commands,
)
from factory_assets.cli.group import PATH, STAGES_STORED, command, console
from factory_assets.cli.group import main as main


@command("run", interrupted=STAGES_STORED)
@click.argument("pipelines", nargs=-1)
@click.option("--stages", default="", help="Run only these stages, separated by commas.")
@click.option(
    "--partition",
    "partitions",
    multiple=True,
    help="Run only the partition with this key; may be repeated.",
)
@click.option("--no-reuse", is_flag=True, help="Compute every stage, even if nothing changed.")
@click.option("--rehash", is_flag=True, help="Hash every source again, whatever its size.")
@click.option("--explain", is_flag=True, help="Show what would run, and why; run nothing.")
@click.option(
    "--workers",
    default="",
    help="Number of worker processes, or ray://HOST:PORT of a Ray cluster "
    "(default: FACTORY_WORKERS, else this process does all the work).",
)
def run_command(
    pipelines: tuple[str, ...],
    stages: str,
    partitions: tuple[str, ...],
    no_reuse: bool,
    rehash: bool,
    explain: bool,
    workers: str,
) -> None:
    """Run PIPELINES (default: all) and print a summary table.

    They run in this process, each after the pipelines that it reads; with --workers, several
    processes do partitions, trials and folds at the same time, with the same results. A stage for
    which nothing changed is not computed again: its stored result is reused.

    If a pipeline fails, the others still run. Exit code 1: a gate failed, so the new model was not
    deployed. Exit code 2: an error. Exit code 70: a fault of the factory itself.
    """
    # Of the 2 s of a run in which nothing changed, garbage collection takes .4 s during imports.
    # `run_stage` enables it again before it computes something.
    gc.disable()
    from factory_assets.cli.shared import RunSelection
    from factory_assets.execution.workers.settings import worker_setting

    if explain:
        from factory_assets.cli.explain import print_plan as execute
    else:
        from factory_assets.cli.run import run as execute
    selected = [stage for stage in stages.split(",") if stage]
    if stages and not selected:
        raise click.UsageError("--stages names no stage: write stages such as ingest,clean")
    setting = worker_setting(workers)
    execute(RunSelection(pipelines, selected, partitions, not no_reuse, rehash, setting), console())


@command("check", needs_records=False)
@click.argument("pipelines", nargs=-1)
def check_command(pipelines: tuple[str, ...]) -> None:
    """Find every mistake in the declarations, with file and line.

    Checks PIPELINES (default: all) without running them. Exit code 2: there are mistakes.
    """
    from factory_assets.cli.check.approvals import approval_warnings
    from factory_assets.cli.check.check import check, declaration_warnings
    from factory_assets.cli.check.folders import folder_warnings, writable_warnings
    from factory_assets.cli.check.governance import governance_warnings
    from factory_assets.cli.check.sharing import bound_pipelines
    from factory_assets.declarations.loader import pipeline_folders

    problems = check(pipelines)
    for problem in problems:
        click.echo(str(problem), err=True)
    warnings = (
        declaration_warnings,
        governance_warnings,
        approval_warnings,
        folder_warnings,
        writable_warnings,
    )
    for warning in (one for find in warnings for one in find(pipelines)):
        click.echo(f"warning: {warning}", err=True)
    if problems:
        sys.exit(2)
    for line in bound_pipelines(pipelines):
        click.echo(line)
    count = len({*pipelines}) or len(pipeline_folders())
    click.echo(f"{count} pipeline{'s' if count != 1 else ''}, no problems")


@command("new", needs_records=False)
@click.argument("name")
@click.option(
    "--from",
    "source",
    required=True,
    type=PATH,
    help="The data file, a folder of them or of images in a folder for each class, or a pattern "
    "in quotes, such as '*.csv'.",
)
@click.option("--target", help="The column to predict (default: guessed, with the reason).")
@click.option(
    "--in",
    "folder",
    type=PATH,
    help="The folder of pipelines (default: the first of FACTORY_DEFS, or the factory's own).",
)
def new_command(name: str, source: Path, target: str | None, folder: Path | None) -> None:
    """Profile a data file and write a declaration for it.

    Creates the pipeline NAME as NAME/defs.yaml in the folder of pipelines: contract, inputs, split,
    model and gates, with comments. Nothing is run.
    """
    from factory_assets.cli.new.new import commands_after, new
    from factory_assets.declarations.loader import new_pipelines_folder

    chosen = folder or new_pipelines_folder()
    drafted = new(name, source=source, target=target, folder=chosen)
    click.echo(f"wrote {drafted.path}")
    if drafted.guessed:
        click.echo(
            f"it predicts {drafted.target}: {drafted.guessed} (to predict another column: --target)"
        )
    click.echo(f"next: {commands_after(name, chosen)}")


@command("predict", acts=True)
@click.argument("pipeline")
@click.argument("file", type=PATH)
@click.option(
    "--out",
    type=PATH,
    help="Write to this .csv or .parquet file (default: CSV to standard output).",
)
def predict_command(pipeline: str, file: Path, out: Path | None) -> None:
    """Score the rows of FILE with PIPELINE's champion.

    FILE is read like the pipeline's source, but needs only the model's inputs. A row that breaks
    the contract or a rule gets a reason instead of a prediction.
    """
    from factory_assets.cli.predict import predict_file

    predict_file(pipeline, file, out)


@command("demo", interrupted=STAGES_STORED)
def demo_command() -> None:
    """Run the shipped pipelines and show what to do next."""
    from factory_assets.cli.run import demo

    demo(console())


@command("env")
def env_command() -> None:
    """Print the shell variables that Dagster's commands need.

    Prepares the factory's home first. Use it as: eval "$(factory env)"
    """
    from factory_assets.cli.up import environment

    click.echo(environment(), nl=False)


@command("contract")
@click.argument("pipeline")
@click.option("--out", type=PATH, help="Output file (default: standard output).")
def contract_command(pipeline: str, out: Path | None) -> None:
    """Export PIPELINE's contract in the Open Data Contract Standard.

    The format is ODCS v3.1. Types that the contract leaves open are those of the table that was
    ingested last.
    """
    from factory_assets.cli.contract import contract_text
    from factory_assets.cli.output_file import write_output
    from factory_resources.home.home import Home

    text = contract_text(pipeline, Home.from_env())
    if out is None:
        click.echo(text, nl=False)
    else:
        write_output(out, text.encode())
        click.echo(f"wrote {out}")


@command("gc")
@click.option("--apply", is_flag=True, help="Remove the files (default: only show them).")
@click.option(
    "--older-than",
    metavar="DURATION",
    help="How long to keep what nothing references, such as 12h (default: FACTORY_KEEP or 30d).",
)
@click.option(
    "--versions",
    type=click.IntRange(min=1),
    help="How many of the newest versions of each model stay in any case (default: "
    "disk.versions of factory.yaml, or all).",
)
@click.option("--list", "every", is_flag=True, help="List every file and version.")
def gc_command(apply: bool, older_than: str | None, versions: int | None, every: bool) -> None:
    """Show, or with --apply remove, files that nothing needs.

    A file is needed if a model version or a latest result depends on it, or if it was written or
    used within the retention time. Source files are never removed.

    With --versions, model versions beyond the newest go, too, unless they serve, served before,
    roll out, or gave an answer that is still on record.
    """
    from factory_assets.cli.gc import collect_garbage, listing

    garbage = collect_garbage(older_than, versions, apply)
    for line in listing(garbage, every=every):
        click.echo(line)
    if not garbage:
        click.echo("nothing to remove")
    elif apply:
        click.echo(f"removed {garbage}")
    else:
        click.echo(f"{garbage}; nothing was removed, use --apply to remove")


@command("migrate", any_database=True)
@click.option(
    "--to",
    "target",
    required=True,
    metavar="URL|sqlite|home",
    help="For databases: the address of an empty PostgreSQL database, or sqlite for files in the "
    "home. For tables: s3://bucket/prefix, or home.",
)
@click.option(
    "--stop",
    is_flag=True,
    help="Stop a running `factory up` first, as Ctrl-C does, and wait until its runs have ended.",
)
def migrate_command(target: str, stop: bool) -> None:
    """Carry the databases over to PostgreSQL, or back to SQLite; or the tables to a store.

    All of them are moved: Dagster's runs and events, MLflow, searches, the ledger, answers and
    outcomes. Every row is compared, and the root of the ledger is computed again. Only then does
    the home say that its databases are elsewhere, and the command prints the setting to export. The
    source stays as it was. If the command is killed, run it again.

    Nothing may run meanwhile. With --stop, a running `factory up` is stopped, and the command
    prints how to start it again; the runs that were stopped are retried then. Write passwords into
    ~/.pgpass: the command line is visible to every user of the machine. To carry them back,
    FACTORY_DATABASE_URL must be set as it is.

    To s3://bucket/prefix, the tables, records, models and plots are carried over, to home they are
    carried back. FACTORY_S3_ENDPOINT says where the storage is; the prefix must be empty.
    """
    from factory_assets.cli.migrate import migrate
    from factory_assets.cli.migrate_store import HOME, SCHEME, migrate_tables

    if target == HOME or target.startswith(SCHEME):
        if stop:
            raise click.UsageError("--stop is for databases: stop `factory up` first")
        migrate_tables(target, console())
        return
    migrate(target, console(), stop=stop)


@command("schema", needs_records=False)
@click.argument(
    "what",
    type=click.Choice(["defs", "governance", "trace", "answer_trace", "status", "cost"]),
    default="defs",
)
def schema_command(what: str) -> None:
    """Print the JSON Schema of defs.yaml or governance.yaml, or of the JSON of other commands.

    defs (default) and governance are for editors of these files, the others for readers of
    factory trace --json, of that of an answer (answer_trace), of factory status --json, and of
    factory cost --json.
    """
    from factory_assets.audit.cost.report import CostReport
    from factory_assets.audit.trace.answer.report import AnswerTrace
    from factory_assets.audit.trace.report import Trace
    from factory_assets.cli.schema import governance_schema_text, output_schema_text, schema_text
    from factory_assets.cli.status.report import FactoryStatus

    texts: Mapping[str, Callable[[], str]] = {
        "defs": schema_text,
        "governance": governance_schema_text,
        "trace": partial(output_schema_text, Trace),
        "answer_trace": partial(output_schema_text, AnswerTrace),
        "status": partial(output_schema_text, FactoryStatus),
        "cost": partial(output_schema_text, CostReport),
    }
    click.echo(texts[what](), nl=False)
