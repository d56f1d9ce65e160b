"""`factory check`: find every mistake in every declaration, without running anything.

Checks of SQL belong in `expressions`, of sources in `sources`, of what is learned in `training`,
and of one file by itself in `factory_assets.declarations`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from factory_assets.cli.check.columns import (
    Headers,
    bind_newest_partition,
    headers,
    known_columns,
)
from factory_assets.cli.check.expressions import (
    expression_mistakes,
    other_row_mistakes,
)
from factory_assets.cli.check.governance import governance_problems
from factory_assets.cli.check.sources import (
    absent_sources,
    join_mistakes,
    outcome_mistakes,
    source_mistakes,
    unread_joined_columns,
    unread_settings,
    upstream_mistakes,
)
from factory_assets.cli.check.training import metric_mistakes, training_mistakes
from factory_assets.cli.check.user_assets import user_asset_problems
from factory_assets.cli.check.user_objects import user_object_mistakes
from factory_assets.cli.shared import unknown_pipeline
from factory_assets.data.contract.rules import pattern_error, rules_of
from factory_assets.data.contract.validation import require_distinct
from factory_assets.data.privacy.first_lines import suggest_column
from factory_assets.data.privacy.sensitive_columns import sensitive_misuses
from factory_assets.declarations.contract_file import unchecked
from factory_assets.declarations.folders import (
    ASSETS_FILE,
    RENAME,
    asset_folders,
    declared_again,
    settings_file,
)
from factory_assets.declarations.governance import read_governance
from factory_assets.declarations.loader import (
    FILE,
    Problem,
    at_line,
    defs_folders,
    every_pipeline_folder,
    read,
    valid_pipelines,
)
from factory_assets.declarations.messages import Mistake, of_section
from factory_assets.declarations.people import load_people
from factory_assets.declarations.settings import load_settings
from factory_assets.declarations.yaml_document import parse
from factory_assets.execution.boundary_level import import_refused
from factory_assets.execution.lineage_events import refused_line
from factory_assets.ml.features.columns import input_columns
from factory_assets.spec import Pipeline
from factory_assets.spec.base import suggest
from factory_resources.encoders.sentence_encoder import encoder_folder
from factory_resources.errors import ContractError, ModelError, SourceError


def check(pipelines: Sequence[str] = ()) -> list[Problem]:
    """Return every problem of the named pipelines, or of all, sorted by file and line.

    Raises:
        DeclarationError: there is no pipeline of that name, or `factory.yaml` or `people.yaml` is
            wrong.
    """
    load_settings()
    load_people()
    folders = every_pipeline_folder()
    names = [folder.name for folder in folders]
    for name in pipelines:
        if name not in names:
            raise unknown_pipeline(name, names)
    selected = [folder for folder in folders if not pipelines or folder.name in pipelines]
    problems = [problem for folder in selected for problem in check_folder(folder)]
    problems += [*_unsent_events(), *_untold_alerts(names), *_refused_imports()]
    if not pipelines:
        problems += [*_wrong_folders(), *user_asset_problems()]
    return sorted([*problems, *_clashes(selected)])


def _unsent_events() -> Iterator[Problem]:
    """Yield the server of events that runs may not reach: they go on, and their events wait."""
    declared = load_settings()
    if declared and (refused := declared.settings.refused_events):
        file = settings_file()
        line = parse(file.read_bytes()).value_line(("openlineage", "address"))
        yield Problem(file, line, "openlineage.address", refused_line(refused))


def _untold_alerts(names: Sequence[str]) -> Iterator[Problem]:
    """Yield the names in `alerts` that no pipeline has: nobody would be told of the one meant."""
    declared, file = load_settings(), settings_file()
    channels = declared.settings.alerts if declared else ()
    for i, channel in enumerate(channels):
        for j, name in enumerate(channel.pipelines):
            if name not in names:
                line = parse(file.read_bytes()).value_line(("alerts", i, "pipelines", j))
                what = f"no pipeline {name!r}; {suggest(name, names)}"
                yield Problem(file, line, f"alerts.{i}.pipelines.{j}", what)


def _refused_imports() -> Iterator[Problem]:
    """Yield the assets of the user's that the code server does not load."""
    if refused := import_refused():
        for folder in asset_folders():
            yield Problem(folder / ASSETS_FILE, 1, "", refused)


def declaration_warnings(pipelines: Sequence[str] = ()) -> list[Problem]:
    """Return sources that are not there and joined columns that are not read, then promises of
    contract files that nothing checks.

    A file may come later, or the path is mistyped. Pipelines whose declaration has problems are
    left out.
    """
    sources, promises = list[Problem](), list[Problem]()
    for folder, pipeline, document in valid_pipelines(pipelines):
        for one in (*absent_sources(pipeline), *unread_joined_columns(pipeline)):
            sources.append(at_line(folder, document, one))
        for file, line, what in unchecked(document.data["attributes"], folder):
            promises.append(Problem(file, line, "", f"not checked: {what}"))
    return [*sorted(sources), *sorted(promises)]


def check_folder(folder: Path) -> list[Problem]:
    """Return every problem of one declaration.

    Problems that show only in a declaration that loads are not looked for in one that does not.
    """
    pipeline, document, problems = read(folder)
    if pipeline is None:
        return [*problems, *read_governance(folder)[2]]
    found = [at_line(folder, document, mistake) for mistake in _deep_mistakes(pipeline)]
    return sorted([*found, *governance_problems(pipeline)])


