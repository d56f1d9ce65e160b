"""A Python function of the user as a source: the table that it returns."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from factory_assets.data.sources.base import SourceContext, SourceHandle
from factory_assets.spec import PythonSource
from factory_resources.errors import FactoryError, SourceError
from factory_resources.sources.files.discovery import expand_all, find_files
from factory_resources.sources.files.reader import SourceTable, read_table
from factory_resources.tables.frames import REMEDY, require_units, to_arrow
from factory_resources.user_callables import require_arguments
from factory_resources.user_code import load_callable


def discover_python(source: PythonSource, context: SourceContext) -> SourceHandle:
    """Return the handle of a function's table.

    The table is identified by the files that the function reads and its arguments; if the
    declaration does not name the files, by its content.

    Raises:
        SourceError: a file is missing, or the function fails.
    """
    if source.reads is None:
        table = _call(source, context.folder, context.scratch)
        return SourceHandle(table.sha256, {}, lambda own, **_: table, identity=table.sha256)
    files = tuple(context.digests.of_files(find_files(source.reads, context.folder)))
    content = [[file.sha256 for file in files], expand_all(source.args)]
    version = sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()

    def read(own: Path, **_: object) -> SourceTable:
        return _call(source, context.folder, own)

    def require_unchanged() -> None:
        for file in files:
            file.require_unchanged()

    return SourceHandle(version, {}, read, require_unchanged=require_unchanged)


def load_function(source: PythonSource, folder: Path) -> Callable[..., Any]:
    """Return the function that the source names.

    Raises:
        DeclarationError: it cannot be found, or does not accept the declared arguments.
    """
    function = load_callable(source.python, folder)
    require_arguments(function, source.python, folder, source.args)
    return function


def _call(source: PythonSource, folder: Path, scratch: Path) -> SourceTable:
    function = load_function(source, folder)
    try:
        result = function(**expand_all(source.args))
    except FactoryError:
        raise
    except (Exception, SystemExit) as error:
        raise SourceError(
            f"failed with {type(error).__name__}: {error}",
            where=source.python,
            remedy=_remedy(error),
        ) from error
    try:
        table = to_arrow(result)
    except TypeError as error:
        raise SourceError(
            f"returned {error}", where=source.python, remedy=f"return {REMEDY}"
        ) from error
    require_units(table.schema, source.python)
    return read_table(table, source.python, scratch)


def _remedy(error: BaseException) -> str:
    remedy = "correct the function or source.args"
    if isinstance(error, FileNotFoundError) and error.filename:
        # Inside a boundary, a file that is not declared does not exist either.
        remedy += f"; if the file exists, declare boundary: {{readable: ['{error.filename}']}}"
    return remedy
