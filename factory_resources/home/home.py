"""The folder of one factory: its paths, locks, scratch folders and atomic writes.

Nothing here knows what the files contain.
"""

import fcntl
import os
import shlex
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from errno import EIO
from pathlib import Path
from uuid import uuid4

from factory_resources.durability import make_folder, replace_file, sync_disk, sync_path
from factory_resources.errors import FILES_REMEDY, NO_MORE_FILES, StorageError
from factory_resources.home.owner import make_for_owner
from factory_resources.home.processes import own_identity, process_start

_WORKING = ".working"
"""The file in the scratch folder on which every working process holds a lock."""

_ACTING = ".acting"
"""The file in the scratch folder on which whoever changes several stores at once holds a lock."""

_OF_A_HOME = frozenset(
    {"prepared.json", "records", "dagster", "mlflow.db", "digests.db", "secrets"}
)
"""What tells a factory's home from another folder; a person may put the secrets there first."""

PROJECT = Path(__file__).resolve().parents[2]

DISK_FAULTS = (
    "No space left on device",
    "database or disk is full",
    "disk I/O error",
    "Disk quota exceeded",
    "File too large",
    "Read-only file system",
    "Input/output error",
    "attempt to write a readonly database",
)
"""What the operating system and SQLite report of a disk that cannot be written."""

DISK_REMEDY = "free space or make the folder writable, or point FACTORY_HOME elsewhere"


@dataclass(frozen=True)
class Home:
    """The folder of one factory. All paths are derived from it, so a home can be moved.

    Raises:
        StorageError: from `require_writable` and what writes files, if the disk cannot be written.
    """

    path: Path

    @classmethod
    def from_env(cls) -> "Home":
        """Return `FACTORY_HOME`, else `.factory` in the project, or here if there is no project."""
        declared = os.path.expanduser(os.environ.get("FACTORY_HOME", ""))
        beside = PROJECT if (PROJECT / "pyproject.toml").is_file() else Path.cwd()
        return cls(Path(declared).resolve() if declared else beside / ".factory")

    @property
    def dagster(self) -> Path:
        return self.path / "dagster"

    @property
    def tables(self) -> Path:
        return self.path / "tables"

    @property
    def records(self) -> Path:
        return self.path / "records"

    @property
    def pictures(self) -> Path:
        return self.path / "pictures"

    @property
    def artifacts(self) -> Path:
        return self.path / "artifacts"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def mlflow_database(self) -> Path:
        return self.path / "mlflow.db"

    @property
    def tune_database(self) -> Path:
        return self.path / "tune.db"

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.db"

    @property
    def predictions(self) -> Path:
        """The journal and the archive of the prediction log."""
        return self.path / "predictions"

    @property
    def predictions_database(self) -> Path:
        return self.path / "predictions.db"

    @property
    def outcomes_database(self) -> Path:
        return self.path / "outcomes.db"

    @property
    def watch(self) -> Path:
        """The looks at the answers of each pipeline."""
        return self.path / "watch"

    @property
    def tmp(self) -> Path:
        return self.path / "tmp"

    def require_writable(self) -> None:
        """Create the folder if it is missing, and check that a file can be written to it."""
        with storage_errors(self.path):
            self._make()
            self.tmp.mkdir(exist_ok=True)
            with tempfile.TemporaryFile(dir=self.tmp):
                pass

    def _make(self) -> None:
        """Create the folder, private to this user, or close one that is open to others.

        The tables contain rows, and the records what was done with them.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_open(self.path):
            return
        # A folder that holds something else may be open on purpose.
        if self._is_own():
            with suppress(PermissionError):
                self.path.chmod(0o700)
        if _is_open(self.path):
            rights = stat.S_IMODE(self.path.stat().st_mode)
            raise StorageError(
                f"other users can read this folder (its rights are {rights:04o})",
                where=str(self.path),
                remedy=f"close it: chmod 700 {shlex.quote(str(self.path))}, "
                "or name a new folder in FACTORY_HOME",
            )

    def _is_own(self) -> bool:
        """Whether the folder is empty, or contains a factory's home."""
        names = {path.name for path in self.path.iterdir()} - {"lost+found"}
        return not names or bool(names & _OF_A_HOME)

    @contextmanager
    def scratch(self, within: Path | None = None) -> Iterator[Path]:
        """Create a private folder on the home's file system, and remove it afterwards.

        Only a killed process leaves it behind; the folder's name identifies the process.

        Args:
            within: the scratch folder that contains it; None for one of its own.
        """
        self.require_writable()
        folder = Path(tempfile.mkdtemp(prefix=scratch_prefix(), dir=within or self.tmp))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def perhaps_scratch(self, within: Path | None = None) -> Iterator[Path]:
        """Like `scratch`, but do not create the folder yet: most callers do not need it."""
        folder = (within or self.tmp) / f"{scratch_prefix()}{uuid4().hex}"
        try:
            yield folder
        finally:
            if folder.exists():
                shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Wait until no other process or thread holds the lock of that name, and hold it."""
        from filelock import FileLock

        folder = self.tmp / "locks"
        with storage_errors(folder):
            self._make()
            folder.mkdir(parents=True, exist_ok=True)
        make_for_owner(folder / name)
        with FileLock(folder / name):
            yield

    def is_left(self, name: str) -> bool:
        """Whether the lock of that name was taken by somebody who died, and nobody holds it."""
        file = self.tmp / "locks" / name
        return file.exists() and is_free(file)

    def forget_lock(self, name: str) -> None:
        """Remove the file of a lock that nobody will ask for again."""
        (self.tmp / "locks" / name).unlink(missing_ok=True)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Keep `alone` from starting while this block runs; any number may work at once."""
        with self._shared_lock(_WORKING, fcntl.LOCK_SH):
            yield

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Keep `acts_paused` from starting while this block runs, which has to be short.

        In it an act becomes an entry of the ledger and is told to what mirrors the ledger.
        """
        with self._shared_lock(_ACTING, fcntl.LOCK_SH):
            yield

    @contextmanager
    def acts_paused(self) -> Iterator[None]:
        """Wait until nobody is `acting`, and let nobody act while this block runs."""
        with self._shared_lock(_ACTING, fcntl.LOCK_EX):
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep `working` from starting while this block runs.

        Raises:
            StorageError: someone is working now.
        """
        with ExitStack() as locks:
            try:
                locks.enter_context(self._shared_lock(_WORKING, fcntl.LOCK_EX | fcntl.LOCK_NB))
            except BlockingIOError as error:
                raise StorageError(
                    "a run uses this home", where=str(self.path), remedy="wait until it has ended"
                ) from error
            yield

    @contextmanager
    def _shared_lock(self, name: str, operation: int) -> Iterator[None]:
        with storage_errors(self.tmp):
            self._make()
            self.tmp.mkdir(exist_ok=True)
            make_for_owner(self.tmp / name)
            file = (self.tmp / name).open("ab")
        with file:
            fcntl.flock(file, operation)
            yield

    def write_atomic(self, path: Path, content: bytes, mode: int = 0o600) -> None:
        """Write a file; readers see the old or the new content, even after a power cut.

        Args:
            mode: its permissions, from which the umask takes away.
        """
        with storage_errors(path):
            self._make()
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, content, mode)

    def write_durable(self, path: Path, content: bytes) -> None:
        """Do the same with a file on which something else will rely, such as the ledger.

        On return its name is on the disk too: until then, a power cut may bring back what was there
        before, or nothing.
        """
        with storage_errors(path):
            self._make()
            make_folder(path.parent)
            replace_file(path, content, 0o600)
            sync_path(path.parent)

    def sync(self) -> None:
        """Return once everything that was written or removed is so on the disk of the home.

        Raises:
            StorageError: the disk failed.
        """
        with storage_errors(self.path):
            sync_disk(self.path)


