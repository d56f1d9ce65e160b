"""A command inside: what it sees, what it may write, and how it ends."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from factory_resources.boundary.boundary import Boundary, level_here
from factory_resources.boundary.inside import NOT_SET_UP
from factory_resources.errors import BoundaryError, SettingError
from factory_resources.home.home import PROJECT
from tests.factory_resources.boundary.inside import boundary, command_line, python, run_inside
from tests.factory_resources.boundary.machine import level_of_this_machine, needs_namespaces
from tests.long_run import in_long
from tests.loopback import needs_root
from tests.ordinary_user import USER, by_ordinary_user
from tests.own_code import copy_code
from tests.waiting import wait_until

_LEVELS = [pytest.param("required", marks=needs_namespaces), "seccomp"]
every_level = pytest.mark.parametrize("level", _LEVELS)


def _as_a_shell_starts_it() -> None:
    """Take signals as usual: whoever runs the tests may ignore some of them, or block them."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def _running(level: str, script: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a script that prints a line when it is ready."""
    process = subprocess.Popen(
        command_line(boundary(level=level, writable=(folder,)), python(script, str(folder))),
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=_as_a_shell_starts_it,
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]


@every_level
def test_the_exit_code_is_the_commands(level: str, folder: Path) -> None:
    ended = run_inside(boundary(level=level), python("import sys; sys.exit(7)"), folder)
    assert ended.code == 7
    assert ended.report
    assert ended.report.exit_code == 7


@every_level
def test_output_errors_and_input_pass(level: str, folder: Path) -> None:
    script = "import sys; print(sys.stdin.read()); print('wrong', file=sys.stderr)"
    ended = run_inside(boundary(level=level), python(script), folder, input="täglich")
    assert (ended.output, ended.errors) == ("täglich\n", "wrong\n")


@every_level
def test_a_command_that_does_not_exist_ends_as_in_a_shell(level: str, folder: Path) -> None:
    ended = run_inside(boundary(level=level), ["/usr/bin/no-such"], folder)
    assert ended.code == 127
    assert ended.errors == "boundary: cannot start '/usr/bin/no-such': No such file or directory\n"


@every_level
def test_a_command_that_a_signal_kills_ends_with_128_and_its_number(
    level: str, folder: Path
) -> None:
    ended = run_inside(boundary(level=level), python("import os; os.kill(os.getpid(), 9)"), folder)
    assert ended.code == 128 + 9


_ON_TERM = """
import signal, sys, time
signal.signal(signal.{}, lambda *_: sys.exit(5))
print("ready", flush=True)
time.sleep(60)
"""


@every_level
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", *in_long(["SIGHUP", "SIGUSR1"])])
def test_a_signal_is_forwarded_and_the_command_may_answer(
    level: str, name: str, folder: Path
) -> None:
    with _running(level, _ON_TERM.format(name), folder) as process:
        process.send_signal(getattr(signal, name))
        assert process.wait(20) == 5


_LATE = """
import ctypes, operator, os, signal, sys, time
from functools import partial
sys.path.insert(0, sys.argv.pop(1))
from factory_resources.boundary.command import main

outside, late = os.getpid(), sys.argv.pop(1)

def after_a_signal(wait):
    def waiting(*arguments):
        if not told and (os.getpid() == outside) == (late == "outside"):
            told.append(1)
            time.sleep(2)
            # Between the two, Python does not look for signals.
            kill = partial(ctypes.CDLL(None).kill, os.getpid(), int(signal.SIGTERM))
            steps = kill, partial(wait, *arguments)
            return [*map(operator.call, steps)][1]
        return wait(*arguments)
    return waiting

told = []
for owner, name in ((os, "wait"), (os, "waitpid"), (signal, "sigwait")):
    setattr(owner, name, after_a_signal(getattr(owner, name)))
sys.exit(main(sys.argv[1:]))
"""


