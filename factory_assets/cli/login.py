"""`factory login` and `factory password`: how people get into the factory's pages."""

import sys

import click

from factory_assets.cli.running import running_file, up_process
from factory_assets.declarations.people import load_people, people_file
from factory_assets.web.door.doorkeeper import Doorkeeper
from factory_resources.errors import FactoryError, KeyFileError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.home.processes import is_alive
from factory_resources.ledger.factory_verify import amount
from factory_resources.security.login_links import LoginLinks
from factory_resources.security.passkeys import Passkeys
from factory_resources.security.passwords import Passwords
from factory_resources.security.sessions import Sessions


def login_link(home: Home, address: str) -> str:
    """Return a link that works once.

    Raises:
        RefusedError: it would let nobody in, as `people.yaml` is.
    """
    Doorkeeper().owner()
    return f"{address}/login?token={LoginLinks(home).new()}"


def new_link() -> str:
    """Return a link into the factory that is up.

    Raises:
        FactoryError: none is, or a link would let nobody in.
    """
    home = Home.from_env()
    process = up_process(home)
    try:
        address = running_file(home).read_text(encoding="utf-8")
    except FileNotFoundError:
        address = ""
    # One that was killed has left its address.
    if not address or process is None or not is_alive(process.identity):
        raise FactoryError(
            "this factory is not running", where=str(home.path), remedy="start it: factory up"
        )
    return login_link(home, address)


def set_password(name: str) -> str:
    """Give a person a password; their sessions end, and their passkeys count no more.

    It is asked for twice on a terminal, and read from standard input otherwise.

    Raises:
        UnknownNameError: nobody has that name.
        KeyFileError: the password is too short or too long, or not UTF-8.
    """
    people = load_people()
    if name not in people:
        raise UnknownNameError(
            f"there is no person {name!r}",
            where=str(people_file()),
            remedy=f"the people are {', '.join(people)}; add a person first"
            if people
            else "add a person first, such as: factory key new NAME --role engineer",
        )
    home = Home.from_env()
    home.require_writable()
    password = _asked()
    Passwords(home).set(name, password)
    sessions = Sessions(home)
    ended = sessions.end(session.sha256 for session in sessions.of(name))
    removed = Passkeys(home).remove(name)
    return (
        f"{name} has a new password"
        + (f"; {amount(len(ended), 'sessions')} ended" if ended else "")
        + (f"; {amount(removed, 'passkeys')} removed" if removed else "")
    )


def _asked() -> str:
    if not sys.stdin.isatty():
        try:
            return sys.stdin.readline().rstrip("\n")
        except UnicodeDecodeError as error:
            raise KeyFileError("the password is not UTF-8", remedy="choose another one") from error
    answer: str = click.prompt("password", hide_input=True, confirmation_prompt=True)
    return answer
