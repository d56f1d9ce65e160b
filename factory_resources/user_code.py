"""Import a user's own Python objects, named `pkg.module:name` in a declaration."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from factory_resources.errors import DeclarationError
from factory_resources.import_record import record_imports
from factory_resources.user_callables import require_own_callable, require_own_module
from factory_resources.user_imports import file_beside, import_beside, without_generated_names


def load_object(reference: str, folder: Path) -> Any:
    """Return the named object; a module beside the declaration precedes an installed one.

    Raises:
        DeclarationError: if the module or the name in it does not exist, the import fails, or it
            is a callable of Python's standard library.
    """
    module_name, _, name = reference.partition(":")
    record_imports()
    try:
        module = module_beside(module_name, folder)
        if module is None:
            require_own_module(reference, folder)
            module = importlib.import_module(module_name)
    except DeclarationError:
        raise
    except (Exception, SystemExit) as error:
        raise DeclarationError(
            f"cannot import {module_name!r}: {type(error).__name__}: "
            f"{without_generated_names(str(error))}",
            where=str(folder),
            remedy="put the module beside the defs.yaml, or install its package",
        ) from error
    if not hasattr(module, name):
        names = ", ".join(n for n in vars(module) if not n.startswith("_")) or "nothing"
        raise DeclarationError(
            f"module {module_name!r} has no {name!r}", where=str(folder), remedy=f"it has: {names}"
        )
    loaded = getattr(module, name)
    require_own_callable(loaded, reference, folder)
    return loaded


def load_callable(reference: str, folder: Path) -> Callable[..., Any]:
    """Return the named function or class.

    Raises:
        DeclarationError: as `load_object`, or the object is neither.
    """
    loaded = load_object(reference, folder)
    if not callable(loaded):
        raise DeclarationError(
            f"{reference!r} is {type(loaded).__name__}, not a function or class",
            where=str(folder),
            remedy="name a function or a class",
        )
    found: Callable[..., Any] = loaded
    return found


def module_beside(module_name: str, folder: Path) -> ModuleType | None:
    """Import the module of that name in the folder, or return None if there is none.

    Exceptions of the import are passed on.
    """
    return import_beside(module_name, folder) if file_beside(module_name, folder) else None
