"""Where the kernel refuses namespaces: in a user namespace that may have no other in it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from factory_resources.boundary.inside import NOT_SET_UP
from factory_resources.boundary.report import parse_report
from factory_resources.home.home import PROJECT
from tests.factory_resources.boundary.inside import boundary, python
from tests.factory_resources.boundary.machine import needs_namespaces
from tests.ordinary_user import by_ordinary_user

pytestmark = needs_namespaces

_REFUSE = """
import os, sys
sys.path.insert(0, sys.argv[1])
from factory_resources.boundary import namespaces, syscalls
user, group = os.getuid(), os.getgid()
syscalls.call("unshare", namespaces.FLAGS["user"])
namespaces.keep_user(user, group)
open("/proc/sys/user/max_user_namespaces", "w").write("0")
os.execv(sys.argv[2], sys.argv[2:])
"""
_TRY = """
import socket
try:
    socket.socket(socket.AF_INET)
except PermissionError:
    print("no internet")
"""


def _run(folder: Path, **fields: Any) -> subprocess.CompletedProcess[str]:
    command = boundary(**fields).command(python(_TRY), folder / "report.json")
    return subprocess.run(
        by_ordinary_user([sys.executable, "-c", _REFUSE, str(PROJECT), *command]),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_boundary_is_the_fallback_and_says_why(folder: Path) -> None:
    done = _run(folder, level="auto")
    assert (done.returncode, done.stdout) == (0, "no internet\n"), done.stderr
    report = parse_report((folder / "report.json").read_text())
    assert report.level == "seccomp"
    assert report.reason.startswith("namespaces: the kernel refuses them (")
    assert "unix sockets of daemons on this machine" in report.open_ways
    assert report.seal.layers == ("seccomp", "landlock")


def test_a_required_one_is_refused(folder: Path) -> None:
    done = _run(folder, level="required")
    assert (done.returncode, done.stdout) == (NOT_SET_UP, "")
    assert "the command was not started: namespaces: the kernel refuses them" in done.stderr
    assert not (folder / "report.json").exists()


def test_one_with_an_allowed_address_does_not_hold_and_says_so(folder: Path) -> None:
    done = _run(folder, level="auto", allow=("127.0.0.1:5432",))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    report = parse_report((folder / "report.json").read_text())
    assert report.level == "none"
    assert report.reason.endswith("seccomp: without namespaces no address can be allowed")


def test_one_with_an_allowed_address_is_refused_where_it_is_required(folder: Path) -> None:
    done = _run(folder, level="required", allow=("127.0.0.1:5432",))
    assert (done.returncode, done.stdout) == (NOT_SET_UP, "")


def test_what_only_namespaces_keep_is_told(folder: Path) -> None:
    (folder / "home" / "kept").mkdir(parents=True)
    fields = {"writable": (folder / "home",), "kept": (folder / "home" / "kept",)}
    done = _run(folder, level="auto", **fields)
    assert done.returncode == 0, done.stderr
    report = parse_report((folder / "report.json").read_text())
    assert report.level == "seccomp"
    assert f"changing {folder / 'home' / 'kept'}" in report.open_ways


def test_nothing_is_tried_without_a_network_of_its_own(folder: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from factory_assets.cli.main import main; main(['boundary', 'test', 'tcp'])"
    )
    refused = [sys.executable, "-c", _REFUSE, str(PROJECT)]
    done = subprocess.run(
        by_ordinary_user([*refused, sys.executable, "-c", script, str(PROJECT)]),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "lets this user make no network to try it in" in done.stderr
    assert "Traceback" not in done.stderr
