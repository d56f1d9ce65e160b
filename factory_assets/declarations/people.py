"""Read `people.yaml`, in the folder of pipelines, and add a person to it."""

import fcntl
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from factory_assets.declarations.loader import new_pipelines_folder
from factory_assets.declarations.single_model import validated
from factory_assets.declarations.yaml_document import content_of
from factory_assets.spec.people import People, Person
from factory_resources.durability import replace_file
from factory_resources.errors import DeclarationError, UnknownNameError
from factory_resources.home.home import storage_errors

FILE = "people.yaml"

_REMEDY = "free space there or make the folder writable, or make the key without --role"

_NAME = re.compile(r"[a-z][a-z0-9._-]{0,63}")


def load_people() -> dict[str, Person]:
    """Return everybody by name; nobody if there is no `people.yaml`.

    Raises:
        DeclarationError: the file is wrong; with its line if it is known.
    """
    file = people_file()
    try:
        return validated(content_of(file), file, People, Person).root
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DeclarationError(
            f"cannot be read ({error.strerror})",
            where=str(file),
            remedy="name a folder in FACTORY_DEFS"
            if isinstance(error, NotADirectoryError)
            else "change its rights",
        ) from error


def has_people_file() -> bool:
    return people_file().exists()


def require_new_person(name: str, roles: Sequence[str]) -> None:
    """Require that a name can be a person's; with roles, that nobody in the file has it.

    Raises:
        UnknownNameError: it cannot.
        DeclarationError: the file is wrong, or somebody has the name.
    """
    if not _NAME.fullmatch(name):
        raise UnknownNameError(
            f"{name!r} cannot be the name of a person",
            remedy="use lower case letters, digits, dots, underscores and hyphens, as in jane.doe",
        )
    if roles and name in load_people():
        raise DeclarationError(
            f"{name} is here already",
            where=str(people_file()),
            remedy="make the key without --role, and add its public line by hand",
        )


def add_person(name: str, roles: Sequence[str], key: str) -> Path:
    """Add a person at the end of the file, and return the file.

    Raises:
        DeclarationError: the file is written in a way to which nothing can be added.
        StorageError: it cannot be written.
    """
    file = people_file()
    # Where the file is a link, as into a repository, what it leads to is changed.
    target = file.resolve()
    # The folder itself is locked, so that no other file has to lie beside the pipelines.
    with storage_errors(target, _REMEDY), _locked(target.parent):
        is_new = not target.exists()
        before = b"" if is_new else target.read_bytes()
        end = b"" if before.endswith(b"\n") or not before else b"\n"
        text = before + end + f"{person_text(name, roles, key)}\n".encode()
        validated(before, file, People, Person)
        try:
            validated(text, file, People, Person)
        except DeclarationError as error:
            raise DeclarationError(
                "a person cannot be added at the end of this file",
                where=str(file),
                remedy=f"add by hand: {name}: {{roles: [{', '.join(roles)}], keys: [{key}]}}",
            ) from error
        mode = 0o666 if is_new else stat.S_IMODE(target.stat().st_mode)
        replace_file(target, text, mode, exactly=not is_new)
    return file


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def person_text(name: str, roles: Sequence[str], key: str) -> str:
    """Return the lines of a person in the file."""
    return f"{name}:\n  roles: [{', '.join(roles)}]\n  keys: [{key}]"


def people_file() -> Path:
    """Return where the file is, or would be."""
    return new_pipelines_folder() / FILE
