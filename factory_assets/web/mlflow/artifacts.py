"""The files of runs and versions, opened without leaving the folder of artifacts.

MLflow would follow a symbolic link, and an experiment with a location of its own, to any file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, cast

from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from factory_resources.tracking.registry import Registry

_ENTRIES = 10_000
"""Entries of a folder that are shown."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class ArtifactNotFoundError(ModelError):
    """There is no such run, folder or plain file, or its path leads elsewhere."""

    def __init__(self, what: str) -> None:
        super().__init__(f"there is no artifact {what}", remedy="choose one that MLflow lists")


@dataclass(frozen=True)
class ArtifactEntry:
    """A file or folder, as MLflow lists it."""

    path: str
    """Relative to the folder of the run, version or logged model."""
    is_dir: bool
    file_size: int | None
    """Bytes; None for a folder."""


class Artifacts:
    """The folders of one home, found as the factory lays them out, not as MLflow's rows say.

    Raises:
        ArtifactNotFoundError: there is no such run, version or model, or its name leads elsewhere.
    """

    def __init__(self, home: Home) -> None:
        self.root = home.artifacts
        self._registry = Registry(home)

    def of_run(self, run_id: str) -> Path:
        info = _known(lambda: self._client.get_run(run_id), run_id).info
        return self._registry.run_files(self._model(info.experiment_id), str(info.run_id))

    def of_version(self, model: str, version: str) -> Path:
        if not version.isascii() or not version.isdecimal() or len(version) > 9:
            raise ArtifactNotFoundError(version)
        return self._registry.version(model, int(version)).files

    def of_logged_model(self, model_id: str) -> Path:
        logged = _known(lambda: self._client.get_logged_model(model_id), model_id)
        folder = self._registry.artifacts(self._model(logged.experiment_id))
        return folder / "models" / str(logged.model_id) / "artifacts"

    def _model(self, experiment_id: str) -> str:
        return cast("str", self._client.get_experiment(experiment_id).name)

    @property
    def _client(self) -> Any:
        return self._registry.client

    def open_file(self, folder: Path, path: str) -> int:
        """Return an open descriptor of a plain file; the caller closes it."""
        *parents, name = _parts(path) or ["."]
        try:
            with self._opened(folder, parents) as parent:
                before = os.stat(name, dir_fd=parent, follow_symlinks=False)
                # Opening a pipe or a device can already do something.
                if not stat.S_ISREG(before.st_mode):
                    raise ArtifactNotFoundError(path)
                file = os.open(name, _FILE, dir_fd=parent)
        except OSError as error:
            raise ArtifactNotFoundError(path) from error
        if stat.S_ISREG(os.fstat(file).st_mode):
            return file
        os.close(file)
        raise ArtifactNotFoundError(path)

    def entries(self, folder: Path, path: str) -> list[ArtifactEntry]:
        """Return what is in a folder, sorted; only plain files and folders.

        The UI also lists files; nothing is in them, nor in a link.
        """
        parts = _parts(path)
        try:
            with self._opened(folder, parts) as opened, os.scandir(opened) as found:
                entries = [
                    _entry(PurePosixPath(*parts, one.name), one)
                    for one in islice(found, _ENTRIES)
                    if one.is_dir(follow_symlinks=False) or one.is_file(follow_symlinks=False)
                ]
        except NotADirectoryError:
            return []
        except OSError as error:
            raise ArtifactNotFoundError(path) from error
        return sorted(entries, key=lambda entry: entry.path)

    @contextmanager
    def _opened(self, folder: Path, parts: list[str]) -> Iterator[int]:
        """Open a folder below the root, one component after the other."""
        if not folder.is_relative_to(self.root):
            raise ArtifactNotFoundError(folder.name)
        below = _parts("/".join((*folder.relative_to(self.root).parts, *parts)))
        opened = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in below:
                inner = os.open(part, _DIRECTORY, dir_fd=opened)
                os.close(opened)
                opened = inner
            yield opened
        finally:
            os.close(opened)


def _parts(path: str) -> list[str]:
    """Return the components of a relative path; none for the folder itself."""
    if not path or path == ".":
        return []
    parts = path.removesuffix("/").split("/")
    if any(part in ("", ".", "..") or "\0" in part or "\\" in part for part in parts):
        raise ArtifactNotFoundError(path)
    return parts


def _entry(path: PurePosixPath, found: os.DirEntry[str]) -> ArtifactEntry:
    is_dir = found.is_dir(follow_symlinks=False)
    size = None if is_dir else found.stat(follow_symlinks=False).st_size
    return ArtifactEntry(str(path), is_dir, size)


def _known(get: Any, name: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return get()
    except MlflowException as error:
        raise ArtifactNotFoundError(name) from error