def _deep_mistakes(pipeline: Pipeline) -> Iterator[Mistake]:
    yield from user_object_mistakes(pipeline)
    yield from _contract(pipeline)
    yield from metric_mistakes(pipeline)
    yield from training_mistakes(pipeline)
    yield from _encoders(pipeline)
    yield from unread_settings(pipeline)
    pipeline = bind_newest_partition(pipeline)
    mistakes = [*source_mistakes(pipeline), *join_mistakes(pipeline), *upstream_mistakes(pipeline)]
    mistakes += outcome_mistakes(pipeline)
    yield from mistakes
    if mistakes:
        return
    columns = headers(pipeline)
    yield from _missing_columns(pipeline, columns or {})
    yield from _unlike_files(pipeline, columns or {})
    yield from _clashing_names(pipeline, columns or {})
    known = known_columns(pipeline, columns or {})
    clean = pipeline.spec.clean
    mistakes = list(expression_mistakes(clean, known))
    inputs = input_columns(pipeline, clean.columns) if pipeline.spec.train else []
    mistakes += [] if mistakes else other_row_mistakes(clean, inputs)
    yield from mistakes
    declared = pipeline.spec.model_dump(by_alias=True)
    for where, what in () if mistakes else sensitive_misuses(pipeline):
        yield of_section((), declared, f"{where}: {what}")
    if known is not None:
        if not pipeline.spec.ingest.contract.columns:
            for line in pipeline.spec.ingest.contract.unknown_columns(tuple(known)):
                yield of_section(("ingest",), declared["ingest"], line)
        for line in pipeline.spec.unknown_columns((*known, *clean.columns)):
            yield of_section((), declared, line)


def _contract(pipeline: Pipeline) -> Iterator[Mistake]:
    """Yield rules that no value can satisfy, and names that SQL cannot tell apart."""
    seen = {label.lower(): label for label in pipeline.spec.ingest.labels}
    for i, column in enumerate(pipeline.spec.ingest.contract.columns):
        at = ("ingest", "contract", "columns", i)
        if other := seen.get(column.name.lower()):
            message = f"columns {other!r} and {column.name!r} differ only in case, or not at all"
            yield Mistake((*at, "name"), f"{message}; rename one")
        seen[column.name.lower()] = column.name
        try:
            if column.type:
                rules_of(column, column.type, "v", "m")
        except ContractError as error:
            yield Mistake(at, str(error))
        if column.pattern and (reason := pattern_error(column.pattern)):
            message = f"{column.pattern!r} is not a regular expression: {reason}"
            yield Mistake((*at, "pattern"), message)


def _encoders(pipeline: Pipeline) -> Iterator[Mistake]:
    """Yield encoders of texts that are not on this machine."""
    declared = pipeline.spec.train.text if pipeline.spec.train else None
    for column, encoder in (declared or {}).items():
        try:
            encoder_folder(encoder)
        except (ModelError, SourceError) as error:
            yield Mistake(("train", "text", column), f"{error.what}; {error.remedy}")


def _missing_columns(pipeline: Pipeline, files: Headers) -> Iterator[Mistake]:
    """Yield contract columns that a source file does not have."""
    contract = pipeline.spec.ingest.contract.columns
    declared = [column.source_name for column in contract]
    hidden = [column.source_name for column in contract if column.sensitive]
    for i, column in enumerate(contract):
        for file, columns in files.items():
            if column.source_name not in columns:
                key = "name" if column.source is None else "from"
                message = f"no column {column.source_name!r} in {file}"
                remedy = suggest_column(column.source_name, columns, declared, hidden)
                yield Mistake(("ingest", "contract", "columns", i, key), f"{message}; {remedy}")
                break


def _unlike_files(pipeline: Pipeline, files: Headers) -> Iterator[Mistake]:
    """Yield a column that only some files have, if all columns are read of each."""
    every = dict.fromkeys(name for columns in files.values() for name in columns)
    for file, columns in () if pipeline.spec.ingest.contract.columns else files.items():
        for name in every:
            if name not in columns:
                what = f"no column {name!r} in {file}, though another file has it"
                remedy = suggest_column(name, columns, every, ())
                yield Mistake(("ingest",), f"{what}; {remedy}", at_key=True)
                return


def _clashing_names(pipeline: Pipeline, files: Headers) -> Iterator[Mistake]:
    """Yield names in files, all columns of which are read, that no table can have together."""
    ingest = pipeline.spec.ingest
    for file, columns in () if ingest.contract.columns else files.items():
        try:
            require_distinct(columns, ingest.labels)
        except ContractError as error:
            yield Mistake(("ingest",), f"{file}: {error}", at_key=True)
            return


def _clashes(folders: Sequence[Path]) -> Iterator[Problem]:
    for folder, what in declared_again().items():
        if folder in folders:
            yield Problem(folder / FILE, 1, "", f"{what}; {RENAME}")


def _wrong_folders() -> Iterator[Problem]:
    """Yield folders in FACTORY_DEFS in which no pipeline is found, and declarations not read."""
    for folder in defs_folders():
        if not folder.is_dir():
            yield Problem(folder, 1, "", "FACTORY_DEFS names this folder, but it does not exist")
        elif (folder / FILE).is_file():
            what = "FACTORY_DEFS names the folder of one pipeline; name the folder that contains it"
            yield Problem(folder / FILE, 1, "", what)
        other = FILE.replace(".yaml", ".yml")
        for file in sorted(folder.glob(f"*/{other}")):
            if not file.with_name(FILE).exists():
                yield Problem(file, 1, "", f"this file is not read; rename it to {FILE}")
