"""Write the units of systemd to where it looks for them, and say what to do next."""

import os
import pwd
import re
import shlex
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from factory_assets.cli.config_folder import config_folder
from factory_assets.cli.output_file import write_output
from factory_assets.cli.service.units import (
    BACKUP_TIMER,
    HEADER,
    WITNESS_TIMER,
    Service,
    timers,
    units,
)
from factory_assets.declarations.folders import FILE, every_pipeline_folder, settings_file
from factory_resources.errors import SettingError, UnknownNameError
from factory_resources.home.database import DATABASE_VARIABLE, has_password, plain_address
from factory_resources.home.home import Home, storage_errors, unreadable
from factory_resources.interpreter import module_command
from factory_resources.ledger.factory_verify import FOR_OTHERS
from factory_resources.security.account import account_name
from factory_resources.security.secrets import folder
from factory_resources.store.location import (
    ACCESS_KEY,
    ENDPOINT_VARIABLE,
    REGION_VARIABLE,
    SECRET_KEY,
    STORE_VARIABLE,
)

AMOUNTS = (
    "FACTORY_MEMORY",
    "FACTORY_WORKERS",
    "FACTORY_KEEP",
    "FACTORY_DISK_KEEP",
    "FACTORY_WATTS_PER_CORE",
    "FACTORY_GRID_G_PER_KWH",
)
"""Settings of the environment that mean the same on any machine."""

_VARIABLES = (
    *("FACTORY_DEFS", "FACTORY_SECRETS", "FACTORY_DATA"),
    *AMOUNTS,
    DATABASE_VARIABLE,
    STORE_VARIABLE,
    ENDPOINT_VARIABLE,
    REGION_VARIABLE,
)
"""Settings of the environment that the service gets, and those that declarations name."""

_NAMED = re.compile(r"\$\{(FACTORY_\w+)\}")

_NAMED_SECRETS = re.compile(
    r"\b(?:database|access_key|secret_key|authorization|password|secret)"
    r": *[\"']?([A-Za-z_]\w*)\b(?!:)|\$\{(\w+)\}"
)

_SECRET = frozenset({"FACTORY_PASSPHRASE", ACCESS_KEY, SECRET_KEY})
"""What no declaration puts into a unit, which everybody can read."""

_OF_NO_SERVICE = frozenset({"FACTORY_PASSPHRASE", "FACTORY_HOME"})

_SYSTEM = Path("/etc/systemd/system")


@dataclass(frozen=True)
class Installation:
    """What is to be installed, and where."""

    options: tuple[str, ...]
    """Of `factory up`."""
    user: str | None
    """Whose processes they are, for units of the system; None for units of one's own."""
    backups: Path | None
    witnesses: Path | None
    """The folder in which files are exchanged with witnesses; None to do so by hand."""
    folder: Path | None
    """Where the units are written; None for where systemd looks for them."""


def install_service(wanted: Installation) -> Iterator[str]:
    """Write the units, and yield what to say about them.

    Raises:
        SettingError: a path, an option or a variable of the environment must not be in a unit.
        UnknownNameError: there is no such user.
        DeclarationError: witnesses shall be asked, and none is declared.
        StorageError: a unit cannot be written, or somebody else has written it.
    """
    if wanted.user is not None:
        _require_user(wanted.user)
    if wanted.witnesses is not None:
        from factory_assets.cli.ledger import declared_policy

        declared_policy()
    service = Service(
        tuple(module_command("factory_assets.cli")),
        wanted.options,
        dict(_environment()),
        Home.from_env().path.absolute(),
        wanted.user,
        wanted.backups.absolute() if wanted.backups else None,
        wanted.witnesses.absolute() if wanted.witnesses else None,
    )
    place = wanted.folder or (_SYSTEM if wanted.user else _own_folder())
    found = units(service)
    for name in found:
        _require_ours(place / name)
    with storage_errors(place, "make it writable, or name another folder with --in"):
        place.mkdir(parents=True, exist_ok=True)
        for name, content in found.items():
            write_output(place / name, content.encode(), mode=FOR_OTHERS)
    yield f"wrote {', '.join(found)} to {place}"
    optional = {BACKUP_TIMER, WITNESS_TIMER} - found.keys()
    yield from _next(service, sorted(name for name in optional if _is_ours(place / name)))


