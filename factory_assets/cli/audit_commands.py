"""The commands of auditors: options, help texts and exit codes."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from factory_assets.cli.group import PATH, command, console, json_option, main

if TYPE_CHECKING:
    from factory_assets.audit.dossier.outlines import DocumentKind
    from factory_assets.cli.dossier import DossierFormat


@command("trace")
@click.argument("name")
@click.option(
    "--row", help="Trace one row: its number (from 1), or SOURCE:NUMBER, as in data.csv:17."
)
@json_option("trace, or answer_trace")
@click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write one page with the lineage drawn to this file.",
)
@click.option(
    "--prov",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the trace to this file in W3C PROV (PROV-JSON).",
)
@click.option("--answers", is_flag=True, help="For a source: list the ids of the models' answers.")
@click.option(
    "--influence", is_flag=True, help="For an answer: list the training rows that moved it."
)
@click.option(
    "--edge-log", type=PATH, help="For an answer: look in the log of a pack that has not come home."
)
@click.option(
    "--evidence",
    type=PATH,
    help="For an answer of another factory: trace it in this archive of factory evidence.",
)
@click.option(
    "--prediction",
    type=PATH,
    help="With --evidence: the answer's proof, which factory answers prove wrote.",
)
@click.option("--no-verify", is_flag=True, help="Do not read stored files to verify their digests.")
def trace_command(
    name: str,
    row: str | None,
    as_json: bool,
    page: Path | None,
    prov: Path | None,
    answers: bool,
    influence: bool,
    edge_log: Path | None,
    evidence: Path | None,
    prediction: Path | None,
    no_verify: bool,
) -> None:
    """Trace NAME back to its sources, or forward to its models and their answers.

    NAME is a model version (pipeline@3, pipeline@champion), a snapshot (pipeline/clean,
    pipeline/clean@<data version>, pipeline/split.train), a source (a path, sha256:<digest>) or the
    id of an answer, which is traced back to its version, the people who approved it, and its
    sources. An answer of another factory needs no home.

    Exit code 1: a stored file or record is missing, was changed, or contradicts another.
    """
    from factory_assets.cli.tracing import TraceOptions, run_tracing

    options = TraceOptions(
        row=row,
        as_json=as_json,
        page=page,
        prov=prov,
        answers=answers,
        influence=influence,
        edge_log=edge_log,
        evidence=evidence,
        prediction=prediction,
        verify=not no_verify,
    )
    text, problems = run_tracing(name, options)
    click.echo(text, nl=False)
    sys.exit(1 if problems else 0)


@command("reproduce")
@click.argument("name")
@json_option()
def reproduce_command(name: str, as_json: bool) -> None:
    """Train a model version again and compare the weights.

    NAME is a model version: pipeline@3 or pipeline@champion. It is trained from the recorded rows,
    declaration and seed. Nothing is registered or deployed.

    Exit code 1: the two models differ.
    """
    from rich.console import Console

    from factory_assets.cli.reproduce import reproduction_text, require_version, run_reproduce
    from factory_assets.cli.run_inside import run_inside
    from factory_assets.cli.wrapping import json_text
    from factory_assets.execution.run_boundary import pipelines_of
    from factory_resources.home.home import Home

    # Progress must not be mixed into the JSON.
    progress = Console(stderr=True) if as_json else console()
    require_version(name, Home.from_env())
    arguments = ["reproduce", *(["--json"] if as_json else []), "--", name]
    code = run_inside(arguments, pipelines_of([name.partition("@")[0]]), Home.from_env(), None)
    if code is not None:
        sys.exit(code)
    result = run_reproduce(name, progress)
    click.echo(json_text(result) if as_json else reproduction_text(result), nl=False)
    sys.exit(0 if result.identical else 1)


@command("influence")
@click.argument("name")
@click.option(
    "--row", help="The predicted row: its number in the stored predictions, or SOURCE:NUMBER."
)
@click.option(
    "--file",
    type=PATH,
    help="Take the row from this file, which has the source's columns; --row is its number.",
)
@click.option("--suspicious", is_flag=True, help="List training rows whose label may be wrong.")
@click.option(
    "--top",
    type=click.IntRange(1, 1000),
    default=10,
    show_default=True,
    help="How many training rows to list.",
)
@json_option()
def influence_command(
    name: str, row: str | None, file: Path | None, suspicious: bool, top: int, as_json: bool
) -> None:
    """List the training rows that moved a prediction most.

    Each is listed with its source file and record. Needs either --row or --suspicious.

    NAME is a model version (pipeline@3, pipeline@champion) whose influence was measured, which
    needs `evaluate: {influence: {}}` in the declaration. A positive score means that the training
    row raised the prediction, a negative one that it lowered it.
    """
    from factory_assets.cli.influence import influence_text, run_influence
    from factory_assets.cli.wrapping import json_text

    result = run_influence(name, row, file, suspicious=suspicious, top=top)
    click.echo(json_text(result) if as_json else influence_text(result), nl=False)


@command("verify")
@click.argument("path", required=False, type=PATH)
@click.option("--key", metavar="VKEY", help="The ledger's public key, known from elsewhere.")
@click.option("--policy", type=PATH, help="A C2SP tlog-policy: which witnesses count.")
@click.option("--since", type=PATH, help="A checkpoint that you kept earlier.")
@click.option("--keep", type=PATH, help="Write the checkpoint here.")
@click.option(
    "--dossier", type=PATH, help="Compare each value of this dossier (JSON) with what it cites."
)
@json_option()
def verify_command(
    path: Path | None,
    key: str | None,
    policy: Path | None,
    since: Path | None,
    keep: Path | None,
    dossier: Path | None,
    as_json: bool,
) -> None:
    """Verify the ledger, and every file that it names.

    PATH is a home, a copy of one, or an evidence archive (default: the factory's home). The file
    factory_verify.py in an archive does the same on a machine without the factory.

    Exit code 1: something was changed, is missing or contradicts the ledger.
    """
    from factory_assets.cli.verify import verify

    options = {
        "--key": key,
        "--policy": policy,
        "--since": since,
        "--keep": keep,
        "--dossier": dossier,
    }
    sys.exit(verify(path, options, as_json=as_json))


@command("evidence")
@click.argument("name")
@click.option("--out", type=PATH, required=True, help="The archive to write, a .zip.")
@click.option(
    "--since",
    type=PATH,
    help="A checkpoint that the auditor kept: prove that the ledger extends it.",
)
@click.option("--with-rows", is_flag=True, help="Include the tables' files, which contain rows.")
def evidence_command(name: str, out: Path, since: Path | None, with_rows: bool) -> None:
    """Write what is needed to verify a model version offline.

    NAME is a model version: pipeline@3 or pipeline@champion. The archive contains the ledger's
    entries about it with their proofs, the records, the model's files, and the verifier itself.
    """
    from factory_assets.cli.evidence import write_evidence

    click.echo(write_evidence(name, out, since, with_rows=with_rows))


@command("dossier")
@click.argument("name")
@click.option(
    "--as",
    "kind",
    type=click.Choice(["dossier", "model-card", "data-sheet"]),
    default="dossier",
    show_default=True,
    help="The document to write.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["md", "html", "pdf", "json", "oscal"]),
    help="json, oscal: for programs; pdf needs the extra `dossier` (default: as --out ends or md).",
)
@click.option("--out", type=PATH, help="The file to write (default: standard output).")
@click.option(
    "--diff",
    "other",
    type=click.IntRange(min=1),
    metavar="VERSION",
    help="Write what differs from the dossier of this version.",
)
def dossier_command(
    name: str,
    kind: "DocumentKind",
    form: "DossierFormat | None",
    out: Path | None,
    other: int | None,
) -> None:
    """Write the technical documentation of a model version from what is recorded.

    NAME is a pipeline or a model version: pipeline, pipeline@3, pipeline@champion (default: the
    champion, else the newest version). Each value has a note that names its record and its entry in
    the ledger. What nobody has recorded or signed is a gap. It claims no conformity with any law.

    Exit code 1: a record that it rests on is missing or was changed; it is printed as a gap.
    """
    from factory_assets.cli.dossier import write_dossier

    sys.exit(0 if write_dossier(name, kind, form, out, other) else 1)


@command("witness", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def witness_command(words: tuple[str, ...]) -> None:
    """Make the key of a witness, or cosign a checkpoint (new, cosign).

    A witness is another machine or person that sees every checkpoint, and refuses to cosign another
    history. It needs only the file factory_verify.py, which has the same command.
    """
    from factory_resources.ledger.factory_verify import main as verifier

    sys.exit(verifier(["witness", *words]))


@main.group("ledger")
def ledger() -> None:
    """Exchange checkpoints with witnesses by files, or export the log."""


@command("request", ledger)
@click.option("--for", "name", help="The witness's name in the policy (default: the only one).")
@click.option("--out", type=PATH, required=True, help="The file for the witness.")
@click.option(
    "--old",
    type=click.IntRange(min=0),
    metavar="N",
    help="Entries that the witness says it saw last (default: by its last cosignature here).",
)
def request_command(name: str | None, out: Path, old: int | None) -> None:
    """Write the latest checkpoint for a witness, with the proof that it extends the last one."""
    from factory_assets.cli.ledger import write_request

    click.echo(write_request(name, out, old))


@command("add", ledger, acts=True)
@click.argument("file", type=PATH)
def add_command(file: Path) -> None:
    """Store the checkpoint in FILE, which a witness has cosigned."""
    from factory_assets.cli.ledger import add_cosignatures

    click.echo(add_cosignatures(file))


@command("exchange", ledger, acts=True)
@click.argument("folder", type=PATH)
def exchange_command(folder: Path) -> None:
    """Exchange files with all witnesses in FOLDER, which they read and write, too.

    Whatever ends in .cosigned is stored; each witness NAME gets a new NAME.request.
    """
    from factory_assets.cli.ledger import exchange

    for line in exchange(folder):
        click.echo(line)


@command("export", ledger)
@click.option("--out", type=PATH, required=True, help="A new or an exported folder.")
def export_command(out: Path) -> None:
    """Write the log as static files in the format of C2SP tlog-tiles."""
    from factory_assets.cli.ledger import export_tiles

    click.echo(export_tiles(out))
