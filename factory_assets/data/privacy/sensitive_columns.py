"""Which columns are sensitive, derived ones included, and where they must not be used.

Finding personal data that is not declared belongs in `pii_scan`.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

from factory_assets.spec import Cnn, Pipeline, PipelineSpec, SequenceNetwork
from factory_resources.errors import DeclarationError, FactoryError
from factory_resources.sql.engine import essence
from factory_resources.sql.expressions import parse

Level = str
"""`personal` or `secret`."""


def sensitive_columns(pipeline: Pipeline) -> dict[str, Level]:
    """Return the level of each sensitive column.

    A column that is computed from sensitive ones has the strictest of their levels.
    """
    spec = pipeline.spec
    levels: dict[str, Level] = {
        c.name: c.sensitive for c in spec.ingest.contract.columns if c.sensitive
    }
    if not levels:
        return {}
    for name, sql in spec.clean.derive.items():
        if level := _strictest(levels, parse(sql, f"{pipeline.name}/clean: derive.{name}").columns):
            levels[name] = level
    if windows := spec.clean.windows:
        for column in windows.columns:
            if level := _strictest(levels, (column,)):
                levels |= dict.fromkeys(windows.of(column), level)
    return levels


def _strictest(sensitive: dict[str, Level], columns: tuple[str, ...]) -> Level | None:
    folded = {name.lower(): level for name, level in sensitive.items()}
    levels = {folded[name.lower()] for name in columns if name.lower() in folded}
    return "secret" if "secret" in levels else next(iter(levels), None)


def sensitive_misuses(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Yield each use that would show or learn a sensitive column: (declared key, message).

    The target, slices, protected groups and groups of uncertainty show their values in plots,
    metrics and predictions. A secret must not even be an input. In a message, the remedy follows
    the first semicolon.
    """
    spec, sensitive = pipeline.spec, sensitive_columns(pipeline)
    if spec.train is None or not sensitive:
        return
    if level := sensitive.get(spec.train.target):
        yield (
            "train.target",
            f"{spec.train.target!r} is {level}, and plots and predictions show its values; "
            "predict another column, or remove `sensitive`",
        )
    for name in spec.deploy.log.keys:
        if sensitive.get(name) == "secret":
            yield (
                "deploy.log.keys",
                f"{name!r} is secret and would be logged; leave it out, or call it personal",
            )
    by = spec.train.uncertainty.by if spec.train.uncertainty else None
    uses = {
        "evaluate.slices": (spec.evaluate.slices, "slices"),
        "evaluate.protected": (spec.evaluate.protected, "fairness figures"),
        "train.uncertainty.by": ([by] if by else [], "figures of coverage"),
    }
    for key, (names, shown) in uses.items():
        for name in names:
            if level := sensitive.get(name):
                yield (
                    key,
                    f"{name!r} is {level}, and {shown} show its values; leave it out, or remove "
                    "`sensitive`",
                )
    unread = {*spec.train.exclude, *_unread_times(spec), spec.split.group, spec.train.target}
    unread.add(spec.split.given.column if spec.split.given else None)
    unread.add(spec.train.model.by if isinstance(spec.train.model, SequenceNetwork) else None)
    for name, level in sensitive.items():
        if level == "secret" and name not in unread:
            yield "train.exclude", f"{name!r} is secret and would be an input; exclude it"


def _unread_times(spec: PipelineSpec) -> set[str]:
    """Return the columns of dates and times that no model of this declaration reads."""
    times = {c.name for c in spec.ingest.contract.columns if c.type in {"date", "timestamp"}}
    if isinstance(spec.training.model, SequenceNetwork | Cnn):
        return times
    return times & {spec.clean.windows.order} if spec.clean.windows else set()


def require_kept_out(pipeline: Pipeline) -> None:
    """Require that the declaration neither shows nor learns a column that it calls sensitive.

    Raises:
        DeclarationError: it does; the message is about the first such use.
    """
    for where, what in sensitive_misuses(pipeline):
        raise DeclarationError(
            what.partition("; ")[0],
            where=f"{pipeline.name}: {where}",
            remedy=what.partition("; ")[2],
        )


def redact_errors(*pipelines: Pipeline) -> AbstractContextManager[None]:
    """Remove data from errors if some column of a pipeline is sensitive: `redact_errors_about`."""
    columns = (c for one in pipelines for c in one.spec.ingest.contract.columns)
    return redact_errors_about(column.sensitive for column in columns)


@contextmanager
def redact_errors_about(levels: Iterable[Level | None]) -> Iterator[None]:
    """Remove data from errors if some column is sensitive.

    The message of a library may quote a value. An error of the factory loses words that it repeats
    from such a message, and its cause, which would be logged too.

    Args:
        levels: of each column; None if it is not sensitive.

    Raises:
        FactoryError: unchanged, or without the quoted words.
        RuntimeError: in place of an unexpected error, with its traceback but not its message.
    """
    try:
        yield
    except FactoryError as error:
        if not any(levels):
            raise
        if _quotes(error):
            error.what = "the data is not valid; details are hidden, as some columns are sensitive"
            error.args = (error.what,)
        error.__cause__ = error.__context__ = None
        raise
    except Exception as error:
        if not any(levels):
            raise
        message = f"{type(error).__name__}; its message is hidden, as some columns are sensitive"
        raise RuntimeError(message).with_traceback(error.__traceback__) from None


# Their messages are about the declaration or the machine, not about values.
_HARMLESS = frozenset(
    {"BinderException", "ParserException", "CatalogException", "IOException", "PermissionException"}
)

_SHORTEST = 4
"""Characters of the shortest message that is searched for."""


def _quotes(error: FactoryError) -> bool:
    """Return whether the message repeats words of the error that caused it."""
    cause = error.__cause__
    if cause is None or isinstance(cause, OSError | FactoryError):
        return False
    if type(cause).__name__ in _HARMLESS:
        return False
    texts = [str(cause).strip(), essence(cause)] if isinstance(cause, Exception) else [str(cause)]
    return any(len(text) >= _SHORTEST and text[:40] in error.what for text in texts)