def _environment() -> Iterator[tuple[str, str]]:
    for name in dict.fromkeys((*_VARIABLES, *named_by_declarations())):
        value = os.environ.get(name)
        if not value:
            continue
        if name == DATABASE_VARIABLE and has_password(plain_address(value, where=name)):
            raise SettingError(
                "the address has a password, and everybody can read a unit",
                where=name,
                remedy="write the password into ~/.pgpass of the service's user",
            )
        yield name, value


def named_by_declarations() -> list[str]:
    """Return the variables that pipelines are declared with, such as the folder of a source."""
    found = {name for text in _declarations() for name in _NAMED.findall(text)}
    return sorted(found - _SECRET - {"FACTORY_HOME"})


def _left_out(service: Service) -> list[str]:
    """Return the secrets that only the environment has now, which the service does not have."""
    texts = list(_declarations())
    with suppress(FileNotFoundError):
        texts.append(settings_file().read_text(encoding="utf-8", errors="replace"))
    named = {name for text in texts for pair in _NAMED_SECRETS.findall(text) for name in pair}
    secrets = folder(Home(service.home))
    return sorted(
        name
        for name in {*named, ACCESS_KEY, SECRET_KEY} - service.environment.keys() - _OF_NO_SERVICE
        if os.environ.get(name) and not (secrets / name).exists()
    )


def _declarations() -> Iterator[str]:
    for pipeline in every_pipeline_folder():
        try:
            yield (pipeline / FILE).read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise unreadable(pipeline / FILE, error) from error


def with_whole_paths(words: Sequence[str], options: Collection[str]) -> tuple[str, ...]:
    """Return the words of a command line, with absolute paths as the values of some options."""
    whole = []
    for before, word in zip(("", *words), words, strict=False):
        option, is_joined, value = word.partition("=")
        if before in options:
            whole.append(str(Path(word).absolute()))
        elif is_joined and option in options:
            whole.append(f"{option}={Path(value).absolute()}")
        else:
            whole.append(word)
    return tuple(whole)


def _require_user(name: str) -> None:
    try:
        pwd.getpwnam(name)
    except KeyError as error:
        raise UnknownNameError(
            f"there is no user {name!r}",
            remedy=f"make one: useradd --system --create-home {shlex.quote(name)}",
        ) from error


def _own_folder() -> Path:
    return config_folder("name a folder with --in") / "systemd" / "user"


def _is_ours(file: Path) -> bool:
    return file.exists() and file.read_text(encoding="utf-8", errors="replace").startswith(HEADER)


def _require_ours(file: Path) -> None:
    if file.exists() and not _is_ours(file):
        raise SettingError(
            "factory install-service did not write this unit",
            where=str(file),
            remedy="move it away",
        )


def _next(service: Service, left: Sequence[str]) -> Iterator[str]:
    """Say what to do next.

    Args:
        left: timers of an earlier installation that this one does not have.
    """
    names: Sequence[str] = ["factory.service", *timers(service)]
    control = "sudo systemctl" if service.user else "systemctl --user"
    yield "next:"
    yield f"  {control} daemon-reload"
    yield f"  {control} enable --now {' '.join(names)}"
    if service.user is None:
        yield f"  loginctl enable-linger {account_name()}    # it runs when you are logged out"
    yield f"  {control} status factory    # and: {control} list-timers"
    if service.user is not None:
        folders = " ".join(shlex.quote(str(path)) for path in service.folders)
        yield f"  {folders} must exist and belong to {service.user}"
    if secrets := _left_out(service):
        yield (
            f"no unit contains secrets of the environment: write {', '.join(secrets)} into files "
            f"of these names in {folder(Home(service.home))}"
        )
    for name in left:
        yield f"{name} was installed before and is on; to end it: {control} disable --now {name}"
    if service.backups is None and BACKUP_TIMER not in left:
        yield "there are no backups: name a folder on another disk with --backup"
    if service.witnesses is None and WITNESS_TIMER not in left:
        yield "checkpoints go to witnesses by hand: factory ledger request"
