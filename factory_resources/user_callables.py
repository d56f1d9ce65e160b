"""Which of a user's Python objects may be called, and with which arguments; nothing is called here.

Importing them belongs in `user_code`.
"""

import inspect
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from factory_resources.errors import DeclarationError

_OWN = "name a function or class of a module beside the defs.yaml, or of an installed package"


def require_own_module(reference: str, folder: Path) -> None:
    """Refuse a module of Python itself, without importing it.

    Raises:
        DeclarationError: it belongs to the standard library, or is the running command.
    """
    module = reference.partition(":")[0]
    if _is_pythons(module):
        raise DeclarationError(
            f"{reference!r} belongs to Python itself: {module!r} is in its standard library",
            where=str(folder),
            remedy=_OWN,
        )


def require_own_callable(user_object: object, reference: str, folder: Path) -> None:
    """Refuse a callable of Python itself that a user's module merely imports or wraps.

    Raises:
        DeclarationError: it is defined in the standard library.
    """
    while isinstance(user_object, partial):
        user_object = user_object.func
    module = getattr(user_object, "__module__", None)
    if callable(user_object) and isinstance(module, str) and _is_pythons(module):
        name = getattr(user_object, "__qualname__", type(user_object).__name__)
        raise DeclarationError(
            f"{reference!r} belongs to Python itself: it is {module}.{name}",
            where=str(folder),
            remedy=_OWN,
        )


def require_arguments(
    function: Callable[..., Any],
    reference: str,
    folder: Path,
    named: Mapping[str, object],
    positional: Sequence[object] = (),
) -> None:
    """Require that the signature accepts the arguments, as far as Python knows it.

    Raises:
        DeclarationError: an argument is missing or unknown.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # Compiled functions need not have one.
        return
    try:
        signature.bind(*positional, **named)
    except TypeError as error:
        taken = ", ".join(signature.parameters) or "no arguments"
        raise DeclarationError(
            f"{reference!r} cannot be called as declared: {error}",
            where=str(folder),
            remedy=f"correct `args`; it takes {taken}",
        ) from error


def _is_pythons(module: str) -> bool:
    top = module.partition(".")[0]
    if top == "__main__":
        return True
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return False
    if spec is None or spec.origin is None:
        return False
    if spec.origin in {"built-in", "frozen"}:
        return True
    path = Path(spec.origin).resolve()
    library = Path(sysconfig.get_path("stdlib")).resolve()
    installed = {"site-packages", "dist-packages"} & set(path.parts)
    return path.is_relative_to(library) and not installed
