"""`factory influence`: list training rows that moved a prediction, or whose label is suspicious.

How influence is computed belongs in `factory_assets.audit.influence`.
"""

from collections.abc import Iterator
from pathlib import Path

from factory_assets.audit.influence_report import InfluenceReport, TrainingRow
from factory_assets.audit.references import SHOWN_DIGITS, parse_model
from factory_assets.cli.code_inside import names_model, output_inside, path_inside
from factory_assets.cli.run_inside import factory_command
from factory_assets.cli.shared import select
from factory_assets.cli.wrapping import wrap_lines
from factory_assets.declarations.loader import folders_by_name
from factory_resources.errors import ModelError, UnknownNameError
from factory_resources.home.home import Home


def run_influence(
    text: str, row: str | None, file: Path | None, *, suspicious: bool, top: int
) -> InfluenceReport:
    """Return the list for a model version.

    Args:
        text: the name of the model version.
        row: the predicted row whose influences are listed; None with `suspicious`.
        file: the file that `row` is in; None for the stored predictions.
        suspicious: whether to list rows whose label may be wrong.
        top: the number of training rows to list.

    Raises:
        UnknownNameError: the name is not a model version, or not exactly one list is requested.
        FactoryError: as `influential`.
        Exit: the user's model had to be loaded inside a boundary, and that failed.
    """
    name = parse_model(text)
    if suspicious == (row is not None) or (file and suspicious):
        raise UnknownNameError(
            "needs either --row or --suspicious",
            remedy="give --row N, with or without --file, or --suspicious alone",
        )
    [pipeline] = select([name.pipeline])
    if pipeline.spec.train is None:
        raise ModelError(f"{name.pipeline!r} has no model", remedy="name a pipeline that trains")
    home = Home.from_env()
    if names_model(pipeline):
        given = [] if row is None else [f"--row={row}"]
        files = [path_inside(file)] if file else []
        given += [f"--file={one}" for one in files]
        given += ["--suspicious"] if suspicious else []
        command = factory_command(["influence", *given, f"--top={top}", "--json", "--", text])
        output = output_inside(command, [pipeline], home, files)
        if output is not None:
            return InfluenceReport.model_validate_json(output)
    from factory_assets.audit import influence
    from factory_assets.data.privacy.sensitive_columns import redact_errors

    folders = folders_by_name()
    with redact_errors(pipeline):
        if row is None:
            return influence.suspicious(pipeline, name, home, top=top, folders=folders)
        return influence.influential(pipeline, name, row, home, file=file, top=top, folders=folders)


def influence_text(report: InfluenceReport) -> str:
    """Return the list for a terminal, in lines of at most `WIDTH` characters."""
    return wrap_lines(influence_lines(report))


def influence_lines(report: InfluenceReport) -> Iterator[str]:
    """Yield the lines of the list, not wrapped."""
    prediction = f": predicted {report.said}" if report.said is not None else ""
    yield f"{report.model}, {report.about}{prediction}"
    yield f"  LDS {report.lds:.2f} (ceiling {report.ceiling:.2f}), computed from {report.reach}"
    yield f"  {report.claim}"
    count = f"{len(report.rows)} of {report.training_rows:,} training rows"
    yield (
        f"{count}, score in units {report.unit}" if report.said else f"{count}, by {report.unit}"
    )
    for row in report.rows:
        score = f"{row.score:+.4f}" if report.said is not None else f"{row.score:.4f}"
        label = "(hidden)" if row.label is None else row.label
        yield f"  {score}  {_location(row)}, label {label}"


def _location(row: TrainingRow) -> str:
    name = row.source or f"sha256:{row.sha256[:SHOWN_DIGITS]}"
    record = f"record {row.record:,} of {name}"
    if row.lines is None:
        return record
    first, last = row.lines
    if first == last:
        return f"{record}, line {first:,}"
    return f"{record}, lines {first:,} to {last:,}"
