"""Check the Python objects that a declaration names: the function of a source, the user's model.

They are imported inside a boundary, by `python -m factory_assets.cli.check.user_objects FOLDER`.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

from click.exceptions import Exit

from factory_assets.cli.check.sources import placed_sources
from factory_assets.cli.code_inside import names_model, names_sources, output_inside
from factory_assets.data.sources.python import load_function
from factory_assets.declarations.loader import at_line, load_pipeline, read
from factory_assets.declarations.messages import Mistake
from factory_assets.declarations.yaml_document import At
from factory_assets.ml.models.kinds import custom_kind, not_a_network, require_searchable
from factory_assets.spec import Pipeline, PythonSource
from factory_assets.spec.models import OwnModule
from factory_assets.spec.train import Train, Trainer
from factory_assets.spec.tune import Tune, space_of
from factory_resources.errors import DeclarationError, FactoryError
from factory_resources.home.home import Home
from factory_resources.interpreter import module_command


def user_object_mistakes(pipeline: Pipeline) -> Iterator[Mistake]:
    """Import what the declaration names; yield what is missing or of the wrong kind.

    Raises:
        BoundaryError: a boundary is required, and there can be none.
        Exit: a boundary could not be set up.
    """
    if names_sources(pipeline) or names_model(pipeline):
        command = module_command("factory_assets.cli.check.user_objects")
        try:
            with tempfile.TemporaryDirectory(prefix="factory-check-") as home:
                folder = str(pipeline.folder)
                output = output_inside([*command, folder], [pipeline], Home(Path(home)))
        except Exit as ended:
            # It has told why it failed.
            if ended.exit_code == FactoryError.exit_code:
                raise
            what = f"importing its Python code ended the process (exit code {ended.exit_code})"
            yield Mistake((), f"{what}; import it in Python to see why")
            return
        if output is not None:
            yield from (Mistake(tuple(at), message) for at, message in json.loads(output))
            return
    yield from _mistakes(pipeline)


def _mistakes(pipeline: Pipeline) -> Iterator[Mistake]:
    for at, error in _errors(pipeline):
        yield Mistake(at, f"{error.what}; {error.remedy}")


def with_line(error: DeclarationError, pipeline: Pipeline) -> DeclarationError:
    """Return the error of a run with file and line, as `factory check` words it, if an object
    caused it."""
    # No run reads outcomes.
    for at, cause in (one for one in _errors(pipeline) if one[0][0] != "watch"):
        document = read(pipeline.folder)[1]
        place = at_line(pipeline.folder, document, Mistake(at, cause.what))
        return DeclarationError(place.what, where=place.where, remedy=cause.remedy)
    return error


def _errors(pipeline: Pipeline) -> Iterator[tuple[At, DeclarationError]]:
    folder, train = pipeline.folder, pipeline.spec.train
    for at, source in placed_sources(pipeline):
        if isinstance(source, PythonSource):
            yield from _error((*at, "python"), partial(load_function, source, folder))
    if train and isinstance(train.model, OwnModule):
        errors = [*_error(("train", "model", "python"), partial(custom_kind, train.model, folder))]
        yield from errors
        if not errors:
            yield from _of_networks(train, train.model, folder)
        if train.tune and not errors:
            yield from _unsearchable(train.model, train.tune, folder)


def _of_networks(
    train: Train, model: OwnModule, folder: Path
) -> Iterator[tuple[At, DeclarationError]]:
    """Yield what is declared of an estimator although only a network has it."""
    if custom_kind(model, folder) == "network":
        return
    for name in model.of_networks:
        yield ("train", "model", name), not_a_network(model, name, folder)
    if train.trainer != Trainer():
        yield ("train", "trainer"), not_a_network(model, "trainer", folder, "leave it out")
    if train.budget:
        yield (
            ("train", "budget"),
            DeclarationError(
                f"{model.python} is fitted in one step and cannot be stopped early",
                where=str(folder),
                remedy="leave the budget out, or choose a network, lightgbm or auto",
            ),
        )


def _unsearchable(
    model: OwnModule, tune: Tune, folder: Path
) -> Iterator[tuple[At, DeclarationError]]:
    if tune.search:
        for name in tune.search:
            at = ("train", "tune", "search", name)
            yield from _error(at, partial(require_searchable, model, name, folder))
    else:
        first = next(iter(space_of(model, tune)))
        yield from _error(("train", "tune"), partial(require_searchable, model, first, folder))


def _error(at: At, load: Callable[[], object]) -> Iterator[tuple[At, DeclarationError]]:
    try:
        load()
    except DeclarationError as error:
        yield at, error


def main(folder: Path) -> None:
    """Print the mistakes of one declaration as JSON, apart from what the user's modules print."""
    with redirect_stdout(sys.stderr):
        found = [(one.at, one.message) for one in _mistakes(load_pipeline(folder))]
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
