"""`factory influence`: the training rows that moved a prediction, or that stand alone."""

from collections.abc import Iterator
from pathlib import Path

from factory_assets.audit.influence import InfluenceReport, TrainingRow
from factory_assets.audit.references import SHORT, ModelName, parse
from factory_assets.cli.shared import fit_width, select
from factory_assets.declarations.loader import pipeline_folders
from factory_resources.errors import ModelError, UnknownNameError
from factory_resources.home.home import Home


def run_influence(
    text: str, row: str | None, file: Path | None, *, suspicious: bool, top: int
) -> InfluenceReport:
    """The list of a model version.

    Raises:
        UnknownNameError: it is no model version, or not one question is asked.
        FactoryError: as `influential`.
    """
    name = parse(text)
    if not isinstance(name, ModelName):
        raise UnknownNameError(f"{text!r} is no model version", remedy="write pipeline@3")
    if suspicious == (row is not None) or (file and suspicious):
        raise UnknownNameError(
            "one question at a time", remedy="give --row N, with or without --file, or --suspicious"
        )
    [pipeline] = select([name.pipeline])
    if pipeline.spec.train is None:
        raise ModelError(f"{name.pipeline!r} has no model", remedy="name a pipeline that trains")
    from factory_assets.audit import influence
    from factory_assets.data.privacy.sensitive_columns import redact_errors

    folders = {folder.name: folder for folder in pipeline_folders()}
    home = Home.from_env()
    with redact_errors(pipeline):
        if row is None:
            return influence.suspicious(pipeline, name, home, top=top, folders=folders)
        return influence.influential(pipeline, name, row, home, file=file, top=top, folders=folders)


def influence_json(found: InfluenceReport) -> str:
    return found.model_dump_json(indent=1) + "\n"


def influence_text(found: InfluenceReport) -> str:
    """The list for a person."""
    return "\n".join(line for told in _lines(found) for line in fit_width(told)) + "\n"


def _lines(found: InfluenceReport) -> Iterator[str]:
    said = f": {found.said}" if found.said is not None else ""
    yield f"{found.model}, {found.about}{said}"
    yield f"  LDS {found.lds:.2f} of at most {found.ceiling:.2f}, told from {found.reach}"
    yield f"  {found.claim}"
    many = f"{len(found.rows)} of {found.training_rows:,} training rows"
    yield f"{many}, score in units {found.unit}" if found.said else f"{many}, by {found.unit}"
    for row in found.rows:
        score = f"{row.score:+.4f}" if found.said is not None else f"{row.score:.4f}"
        label = "not shown" if row.label is None else row.label
        yield f"  {score}  {_place(row)}, labelled {label}"


def _place(row: TrainingRow) -> str:
    name = row.source or f"sha256:{row.sha256[:SHORT]}"
    place = f"record {row.record:,} of {name}"
    if row.lines is None:
        return place
    first, last = row.lines
    return f"{place}, line {first:,}" if first == last else f"{place}, lines {first:,} to {last:,}"