def is_free(lock: Path) -> bool:
    """Whether no process holds the lock of a file, inside a boundary or outside."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(lock, timeout=0):
            return True
    except Timeout:
        return False


def _is_open(folder: Path) -> bool:
    """Whether the rights of the folder let other users in."""
    return bool(folder.stat().st_mode & 0o077)


def scratch_prefix(pid: int | None = None) -> str:
    """Return the beginning of a process's scratch folder names; no later process shares it.

    Args:
        pid: the number of the process; None for this one.
    """
    if pid is None:
        number, start = own_identity().split()[:2]
        return f"{number}.{None if start == 'gone' else start}-"
    return f"{pid}.{process_start(pid)}-"


def unreadable(path: Path, error: OSError) -> StorageError:
    """Return the error that an existing file cannot be read, with its remedy."""
    remedy = (
        "run the factory as the user who owns the home; if another user wrote this file, such as "
        "root, then probably others too: give the whole folder to its owner by chown -R"
    )
    if error.errno == EIO:
        remedy = "its disk fails: move the home to another one, and restore this from a backup"
    elif error.errno in NO_MORE_FILES:
        remedy = FILES_REMEDY
    what = f"cannot be read ({error.strerror or error})"
    return StorageError(what, where=str(path), remedy=remedy)


@contextmanager
def storage_errors(path: Path, remedy: str = DISK_REMEDY) -> Iterator[None]:
    """Report what could not be written, where, and what to do.

    Raises:
        StorageError: in place of any OSError.
    """
    try:
        yield
    except OSError as error:
        is_missing = isinstance(error, FileNotFoundError) and not path.parent.exists()
        remedy = FILES_REMEDY if error.errno in NO_MORE_FILES else remedy
        raise StorageError(
            f"cannot write ({error.strerror or error})",
            where=str(path),
            remedy=f"make the folder {path.parent}" if is_missing else remedy,
        ) from error
