"""The commands around serving: options, help texts and exit codes."""

from pathlib import Path

import click
from click.core import ParameterSource

from factory_assets.cli.group import PATH, command, console, main

_NAMES = "Pipelines that the token gives access to, separated by commas."


@command("serve", acts=True)
@click.argument("pipelines", nargs=-1)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8080, show_default=True, help="0: any."
)
@click.option("--tls-cert", type=PATH, help="Certificate of the server.")
@click.option("--tls-key", type=PATH, help="Its private key.")
@click.option("--behind-proxy", is_flag=True, help="A proxy in front of the server terminates TLS.")
def serve_command(
    pipelines: tuple[str, ...],
    host: str,
    port: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    behind_proxy: bool,
) -> None:
    """Answer prediction requests with the champions of PIPELINES (default: all) until Ctrl-C.

    Every answer is logged before it is sent. A new champion takes over without a restart, and a
    pipeline that a person stopped answers no more. /docs describes what can be asked.

    Without tokens the server answers you and root on this machine only. For another --host, a token
    and TLS are needed.
    """
    from factory_assets.cli.serve import serve_champions
    from factory_assets.serving.http.listen import Listen

    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key belong together")
    serve_champions(pipelines, Listen(host, port, tls_cert, tls_key, behind_proxy))


@main.group("token")
def token_group() -> None:
    """Make the tokens by which programs ask for predictions."""


@command("new", group=token_group, acts=True)
@click.option("--for", "name", required=True, help="Who will use it, such as a program's name.")
@click.option("--pipelines", required=True, help=_NAMES)
@click.option("--valid", default="90d", show_default=True, help="How long it is valid.")
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    help="The most requests a second (default: no limit).",
)
def token_new_command(name: str, pipelines: str, valid: str, rate: float | None) -> None:
    """Make a token and show it, once: only its hash is kept."""
    from factory_assets.cli.token import new_token

    click.echo(new_token(name, pipelines, valid, rate))


@command("list", group=token_group)
def token_list_command() -> None:
    """List the tokens: name, pipelines, until when."""
    from factory_assets.cli.token import token_lines

    for line in [*token_lines()] or ["there are no tokens; make one: factory token new"]:
        click.echo(line)


@command("revoke", group=token_group, acts=True)
@click.argument("name")
def token_revoke_command(name: str) -> None:
    """Revoke the token of NAME at once."""
    from factory_assets.cli.token import revoke_token

    click.echo(revoke_token(name))


@command("feedback", acts=True)
@click.argument("pipeline")
@click.argument("file", required=False, type=PATH)
@click.option("--id-column", default="id", show_default=True, help="Column with the ids.")
@click.option(
    "--outcome-column", default="outcome", show_default=True, help="Column with the true values."
)
@click.option(
    "--observed-column",
    help="Column with the times when they turned out.  [default: observed, if present]",
)
@click.option("--key", help="Column of the source that names the answers, instead of ids.")
@click.option("--since", help="Count only answers since this day, such as 2026-03-01.")
@click.option(
    "--missing-after",
    type=click.IntRange(0, 36_500),
    default=7,
    show_default=True,
    help="Days after which an answer without an outcome counts as late.",
)
def feedback_command(
    pipeline: str,
    file: Path | None,
    id_column: str,
    outcome_column: str,
    observed_column: str | None,
    key: str | None,
    since: str | None,
    missing_after: int,
) -> None:
    """Record the outcomes of answers of PIPELINE, or count them.

    FILE is CSV, Parquet or JSON Lines, with a row for each outcome. All rows are recorded, or none:
    a wrong one ends the command with exit code 2. Sending a file again changes nothing; another
    value for the same answer corrects the earlier one.

    Without --key the rows have the ids of answers. With it, an outcome belongs to the latest answer
    before it was observed that was about the same value of that column.

    Without FILE, print how many answers have an outcome, and how late outcomes came.
    """
    from factory_assets.cli.feedback import feedback_lines, summary_table
    from factory_assets.serving.feedback.table import OutcomeColumns

    if file is None:
        console().print(summary_table(pipeline, since, missing_after))
        return
    source = click.get_current_context().get_parameter_source
    for name in ("since", "missing_after"):
        if source(name) is not ParameterSource.DEFAULT:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} is about counting outcomes: leave out FILE, or it")
    if key and source("id_column") is not ParameterSource.DEFAULT:
        raise click.UsageError("--id-column and --key both name the answers: leave out one of them")
    columns = OutcomeColumns(id_column, outcome_column, observed_column, key)
    for line in feedback_lines(pipeline, file, columns):
        click.echo(line)


@main.group("answers")
def answers_group() -> None:
    """Find and prove logged answers; destroy the keys of their sensitive values."""


@command("find", group=answers_group)
@click.argument("pipeline")
@click.argument("named", metavar="COLUMN=VALUE")
def answers_find_command(pipeline: str, named: str) -> None:
    """List the answers of PIPELINE about a case: their times and ids, for factory trace.

    COLUMN is an input as the source names it, or a key of deploy.log.keys, such as a case number.
    The whole log of the pipeline is read.
    """
    from factory_assets.cli.answers import found_answers

    for line in found_answers(pipeline, named):
        click.echo(line)


@command("prove", group=answers_group)
@click.argument("identifier", metavar="ID")
@click.option("--out", required=True, type=PATH, help="Write to this file.")
def answers_prove_command(identifier: str, out: Path) -> None:
    """Write the proof that the request of ID was answered as it was, or that none had this id.

    An auditor checks it with factory_verify.py, its option --prediction and a copy of the home.
    """
    from factory_assets.cli.answers import write_proof

    told, warning = write_proof(identifier, out)
    if warning:
        click.echo(f"warning: {warning}", err=True)
    click.echo(told)


@command("destroy-keys", group=answers_group, acts=True)
@click.argument("pipeline")
@click.option(
    "--until", required=True, help="Day such as 2026-03-01; the keys of earlier months go."
)
@click.option("--reason", required=True, help="The reason, which the ledger records.")
def answers_destroy_command(pipeline: str, until: str, reason: str) -> None:
    """Make the sensitive values in answers of PIPELINE unreadable for ever.

    Destroys the keys of all months before that of the day. The answers stay, and still verify.
    """
    from factory_assets.cli.answers import destroy_answer_keys

    click.echo(destroy_answer_keys(pipeline, until, reason))
