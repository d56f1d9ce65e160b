"""Places: links, pipes, devices and folders in place of a file, and unusual file names."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

from tests.bad_data.case import Case, Refused, Rows

_DATA = b"n,y\n1,2\n"
_READ = Rows({"n": [1], "y": [2]})
_OUT = "leads out of its folder"
_KIND = "is not a regular file"


def _outside(data: Path) -> Path:
    """Create a file beside the data folder that is not declared."""
    path = data.parent / "outside.csv"
    path.write_bytes(b"n,y\nsecret,9\n")
    return path


def _case(
    name: str, make: Callable[[Path], object], expected: Rows | Refused, files: str = "d.csv"
) -> Case:
    def write(folder: Path) -> None:
        make(folder)

    return Case(f"place: {name}", write, expected, {"files": f"data/{files}"})


def _with(path: Path, content: bytes = _DATA) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _both(data: Path, make: Callable[[Path], object]) -> None:
    _with(data / "a.csv")
    make(data / "b.csv")


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        # The path of a socket is limited in length, so it is bound relative to its folder.
        before = Path.cwd()
        os.chdir(path.parent)
        try:
            server.bind(path.name)
        finally:
            os.chdir(before)


def _folder_link(data: Path) -> None:
    _with(data.parent / "elsewhere" / "d.csv")
    (data / "sub").symlink_to(data.parent / "elsewhere", target_is_directory=True)


def _loop(data: Path) -> None:
    (data / "d.csv").symlink_to(data / "e.csv")
    (data / "e.csv").symlink_to(data / "d.csv")


CASES: list[Case] = [
    _case(
        "a link to another file",
        lambda d: (d / "d.csv").symlink_to(_outside(d)),
        Refused("d.csv", _OUT),
    ),
    _case(
        "a link to the passwords",
        lambda d: (d / "d.csv").symlink_to("/etc/passwd"),
        Refused("d.csv", _OUT),
    ),
    _case(
        "a link to the passwords, found by a glob",
        lambda d: _both(d, lambda p: p.symlink_to("/etc/passwd")),
        Refused("b.csv", _OUT),
        "*.csv",
    ),
    _case(
        "a link out by way of dots",
        lambda d: (_outside(d), (d / "d.csv").symlink_to("../outside.csv")),
        Refused("d.csv", _OUT),
    ),
    _case(
        "a link to a link that leads out",
        lambda d: ((d / "e").symlink_to(_outside(d)), (d / "d.csv").symlink_to(d / "e")),
        Refused("d.csv", _OUT),
    ),
    _case(
        "a link beside its file",
        lambda d: (d / "d.csv").symlink_to(_with(d / "day1.txt")),
        _READ,
    ),
    _case(
        "a link into a folder below",
        lambda d: (d / "d.csv").symlink_to(_with(d / "old" / "day1.txt")),
        _READ,
    ),
    _case("a folder that is a link, below a glob", _folder_link, Refused("d.csv", _OUT), "*/d.csv"),
    _case("a folder that is a link, declared by its name", _folder_link, _READ, "sub/d.csv"),
    _case("a folder that is a link, and a glob in it", _folder_link, _READ, "sub/*.csv"),
    _case(
        "a path above the folder, as declared",
        _outside,
        Rows({"n": ["secret"], "y": [9]}),
        "../outside.csv",
    ),
    _case(
        "a link to a missing file",
        lambda d: (d / "d.csv").symlink_to(d / "gone"),
        Refused("leads nowhere"),
    ),
    _case(
        "a link to a missing file, found by a glob",
        lambda d: _both(d, lambda p: p.symlink_to(d / "gone")),
        Refused("b.csv", "leads nowhere"),
        "*.csv",
    ),
    _case("a link to itself", _loop, Refused("d.csv", "leads nowhere")),
    _case(
        "a link to a device",
        lambda d: (d / "d.csv").symlink_to("/dev/zero"),
        Refused("d.csv", _KIND),
    ),
    _case("a pipe", lambda d: os.mkfifo(d / "d.csv"), Refused("d.csv", _KIND)),
    _case("a pipe among files", lambda d: _both(d, os.mkfifo), Refused("b.csv", _KIND), "*.csv"),
    _case(
        "a pipe with the name of a zip",
        lambda d: os.mkfifo(d / "d.zip"),
        Refused("d.zip", _KIND),
        "d.zip",
    ),
    _case("a socket", lambda d: _socket(d / "d.csv"), Refused("d.csv", _KIND)),
    _case("a folder", lambda d: (d / "d.csv").mkdir(), Refused("d.csv", "is a folder")),
    _case("a folder among files", lambda d: _both(d, Path.mkdir), _READ, "*.csv"),
    _case("folders alone", lambda d: (d / "b.csv").mkdir(), Refused("no file matches"), "*.csv"),
    _case("no file", lambda d: None, Refused("no file matches 'data/d.csv'", "holds nothing")),
    _case("a missing folder", lambda d: None, Refused("no file matches"), "no/such/d.csv"),
    _case(
        "a file in place of a folder",
        lambda d: _with(d / "a.csv"),
        Refused("no file matches"),
        "a.csv/d.csv",
    ),
    _case("a name of 300 letters", lambda d: None, Refused("no file matches"), "x" * 300 + ".csv"),
    _case("a name with a NUL", lambda d: None, Refused("d\\x00.csv"), "d\0.csv"),
    _case(
        "a device by its name",
        lambda d: None,
        Refused("is not a regular file"),
        "../../../../../../../../../dev/zero",
    ),
    _case("brackets in a name", lambda d: _with(d / "d[1].csv"), _READ, "d[1].csv"),
    _case("a quote in the name", lambda d: _with(d / "it's; --.csv"), _READ, "it's; --.csv"),
    _case("a star in the name of a file", lambda d: _with(d / "a*.csv"), _READ, "a*.csv"),
    _case("equals signs in the folders", lambda d: _with(d / "y=7" / "d.csv"), _READ, "y=7/d.csv"),
    _case("a name that begins with a dash", lambda d: _with(d / "-rf.csv"), _READ, "-rf.csv"),
    _case(
        "a name with a line break",
        lambda d: _with(d / "a\nb.csv", b""),
        Refused("is empty"),
        "a*.csv",
    ),
    _case(
        "a name with a terminal escape sequence",
        lambda d: _with(d / "a\x1b[2Jb.csv", b""),
        Refused("is empty"),
        "a*.csv",
    ),
    _case("a name in capital letters", lambda d: _with(d / "D.CSV"), _READ, "D.CSV"),
    _case(
        "a name of an unknown format",
        lambda d: _with(d / "d.xlsx"),
        Refused("save the sheet as CSV"),
        "d.xlsx",
    ),
    _case(
        "a name without a suffix", lambda d: _with(d / "data"), Refused("set source.format"), "data"
    ),
    _case(
        "a name that is not utf-8",
        lambda d: _with(d / os.fsdecode(b"a\xff.csv")),
        Refused("a\\udcff.csv: has a name", "rename it"),
        "a*.csv",
    ),
    _case(
        "a folder whose name is not utf-8",
        lambda d: _with(d / os.fsdecode(b"a\xff") / "d.csv"),
        Refused("a\\udcff/d.csv: has a name", "rename it"),
        "*/d.csv",
    ),
]
