"""Root becomes an ordinary user, whose home it is."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from factory_resources.errors import SettingError, StorageError
from factory_resources.home.home import Home
from factory_resources.security.become_user import become_user
from tests.loopback import needs_root

_BECOME = """
import os, sys
from pathlib import Path
from factory_resources.home.home import Home
from factory_resources.security.become_user import become_user
become_user(sys.argv[1], Home(Path(sys.argv[2])))
print(os.getresuid(), os.getresgid(), os.getgroups(), os.environ["HOME"])
try:
    os.setuid(0)
except PermissionError:
    print("for good")
"""


@needs_root
def test_a_new_home_is_theirs(tmp_path: Path) -> None:
    user = pwd.getpwnam("nobody")
    home = tmp_path / "home"
    command = [sys.executable, "-c", _BECOME, "nobody", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    uid, gid = user.pw_uid, user.pw_gid
    assert done.stdout == f"{(uid,) * 3} {(gid,) * 3} [{gid}] {user.pw_dir}\nfor good\n", (
        done.stderr
    )
    assert (home.stat().st_uid, home.stat().st_mode & 0o777) == (uid, 0o700)


@needs_root
def test_somebody_elses_home_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prepared.json").touch()
    with pytest.raises(StorageError, match=r"is not that of the user 'nobody'; .*chown -R nobody"):
        become_user("nobody", Home(tmp_path))
    assert tmp_path.stat().st_uid == 0
    assert os.geteuid() == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [("no_such_user", "there is no user 'no_such_user'"), ("root", "root is no ordinary user")],
)
def test_another_name_is_refused(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=message):
        become_user(name, Home(tmp_path / "home"))
    assert not (tmp_path / "home").exists()


@needs_root
def test_an_ordinary_user_cannot_become_another(tmp_path: Path) -> None:
    script = _BECOME.replace("become_user(sys", "os.setuid(65534); become_user(sys")
    command = [sys.executable, "-c", script, "daemon", str(tmp_path / "home")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "only root can become 'daemon'" in done.stderr
