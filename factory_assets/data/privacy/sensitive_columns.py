"""Which columns are sensitive, what was made of them included, and where they may not be used."""

from collections.abc import Iterator
from contextlib import contextmanager

from factory_assets.spec import Pipeline, SequenceNetwork
from factory_resources.errors import DeclarationError, FactoryError
from factory_resources.sql.engine import essence
from factory_resources.sql.expressions import parse

Level = str
"""`personal` or `secret`."""


def sensitive_columns(pipeline: Pipeline) -> dict[str, Level]:
    """Column to how sensitive it is; a column that is made of sensitive ones is as they are."""
    spec = pipeline.spec
    found: dict[str, Level] = {
        c.name: c.sensitive for c in spec.ingest.contract.columns if c.sensitive
    }
    if not found:
        return {}
    for name, sql in spec.clean.derive.items():
        if level := _strictest(found, parse(sql, f"{pipeline.name}/clean: derive.{name}").columns):
            found[name] = level
    if windows := spec.clean.windows:
        for column in windows.columns:
            if level := _strictest(found, (column,)):
                found |= dict.fromkeys(windows.of(column), level)
    return found


def _strictest(found: dict[str, Level], columns: tuple[str, ...]) -> Level | None:
    folded = {name.lower(): level for name, level in found.items()}
    levels = {folded[name.lower()] for name in columns if name.lower() in folded}
    return "secret" if "secret" in levels else next(iter(levels), None)


def sensitive_misuses(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Where a sensitive column would be shown or learned: (place in the declaration, what).

    The target, slices and protected groups name their values in plots, metrics and predictions; a
    secret is nothing to learn from.
    """
    spec, found = pipeline.spec, sensitive_columns(pipeline)
    if spec.train is None or not found:
        return
    if level := found.get(spec.train.target):
        yield (
            "train.target",
            f"{spec.train.target!r} is {level}, and plots and predictions show its values; "
            "predict another column, or remove `sensitive`",
        )
    for key, shown in (("slices", "slices"), ("protected", "fairness figures")):
        for name in getattr(spec.evaluate, key):
            if level := found.get(name):
                yield (
                    f"evaluate.{key}",
                    f"{name!r} is {level}, and {shown} show its values; leave it out, or remove "
                    "`sensitive`",
                )
    times = {c.name for c in spec.ingest.contract.columns if c.type in {"date", "timestamp"}}
    unread = {*spec.train.exclude, *times, spec.split.group, spec.train.target}
    unread.add(spec.split.given.column if spec.split.given else None)
    unread.add(spec.train.model.by if isinstance(spec.train.model, SequenceNetwork) else None)
    for name, level in found.items():
        if level == "secret" and name not in unread:
            yield "train.exclude", f"{name!r} is secret and would be an input; exclude it"


def require_kept_out(pipeline: Pipeline) -> None:
    """Refuse a declaration that would show or learn from what it calls sensitive.

    Raises:
        DeclarationError: the first such use.
    """
    for where, what in sensitive_misuses(pipeline):
        raise DeclarationError(
            what.partition("; ")[0],
            where=f"{pipeline.name}: {where}",
            remedy=what.partition("; ")[2],
        )


@contextmanager
def redact_errors(pipeline: Pipeline) -> Iterator[None]:
    """Keep data out of what goes wrong, where some column is sensitive.

    Whoever made an error may have quoted a value in it; an error of ours says the same without the
    other's words, and goes on without its cause, which would be logged as well.

    Raises:
        FactoryError: as it was, or without the words.
        RuntimeError: in place of an error that is nobody's mistake, with its place.
    """
    try:
        yield
    except FactoryError as error:
        if not any(column.sensitive for column in pipeline.spec.ingest.contract.columns):
            raise
        if _quotes(error):
            error.what = "the data does not fit; how is not shown, as some columns are sensitive"
            error.args = (error.what,)
        error.__cause__ = error.__context__ = None
        raise
    except Exception as error:
        if not any(column.sensitive for column in pipeline.spec.ingest.contract.columns):
            raise
        words = f"{type(error).__name__}; its words are not shown, as some columns are sensitive"
        raise RuntimeError(words).with_traceback(error.__traceback__) from None


# What these say is about the declaration, or about the machine.
_HARMLESS = frozenset(
    {"BinderException", "ParserException", "CatalogException", "IOException", "PermissionException"}
)

_SHORTEST = 4


def _quotes(error: FactoryError) -> bool:
    """Whether the message repeats words of the error that was its cause."""
    cause = error.__cause__
    if cause is None or isinstance(cause, OSError | FactoryError):
        return False
    if type(cause).__name__ in _HARMLESS:
        return False
    theirs = [str(cause).strip(), essence(cause)] if isinstance(cause, Exception) else [str(cause)]
    return any(len(words) >= _SHORTEST and words[:40] in error.what for words in theirs)