@every_level
@pytest.mark.parametrize("late", ["outside", *in_long(["inside"])])
def test_a_signal_that_comes_right_before_a_process_waits_is_forwarded(
    level: str, late: str
) -> None:
    started = boundary(level=level).command(python(_ON_TERM.format("SIGTERM")))
    options = started[started.index(f"--level={level}") :]
    done = subprocess.run(
        by_ordinary_user(python(_LATE, str(PROJECT), late, *options)),
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (5, b"ready\n"), done.stderr


_BEAT = """
import os, pathlib, sys, time
beat = pathlib.Path(sys.argv[1], "beat")
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            beat.write_text(str(time.monotonic()))
            time.sleep(.02)
    os._exit(0)
while not beat.exists():
    time.sleep(.01)
print("ready", flush=True)
time.sleep({})
"""


def _is_still(path: Path) -> bool:
    before = path.read_bytes()
    time.sleep(0.3)
    return path.read_bytes() == before


@every_level
def test_whoever_kills_the_boundary_kills_everything_inside(level: str, folder: Path) -> None:
    with _running(level, _BEAT.format(60), folder) as process:
        wait_until(lambda: not _is_still(folder / "beat"))
        process.kill()
        process.wait()
        wait_until(lambda: _is_still(folder / "beat"))


@pytest.mark.parametrize("is_killed", [False, True])
def test_the_temporary_files_of_the_fallback_are_removed(is_killed: bool, folder: Path) -> None:
    script = (
        "import sys, tempfile, pathlib, time\n"
        "pathlib.Path(sys.argv[1], 'where').write_text(tempfile.mkdtemp())\n"
        "print('ready', flush=True); time.sleep({})"
    )
    with _running("seccomp", script.format(60 * is_killed), folder) as process:
        where = Path((folder / "where").read_text())
        if is_killed:
            process.kill()
        process.wait(20)
        assert where.name.startswith("tmp")
        wait_until(lambda: not where.parent.exists())


@every_level
def test_what_a_command_leaves_behind_ends_with_it(level: str, folder: Path) -> None:
    with _running(level, _BEAT.format(0), folder) as process:
        assert process.wait(20) == 0
        assert _is_still(folder / "beat")


@every_level
def test_only_declared_paths_can_be_written(level: str, folder: Path) -> None:
    mine, other = folder / "ä b", folder / "other"
    for path in (mine, other):
        path.mkdir()
        os.chown(path, *USER)
    script = (
        "import pathlib, sys\n"
        "for path in sys.argv[1:]:\n"
        "    try: pathlib.Path(path, 'x').write_text('x')\n"
        "    except OSError as error: print(type(error).__name__)\n"
    )
    within = boundary(level=level, writable=(mine,))
    ended = run_inside(within, python(script, str(mine), str(other), "/etc", "/usr"), folder)
    assert len(ended.output.split()) == 3
    assert (mine / "x").read_text() == "x"
    assert not (other / "x").exists()


@every_level
def test_only_declared_paths_can_be_read(level: str, folder: Path) -> None:
    for name in ("shown", "hidden"):
        (folder / name).write_text(name)
        os.chown(folder / name, *USER)
    script = (
        "import sys\n"
        "for path in sys.argv[1:]:\n"
        "    try: print(open(path).read())\n"
        "    except OSError: print('nothing')\n"
    )
    paths = [str(folder / name) for name in ("shown", "hidden")]
    within = boundary(level=level, readable=(folder / "shown",))
    assert run_inside(within, python(script, *paths), folder).output == "shown\nnothing\n"


@needs_namespaces
def test_a_readable_folder_in_a_writable_one_stays_read_only(folder: Path) -> None:
    keys = folder / "work" / "keys"
    keys.mkdir(parents=True)
    for path in (keys, keys.parent):
        os.chown(path, *USER)
    script = "import sys; open(sys.argv[1] + '/x', 'w')"
    within = {"writable": (keys.parent,), "readable": (keys,)}
    assert run_inside(boundary(**within), python(script, str(keys.parent)), folder).code == 0
    ended = run_inside(boundary(**within), python(script, str(keys)), folder)
    assert "Read-only file system" in ended.errors
    ended = run_inside(boundary(level="seccomp", **within), python(script, str(keys)), folder)
    assert ended.code == NOT_SET_UP
    assert "cannot stay read-only" in ended.errors


@needs_namespaces
def test_home_and_temporary_folders_are_empty_private_and_writable(folder: Path) -> None:
    script = (
        "import os, tempfile\n"
        "for path in (os.environ['HOME'], '/tmp', '/var/tmp', '/dev/shm'):\n"
        "    tempfile.mkstemp(dir=path)\n"
        "    print(len(os.listdir(path)))\n"
    )
    (folder / "home").mkdir()
    (folder / "home" / ".netrc").write_text("secret")
    environment = {**os.environ, "HOME": str(folder / "home")}
    ended = run_inside(boundary(), python(script), folder, env=environment)
    # Where root becomes the user, its home is /tmp.
    assert ended.output.split()[1:] == ["1", "1", "1"] or ended.output.split()[0] == "1"
    assert [path.name for path in (folder / "home").iterdir()] == [".netrc"]


@every_level
def test_the_passphrase_of_a_persons_key_stays_outside(level: str, folder: Path) -> None:
    environment = {**os.environ, "FACTORY_PASSPHRASE": "correct horse"}
    script = (
        "import glob\n"
        "for path in glob.glob('/proc/*/environ'):\n"
        "    try:\n"
        "        found = b'FACTORY_PASSPHRASE' in open(path, 'rb').read()\n"
        "    except OSError:\n"
        "        found = False\n"
        "    if found: print(path)\n"
        "print('ended')"
    )
    ended = run_inside(boundary(level=level), python(script), folder, env=environment)
    assert ended.output == "ended\n"


@needs_namespaces
def test_shared_memory_is_as_large_as_asked_for(folder: Path) -> None:
    script = "import os; s = os.statvfs('/dev/shm'); print(s.f_blocks * s.f_frsize)"
    within = boundary(shared_memory=64 << 20)
    assert run_inside(within, python(script), folder).output == f"{64 << 20}\n"
    found = os.statvfs("/dev/shm")
    outside = f"{found.f_blocks * found.f_frsize}\n"
    assert run_inside(boundary(), python(script), folder).output == outside


@every_level
def test_the_working_folder_stays_if_it_is_declared(level: str, folder: Path) -> None:
    work = folder / "wörk"
    work.mkdir()
    os.chown(work, *USER)
    within = boundary(level=level, writable=(work,))
    ended = run_inside(within, python("import os; print(os.getcwd())"), folder, cwd=work)
    assert ended.output == f"{work}\n"


@needs_namespaces
def test_a_working_folder_that_is_not_declared_is_left(folder: Path) -> None:
    ended = run_inside(boundary(), python("import os; print(os.getcwd())"), folder, cwd=folder)
    assert ended.output == "/\n"


@needs_namespaces
def test_a_working_folder_that_was_removed_takes_nothing_from_the_boundary(folder: Path) -> None:
    gone = folder / "gone"
    gone.mkdir()
    for path in (folder, gone):
        os.chown(path, *USER)
    remove = "import os, sys; os.rmdir(os.getcwd()); os.execv(sys.argv[1], sys.argv[1:])"
    command = boundary().command(python("import os; print(os.getcwd())"))
    done = subprocess.run(
        by_ordinary_user(python(remove, *command)), cwd=gone, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"/\n"), done.stderr


_KNOWN_ELSEWHERE = """
import os, pwd, sys
user = pwd.getpwuid(os.getuid())
pwd.getpwuid = lambda number: pwd.struct_passwd(("ann", *user[1:]))
sys.path.append(sys.argv.pop(1))
from factory_resources.boundary.command import main
sys.exit(main(sys.argv[1:]))
"""


@needs_namespaces
def test_a_user_of_a_directory_service_has_the_same_name_inside() -> None:
    asked = python("import os, pwd; print(pwd.getpwuid(os.getuid())[0], pwd.getpwuid(0)[0])")
    # Without Python, its options and the script of its start.
    options = boundary().command(asked)[5:]
    command = by_ordinary_user(python(_KNOWN_ELSEWHERE, *options))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "ann root\n", done.stderr


@every_level
def test_a_thousand_inherited_descriptors_are_closed(level: str, folder: Path) -> None:
    script = "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])"
    many = [os.dup(0) for _ in range(1000)]
    try:
        ended = run_inside(boundary(level=level), python(script), folder, pass_fds=many)
    finally:
        for descriptor in many:
            os.close(descriptor)
    assert ended.output == "[0, 1, 2]\n"


@every_level
def test_a_standard_stream_that_is_a_socket_leads_nowhere(level: str, folder: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            command_line(boundary(level=level), python("print('out')")), stdout=theirs.fileno()
        )
        theirs.close()
        assert process.wait(20) == 0
        assert ours.recv(100) == b""


@every_level
def test_a_strict_umask_hides_nothing_and_stays(level: str, folder: Path) -> None:
    script = "import os, tempfile; print(oct(os.umask(0)), open('/etc/hosts').read() != '')"
    old = os.umask(0o077)
    try:
        ended = run_inside(boundary(level=level), python(script), folder)
    finally:
        os.umask(old)
    assert ended.output == "0o77 True\n", ended.errors


@every_level
def test_a_signal_that_was_ignored_at_the_start_stays_so(level: str, folder: Path) -> None:
    script = "import signal; print(signal.getsignal(signal.SIGHUP).name)"
    ended = run_inside(
        boundary(level=level),
        python(script),
        folder,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    assert ended.output == "SIG_IGN\n"


@every_level
def test_closed_standard_streams_do_no_harm(level: str, folder: Path) -> None:
    report = folder / "report.json"
    line = shlex.join(command_line(boundary(level=level), python(""), report))
    subprocess.run(["sh", "-c", f"{line} <&- >&- 2>&-"], check=True)
    assert report.exists()


_CONNECT = """
import socket, sys
one = socket.socket(socket.AF_UNIX)
one.connect(sys.argv[1])
print("reached")
"""


@needs_namespaces
def test_only_unix_sockets_in_declared_folders_are_reached(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/door")
        os.chmod(folder / "door", 0o777)
        server.listen()
        argv = python(_CONNECT, f"{folder}/door")
        reached = run_inside(boundary(readable=(folder,)), argv, folder)
        refused = run_inside(boundary(), argv, folder)
    assert reached.output == "reached\n"
    assert "No such file" in refused.errors


@every_level
def test_a_report_cannot_be_where_the_command_writes(level: str, folder: Path) -> None:
    ended = run_inside(boundary(level=level, writable=(folder,)), python(""), folder)
    assert ended.code == NOT_SET_UP
    assert "is in the writable folder" in ended.errors


@every_level
def test_the_report_tells_what_held(level: str, folder: Path) -> None:
    report = run_inside(boundary(level=level), python(""), folder).report
    assert report
    assert report.level == ("namespaces" if level == "required" else level)
    assert report.user == USER[0]
    assert len(report.seal.tries) == 14
    assert not report.seal.leaks()
    assert report.seal.status["NoNewPrivs"] == "1"
    assert report.seal.status["Seccomp"] == "2"
    assert int(report.seal.status["CapEff"], 16) == 0
    assert len(report.seal.filter_sha256) == 64
    own = report.seal.namespaces["net"] != report.outside["net"]
    assert own == (level == "required")
    assert report.seal.interfaces == (("lo",) if own else ())
    assert bool(report.open_ways) == (level == "seccomp")


def test_an_earlier_report_does_not_pass_for_this_one(folder: Path) -> None:
    (folder / "report.json").write_text("an earlier one")
    assert run_inside(boundary(level="off"), python(""), folder).report
    within = boundary(writable=(folder / "absent",))
    ended = run_inside(within, python(""), folder)
    assert ended.code == NOT_SET_UP
    assert ended.errors.startswith(f"boundary: {folder}/absent does not exist; create it")


def test_a_folder_in_the_place_of_the_report_is_one_line(folder: Path) -> None:
    command = boundary(level="off").command(["true"], folder)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == NOT_SET_UP
    assert done.stderr.startswith(f"boundary: the report {folder} cannot be written: ")
    assert len(done.stderr.splitlines()) == 1


def test_what_is_switched_off_says_so(folder: Path) -> None:
    ended = run_inside(boundary(level="off"), python("print(1)"), folder)
    assert (ended.code, ended.output) == (0, "1\n")
    assert ended.report
    assert (ended.report.level, ended.report.reason) == ("none", "it is switched off")


def test_an_allowed_address_is_refused_without_namespaces(folder: Path) -> None:
    within = boundary(level="seccomp", allow=("127.0.0.1:5432",))
    ended = run_inside(within, python("print(1)"), folder)
    assert (ended.code, ended.output) == (NOT_SET_UP, "")
    assert "without namespaces no address can be allowed" in ended.errors
    assert ended.report is None


@pytest.mark.parametrize("text", ["db", "db:0", "db:70000", "::1:80", "db:http", ":80"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match=r"HOST:PORT|1-65535"):
        Boundary(allow=(text,))


def test_this_machine_has_a_level() -> None:
    level, reason = level_of_this_machine()
    assert (level == "namespaces") == (reason == "")


@needs_root
def test_root_is_told_that_it_can_undo_any_boundary(folder: Path) -> None:
    report = folder / "report.json"
    command = Boundary(level="required").command(python("print(1)"), report)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (NOT_SET_UP, "")
    assert "root can undo any boundary" in done.stderr
    # The commands that pass this on have no such option.
    assert "--user" not in done.stderr
    assert not report.exists()


@needs_root
@pytest.mark.parametrize("user", [(2**32 - 1, 65534), (65534, 2**32 - 1), (10**11, 65534)])
def test_root_does_not_stay_root_by_a_number_that_changes_nothing(user: tuple[int, int]) -> None:
    command = Boundary(level="required", user=user).command(python("print(1)"))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (NOT_SET_UP, "")
    assert f"--user '{user[0]}:{user[1]}' is not UID or UID:GID" in done.stderr


@needs_root
def test_root_becomes_the_user(folder: Path) -> None:
    script = "import os; print(os.getresuid(), os.getresgid(), os.getgroups())"
    command = Boundary(level="required", user=USER).command(python(script))
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{(65534,) * 3} {(65534,) * 3} []\n"


def test_few_modules_are_imported_before_the_command_starts() -> None:
    script = (
        "import sys; sys.path.append(sys.argv[1])\n"
        "import factory_resources.boundary.command\n"
        "print(*sys.modules)"
    )
    root = str(Path(__file__).parents[3])
    done = subprocess.run(python(script, root), capture_output=True, text=True, check=True)
    heavy = {"argparse", "asyncio", "dataclasses", "inspect", "logging", "pathlib", "subprocess"}
    assert not heavy & {*done.stdout.split()}
    assert sys.modules.keys() >= heavy


_START = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from factory_resources.boundary.command import main
sys.exit(main(sys.argv[1:]))
"""


@every_level
@pytest.mark.parametrize("call", ["unshare", "io_uring_setup"])
def test_a_hole_is_noticed_before_the_command_starts(level: str, call: str, folder: Path) -> None:
    for package in ("boundary", "home"):
        copy_code(f"factory_resources/{package}", folder)
    source = folder / "factory_resources/boundary/seccomp.py"
    source.write_text(source.read_text().replace(f'"{call}"', '"umount2"'))
    argv = python(_START, str(folder), f"--level={level}", "--", *python("print(1)"))
    done = subprocess.run(
        by_ordinary_user(argv), capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (NOT_SET_UP, "")
    assert "a way out is open, and the command was not started" in done.stderr


@every_level
def test_a_killed_boundary_leaves_no_report(level: str, folder: Path) -> None:
    report = folder / "report.json"
    report.write_text("an earlier one")
    script = "import time; print('ready', flush=True); time.sleep(60)"
    process = subprocess.Popen(
        command_line(boundary(level=level), python(script), report), stdout=subprocess.PIPE
    )
    assert process.stdout
    with process.stdout:
        assert process.stdout.readline() == b"ready\n"
        process.kill()
        process.wait()
    assert not report.exists()


def test_a_machine_that_is_too_slow_to_tell_its_level_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("factory_resources.boundary.boundary._SECONDS", 0.001)
    with pytest.raises(BoundaryError, match=r"no boundary was set up within 0\.001 seconds"):
        level_here()
