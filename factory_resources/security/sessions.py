"""Sessions at the front door, kept by the server; only the browser has the id, we its hash.

Who gets a session is decided in `factory_assets.web.door`.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from hashlib import sha256

from factory_resources.errors import StorageError
from factory_resources.home.file_stamp import FileStamp, file_stamp
from factory_resources.home.home import Home

LIFETIME = 12 * 3600
"""Seconds after which a session ends in any case."""

IDLE = 2 * 3600
"""Seconds without a request after which it ends."""

CLOCKS = 300
"""Seconds by which a clock may be set back before what it dated counts no more: else it would count
until long after its time."""

_TOUCH = 60
"""Seconds after which a request is noted durably as the last one."""

_MOST = 1_000
"""Sessions that are kept; of more, those that were used longest ago end."""


@dataclass(frozen=True)
class Session:
    """One login of one person, on one browser."""

    sha256: str
    """Of the id, which is random and long, so that a plain hash cannot be guessed."""
    person: str
    """The name in `people.yaml`, or for `link` the account on this machine."""
    method: str
    began: float
    """Seconds since 1970, as the next."""
    used: float
    user: int | None = None
    """The system user whose process logged in over loopback, if the kernel tells it."""
    browser: str = ""
    """What the browser called itself, for its person to recognise."""

    def is_valid(self, now: float) -> bool:
        """Whether it has neither reached its age nor been idle for too long."""
        return -CLOCKS < now - self.began < LIFETIME and now - self.used < IDLE


class Sessions:
    """The sessions of one home.

    They outlive a restart. Another process may end them, which counts at the next request.

    Raises:
        StorageError: the file cannot be read or written.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self.file = home.path / "secrets" / "sessions.json"
        self._seen: FileStamp | None = None
        self._by_hash: dict[str, Session] = {}
        self._used: dict[str, float] = {}

    def begin(
        self, person: str, method: str, *, user: int | None = None, browser: str = ""
    ) -> tuple[str, Session]:
        """Begin a session; return its id, which is stored nowhere, and the session."""
        text, now = secrets.token_urlsafe(32), time.time()
        session = Session(hash_of(text), person, method, now, now, user, browser[:200])
        self._change(lambda kept: [*kept, session])
        return text, session

    def find(self, text: str) -> Session | None:
        """Return the valid session of an id, and note that it was used."""
        self._refresh()
        session, now = self._by_hash.get(hash_of(text)), time.time()
        if session is None:
            return None
        used = max(session.used, self._used.get(session.sha256, 0.0))
        if not replace(session, used=used).is_valid(now):
            return None
        self._used[session.sha256] = now
        if now - session.used > _TOUCH:
            # It is noted here, and counts although the disk is full: then pages are needed most.
            with suppress(StorageError, OSError):
                self._change(lambda kept: kept)
        return session

    def of(self, person: str) -> tuple[Session, ...]:
        """Return the valid sessions of a person, the newest first."""
        self._refresh()
        now = time.time()
        mine = [s for s in self._by_hash.values() if s.person == person and s.is_valid(now)]
        return tuple(sorted(mine, key=lambda session: -session.began))

    def end(self, hashes: Iterable[str]) -> tuple[Session, ...]:
        """End sessions, at once; return those that there were."""
        ended: list[Session] = []
        gone = frozenset(hashes)

        def without(kept: list[Session]) -> list[Session]:
            ended[:] = [session for session in kept if session.sha256 in gone]
            return [session for session in kept if session.sha256 not in gone]

        self._change(without)
        return tuple(ended)

    def _change(self, change: Callable[[list[Session]], list[Session]]) -> None:
        with self._home.lock("sessions"):
            now = time.time()
            kept = [
                replace(session, used=max(session.used, self._used.get(session.sha256, 0.0)))
                for session in self._read()
            ]
            changed = change([session for session in kept if session.is_valid(now)])
            changed = sorted(changed, key=lambda session: session.used)[-_MOST:]
            content = json.dumps([asdict(session) for session in changed], indent=1).encode()
            self._home.write_atomic(self.file, content)
            left = {session.sha256 for session in changed}
            self._used = {name: used for name, used in self._used.items() if name in left}
        self._refresh()

    def _refresh(self) -> None:
        if (seen := file_stamp(self.file)) != self._seen:
            self._by_hash = {session.sha256: session for session in self._read()}
            self._seen = seen

    def _read(self) -> list[Session]:
        try:
            return [Session(**entry) for entry in json.loads(self.file.read_bytes())]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            raise StorageError(
                "the sessions were changed and cannot be read",
                where=str(self.file),
                remedy="remove the file; everybody logs in again",
            ) from error


def hash_of(text: str) -> str:
    """Return the hash by which a long random text, such as the id of a session, is stored."""
    return sha256(text.encode()).hexdigest()
