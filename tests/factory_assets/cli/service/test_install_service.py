"""The units of systemd: what systemd itself says of them, and what is refused."""

import getpass
import io
import os
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from click.testing import CliRunner

from factory_assets.cli.main import main

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="NOT TESTED: there is no systemd-analyze here to check the units",
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of the service, whose name has everything that has a meaning in a unit."""
    home = tmp_path / 'a home "of" 100%'
    home.mkdir()
    monkeypatch.setenv("FACTORY_HOME", str(home))
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "more $defs"))
    monkeypatch.setenv("FACTORY_PASSPHRASE", "nobody may read this")
    monkeypatch.delenv("FACTORY_DATABASE_URL", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return home


def _install(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["install-service", *arguments])
    return done.exit_code, done.output


def _declare_witness(root: Path) -> None:
    """Declare a witness in the folder of declarations."""
    from factory_resources.ledger.factory_verify import main as verifier

    defs = root / "more $defs"
    defs.mkdir()
    (defs / "factory.yaml").write_text("witness: {required: 1}\n")
    told = io.StringIO()
    with redirect_stdout(told):
        assert verifier(["witness", "new", str(root / "w.key"), "--name", "w.example/1"]) == 0
    key = told.getvalue().split()[-1]
    (defs / "witnesses.policy").write_text(f"witness w1 {key}\nquorum w1\n")


def _units(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def _analyze(*arguments: str, units: Path) -> str:
    done = subprocess.run(
        ["systemd-analyze", *arguments, *sorted(map(str, units.iterdir()))],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:", "XDG_RUNTIME_DIR": "/tmp"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@needs_systemd
@pytest.mark.parametrize("kind", ["user", "system"])
def test_systemd_finds_no_mistake(kind: str, tmp_path: Path) -> None:
    _declare_witness(tmp_path)
    folder, backups = tmp_path / "units", str(tmp_path / "back ups")
    options = ["--backup", backups, "--witness", str(tmp_path / "for 100% of them")]
    which = ["--system", "--user", getpass.getuser()] if kind == "system" else []
    code, text = _install("--in", str(folder), *options, *which, "--", "--port", "3001")
    assert code == 0, text
    assert {path.stem for path in folder.glob("*.timer")} == {
        f"factory-{name}" for name in ("backup", "gc", "status", "witness")
    }
    said = _analyze("verify", "--man=no", f"--{kind}", units=folder)
    assert str(folder) not in said, said


@needs_systemd
def test_the_service_of_the_system_is_little_exposed(tmp_path: Path) -> None:
    folder = tmp_path / "units"
    assert _install("--in", str(folder), "--system", "--user", getpass.getuser())[0] == 0
    for path in folder.glob("*.timer"):
        path.unlink()
    _analyze("security", "--offline=yes", "--threshold=45", units=folder)


def test_the_units_start_this_factory_with_its_settings_and_without_secrets(
    tmp_path: Path, home: Path
) -> None:
    folder = tmp_path / "config" / "systemd" / "user"
    code, text = _install("--", "--port", "3001")
    assert code == 0, text
    units = _units(folder)
    assert set(units) == {
        "factory.service",
        *("factory-gc.service", "factory-gc.timer"),
        *("factory-status.service", "factory-status.timer"),
    }
    up = units["factory.service"]
    start = f'ExecStart="{sys.executable}" "-P" "-m" "factory_assets.cli" "up" "--port" "3001"'
    assert start in up
    assert "After=network.target postgresql.service\n" in up
    # A database that is away for an hour of the night does not end it for good.
    assert {"StartLimitIntervalSec=0", "Restart=on-failure", "RestartSec=30"} <= {*up.splitlines()}
    escaped = str(home).replace('"', '\\"').replace("%", "%%")
    assert f'Environment="FACTORY_HOME={escaped}"' in up
    assert f'Environment="FACTORY_DEFS={tmp_path}/more $defs"' in up
    assert "nobody may read this" not in "".join(units.values())
    # Else each process would compile the factory anew after an update.
    assert "PYTHONDONTWRITEBYTECODE" not in "".join(units.values())
    assert "systemctl --user enable --now factory.service factory-gc.timer" in text
    assert "loginctl enable-linger" in text
    assert "there are no backups" in text
    assert "checkpoints go to witnesses by hand" in text


def test_relative_paths_mean_the_same_where_the_service_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FACTORY_DEFS", f"own{os.pathsep}~/more")
    monkeypatch.setenv("FACTORY_SECRETS", "hidden")
    # Where this one begins, a declaration says.
    monkeypatch.setenv("FACTORY_DATA", "../data")
    options = ("--tls-cert", "door.crt", "--tls-key=keys/door.key", "--port", "3001")
    code, text = _install("--in", "units", "--", *options)
    assert code == 0, text
    up = _units(tmp_path / "units")["factory.service"]
    assert f'"--tls-cert" "{tmp_path}/door.crt" "--tls-key={tmp_path}/keys/door.key" "--port"' in up
    assert f'"FACTORY_DEFS={tmp_path}/own{os.pathsep}{Path.home()}/more"' in up
    assert f'"FACTORY_SECRETS={tmp_path}/hidden"' in up
    assert '"FACTORY_DATA=../data"' in up


def test_witnesses_are_asked_every_hour_in_a_folder(tmp_path: Path) -> None:
    _declare_witness(tmp_path)
    folder, shared = tmp_path / "units", tmp_path / "shared"
    code, text = _install(
        "--in", str(folder), "--witness", str(shared), "--system", "--user", getpass.getuser()
    )
    assert code == 0, text
    assert "witnesses by hand" not in text
    units = _units(folder)
    assert f'"ledger" "exchange" "{shared}"\n' in units["factory-witness.service"]
    assert f'"{shared}"\n' in units["factory-witness.service"].partition("ReadWritePaths=")[2]
    assert "OnCalendar=hourly\n" in units["factory-witness.timer"]


def test_what_is_written_again_is_replaced_and_what_is_of_others_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "units"
    assert _install("--in", str(folder))[0] == 0
    code, text = _install("--in", str(folder), "--backup", str(tmp_path / "backups"))
    assert code == 0, text
    assert "factory-backup.timer" in _units(folder)
    code, text = _install("--in", str(folder))
    assert "factory-backup.timer was installed before and is on; to end it: systemctl" in text
    assert "there are no backups" not in text
    (folder / "factory.service").write_text("[Unit]\n")
    code, text = _install("--in", str(folder))
    assert (code, len(text.splitlines())) == (2, 1), text
    assert "factory install-service did not write this unit" in text
    assert (folder / "factory.service").read_text() == "[Unit]\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--system",), "--system and --user belong together"),
        (("--system", "--user", "nobody-has-this-name"), "there is no user"),
        (("--witness", "shared"), "no witness is declared"),
        (("--", "--prot", "3001"), "No such option"),
        (("--", "--tls-cert", "x", "--port", "70000"), "70000 is not in the range"),
        (("--", "--prot", "80"), "`factory up --help` shows what to give"),
        (("--", "--name", "a\nb"), r"a unit cannot have 'a\nb'"),
        (("--backup", "/mnt/\udcff"), r"a unit cannot have '/mnt/\udcff'"),
    ],
)
def test_mistakes_are_told(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    code, text = _install("--in", str(tmp_path / "units"), *arguments)
    assert code == 2
    assert said in text
    assert not (tmp_path / "units").exists()


def test_a_folder_that_cannot_be_told_to_systemd_leaves_no_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_HOME", f"{tmp_path}/\udcff")
    code, text = _install("--in", str(tmp_path / "units"))
    assert (code, "a unit cannot have 'FACTORY_HOME=" in text) == (2, True), text
    assert not (tmp_path / "units").exists()


def test_a_user_without_a_name_installs_units(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(number: int) -> str:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    code, text = _install("--in", str(tmp_path / "units"))
    assert (code, f"enable-linger {os.getuid()} " in text) == (0, True), text
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    code, text = _install()
    told = "error: HOME: the folder of this user is not known; set it, or name a folder with --in\n"
    assert (code, text) == (2, told)


def test_nobody_else_can_write_a_unit(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert _install("--in", str(tmp_path / "units"))[0] == 0
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "units").iterdir()} == {0o644}


def test_units_get_the_variables_that_pipelines_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "more $defs" / "apples"
    folder.mkdir(parents=True)
    source = "{files: '${FACTORY_LAKE}/${FACTORY_YEAR}/*.csv', args: '${FACTORY_PASSPHRASE}'}"
    (folder / "defs.yaml").write_text(f"attributes: {{ingest: {{source: {source}}}}}\n")
    monkeypatch.setenv("FACTORY_LAKE", "/srv/the lake")
    monkeypatch.delenv("FACTORY_YEAR", raising=False)
    code, text = _install("--in", str(tmp_path / "units"))
    assert code == 0, text
    for name, unit in _units(tmp_path / "units").items():
        assert ('"FACTORY_LAKE=/srv/the lake"' in unit) is name.endswith(".service"), name
        assert "FACTORY_YEAR" not in unit
        assert "FACTORY_PASSPHRASE" not in unit


def test_secrets_that_only_the_environment_has_are_named(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "more $defs" / "apples"
    folder.mkdir(parents=True)
    source = "{database: PLANT_DB, table: t}, b: {database: 'sqlite:PATH', table: u}"
    (folder / "defs.yaml").write_text(f"attributes: {{ingest: {{sources: {{a: {source}}}}}}}\n")
    (folder.parent / "factory.yaml").write_text(
        'alerts: [webhook: {url: "https://a.example/${HOOK}", authorization: HOOK_TOKEN}]\n'
    )
    for name in ("PLANT_DB", "HOOK", "HOOK_TOKEN"):
        monkeypatch.setenv(name, "hidden")
    (home / "secrets").mkdir()
    (home / "secrets" / "HOOK_TOKEN").touch()
    code, text = _install("--in", str(tmp_path / "units"))
    said = "no unit contains secrets of the environment: write HOOK, PLANT_DB into files of "
    said += f"these names in {home / 'secrets'}\n"
    assert (code, said in text) == (0, True), text
    assert "hidden" not in text + "".join(_units(tmp_path / "units").values())
    for name in ("PLANT_DB", "HOOK"):
        monkeypatch.delenv(name)
    assert "no unit contains" not in _install("--in", str(tmp_path / "units"))[1]


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://factory:hidden@db/factory",
        "postgresql:///factory?host=db&password=hidden",
        "postgresql:///factory?host=db&sslp%61ssword=hidden",
    ],
)
def test_an_address_with_a_password_is_in_no_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("FACTORY_DATABASE_URL", address)
    code, text = _install("--in", str(tmp_path / "units"))
    assert (code, "write the password into ~/.pgpass" in text) == (2, True), text
    assert "hidden" not in text
    assert not (tmp_path / "units").exists()
