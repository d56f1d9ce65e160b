"""Check the Python objects that a declaration names: the function of a source, the user's model."""

from collections.abc import Callable, Iterator
from functools import partial

from factory_assets.cli.check.sources import placed_sources
from factory_assets.data.sources.python import load_function
from factory_assets.declarations.loader import at_line, read
from factory_assets.declarations.messages import Mistake
from factory_assets.declarations.yaml_document import At
from factory_assets.ml.models.kinds import custom_kind
from factory_assets.spec import Pipeline, PythonSource
from factory_assets.spec.models import OwnModule
from factory_resources.errors import DeclarationError


def user_object_mistakes(pipeline: Pipeline) -> Iterator[Mistake]:
    """Import what the declaration names; yield what is missing or of the wrong kind."""
    for at, error in _errors(pipeline):
        yield Mistake(at, f"{error.what}; {error.remedy}")


def with_line(error: DeclarationError, pipeline: Pipeline) -> DeclarationError:
    """Return the error with file and line, as `factory check` words it, if an object caused it."""
    for at, cause in _errors(pipeline):
        document = read(pipeline.folder)[1]
        place = at_line(pipeline.folder, document, Mistake(at, cause.what))
        return DeclarationError(place.what, where=place.where, remedy=cause.remedy)
    return error


def _errors(pipeline: Pipeline) -> Iterator[tuple[At, DeclarationError]]:
    train = pipeline.spec.train
    named: list[tuple[At, Callable[[], object]]] = [
        ((*at, "python"), partial(load_function, source, pipeline.folder))
        for at, source in placed_sources(pipeline.spec.ingest)
        if isinstance(source, PythonSource)
    ]
    if train and isinstance(train.model, OwnModule):
        load_model = partial(custom_kind, train.model, pipeline.folder)
        named.append((("train", "model", "python"), load_model))
    for at, load in named:
        try:
            load()
        except DeclarationError as error:
            yield at, error
