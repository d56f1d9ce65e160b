"""Small disks for tests, which can be filled and grown, and files that cannot be read."""

import errno
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_CHUNK = 4096


class Disk:
    """A mounted disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def free(self) -> int:
        stat = os.statvfs(self.folder)
        return stat.f_bavail * stat.f_frsize

    def resize(self, size: int) -> None:
        """Set the size of the whole disk."""
        self._remount(f"size={size}")

    @contextmanager
    def without_inodes(self) -> Iterator[None]:
        """Leave no room for a further file while the block runs, however much of it is free."""
        stat = os.statvfs(self.folder)
        self._remount(f"nr_inodes={stat.f_files - stat.f_ffree}")
        try:
            yield
        finally:
            self._remount(f"nr_inodes={stat.f_files}")

    @contextmanager
    def filled(self, free: int) -> Iterator[None]:
        """Leave only so many bytes free while the block runs."""
        filler = self.folder / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while self.free > free:
                file.write(bytes(min(1 << 20, max(_CHUNK, self.free - free))))
        try:
            yield
        finally:
            filler.unlink()

    def _remount(self, option: str) -> None:
        command = ["mount", "-o", f"remount,{option}", str(self.folder)]
        subprocess.run(command, check=True)


@contextmanager
def no_more_files() -> Iterator[None]:
    """Let this process open no further file while the block runs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def closed_disk(folder: Path) -> Iterator[None]:
    """Let nothing be written in a folder, as the system does with a disk that fails."""
    command = ["mount", "--bind", str(folder), str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no right to mount a folder ({mounted.stderr.strip()})")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Disk]:
    """Mount a disk on a new folder; skips the test without the right to mount."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no right to mount a small disk ({mounted.stderr.strip()})")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


@contextmanager
def failing_disk(folder: Path, room: int) -> Iterator[Path]:
    """Mount a disk that takes whatever is written, and fails to store more than some bytes of it.

    It skips the test without the right to mount.
    """
    with small_disk(folder, room) as disk:
        image, mounted = disk.folder / "image", folder.with_name(f"{folder.name}-mounted")
        with image.open("wb") as file:
            file.truncate(1 << 28)
        # Without a journal, whose failure would close the disk at once.
        made = ["mkfs.ext4", "-q", "-O", "^has_journal", str(image)]
        mounted.mkdir()
        for command in (made, ["mount", "-o", "loop", str(image), str(mounted)]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"no right to mount a file ({done.stderr.strip()})")
        try:
            yield mounted
        finally:
            subprocess.run(["umount", "--lazy", str(mounted)], check=False)


def denied(path: Path) -> bytes:
    """Stand in for reading a file that another user wrote: rights keep nothing from root."""
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
