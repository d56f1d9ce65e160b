"""`factory key new`, and how a command gets at a person's key.

The passphrase is asked on the terminal; where there is none, it is the secret
FACTORY_PASSPHRASE.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from factory_assets.cli.config_folder import config_folder
from factory_assets.declarations.people import add_person, person_text, require_new_person
from factory_assets.web.door.doorkeeper import Doorkeeper
from factory_resources.errors import KeyFileError, RefusedError, StorageError
from factory_resources.security import personal_keys
from factory_resources.security.personal_keys import PersonalKey

_PASSPHRASE = "FACTORY_PASSPHRASE"  # noqa: S105 - a name, not a secret


def keys_folder() -> Path:
    """Return where a person's keys are: with their own settings, never in the factory's home."""
    folder = config_folder("name a file: --out of factory key new, --key of other commands")
    return folder / "sovereign-ai-factory" / "keys"


def new_key(name: str, out: Path | None, roles: Sequence[str]) -> str:
    """Make a key, and return what was written and what to do next.

    Args:
        roles: with which the person is added to `people.yaml`; none to leave that to a person.

    Raises:
        UnknownNameError: it cannot be the name of a person.
        DeclarationError: `people.yaml` is wrong, or has the person already.
        KeyFileError: the file exists, or no passphrase was given.
        StorageError: a file cannot be written.
    """
    require_new_person(name, roles)
    file = out or keys_folder() / name
    public = personal_keys.create_key(file, _new_passphrase(file))
    wrote = f"wrote {file}, and its public line {file.name}.pub"
    if roles:
        try:
            people = add_person(name, roles, public)
        except StorageError:
            # The same words can be given again.
            personal_keys.remove_key(file)
            raise
        return f"{wrote}\nadded {name} to {people}: {', '.join(roles)}{_without_links()}"
    text = person_text(name, ["approver"], public)
    return f"{wrote}\nadd to people.yaml, beside the pipelines, with the person's roles:\n{text}"


def _without_links() -> str:
    """Tell whoever came into the factory's pages by a link if that works no more."""
    try:
        Doorkeeper().owner()
    except RefusedError as error:
        return f"\na link of `factory login` lets nobody in: {error.what}; {error.remedy}"
    return ""


def unlock(file: Path | None, purpose: str) -> PersonalKey:
    """Return a person's key, after asking for its passphrase.

    Args:
        file: None for the one in FACTORY_KEY, or the only one in the folder of keys.

    Raises:
        KeyFileError: there is no key, several, or the passphrase is wrong.
    """
    return personal_keys.load_key(file or _own_key(), lambda: _ask(f"passphrase, to {purpose}"))


def _own_key() -> Path:
    if named := os.environ.get("FACTORY_KEY"):
        return Path(os.path.expanduser(named))
    folder = keys_folder()
    # Editors and file managers leave hidden files there.
    seen = sorted(folder.glob("[!.]*"))
    keys = [path for path in seen if path.suffix != ".pub" and path.is_file()]
    if len(keys) == 1:
        return keys[0]
    found = ", ".join(path.name for path in keys)
    raise KeyFileError(
        f"there are several keys to sign with: {found}" if keys else "there is no key to sign with",
        where=str(folder),
        remedy="name one with --key FILE or FACTORY_KEY, or make one: factory key new NAME",
    )


def _new_passphrase(file: Path) -> bytes:
    if given := os.environ.get(_PASSPHRASE):
        return given.encode()
    first = _ask(f"passphrase for {file.name}")
    if _ask("the same again") != first:
        raise KeyFileError(
            "the passphrases differ", where=str(file), remedy="try again; nothing was written"
        )
    return first


def _ask(what: str) -> bytes:
    if given := os.environ.get(_PASSPHRASE):
        return given.encode()
    if not sys.stdin.isatty():
        raise KeyFileError(
            "cannot ask for the passphrase: this is not a terminal",
            remedy=f"run it in a terminal, or set {_PASSPHRASE}",
        )
    return str(click.prompt(what, hide_input=True, err=True)).encode()
