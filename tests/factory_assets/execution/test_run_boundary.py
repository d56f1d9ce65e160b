"""What a run may reach follows from the declarations, and from where the factory keeps its data."""

import os
import socket
import sys
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import yaml

from factory_assets.execution.ledger_entries import begin_ledger
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.run_boundary import run_boundary
from factory_assets.execution.runner import run_stage
from factory_assets.spec import Pipeline
from factory_resources.boundary.boundary import Boundary
from factory_resources.encoders.sentence_encoder import FILES
from factory_resources.errors import BoundaryError, DeclarationError
from factory_resources.home.home import PROJECT, Home
from tests.pipelines import APPLES, declare, write_apples

ALARMS = {
    "alerts": [
        {"webhook": {"url": "https://hooks.example/${TOKEN}"}},
        {"email": {"to": ["a@example.org"], "sender": "f@example.org", "host": "mail.example"}},
        {"command": ["true"]},
    ]
}


def _pipeline(folder: Path, **sections: Any) -> Pipeline:
    pipeline = declare(folder, {**APPLES, **sections})
    write_apples(folder)
    return pipeline


@pytest.fixture
def defs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "defs").mkdir()
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "defs"))
    return tmp_path / "defs"


def _of(pipelines: list[Pipeline], home: Home, **settings: Any) -> Boundary:
    home.require_writable()
    return run_boundary(pipelines, home, **settings)


def test_nothing_is_declared(defs: Path, home: Home) -> None:
    boundary = _of([_pipeline(defs / "apples")], home)
    assert (boundary.level, boundary.allow, boundary.writable) == ("auto", (), (home.path,))
    assert {PROJECT, defs} <= {*boundary.readable}
    assert boundary.kept == (home.path / "boundary",)


@pytest.mark.parametrize(
    ("factory", "pipelines", "level"),
    [
        (None, ["required", None], "required"),
        (None, ["none", None], "auto"),
        (None, ["none", "none"], "off"),
        ("required", [None], "required"),
        ("required", ["none"], "off"),
        ("none", [None], "off"),
        ("none", [], "off"),
        ("required", [], "required"),
        ("none", [{"allow": "db.example:5432"}], "off"),
    ],
)
def test_the_strictest_level_holds(
    factory: str | None, pipelines: list[Any], level: str, defs: Path, home: Home
) -> None:
    if factory:
        (defs / "factory.yaml").write_text(f"boundary: {factory}\n")
    declared = [
        _pipeline(defs / f"apples{number}", **({"boundary": one} if one else {}))
        for number, one in enumerate(pipelines)
    ]
    assert _of(declared, home).level == level


def test_addresses_are_those_of_all_pipelines_and_of_the_factory(defs: Path, home: Home) -> None:
    (defs / "factory.yaml").write_text("boundary: {allow: [storage.example:9000]}\n")
    declared = [
        _pipeline(defs / "apples1", boundary={"allow": "db.example:5432"}),
        _pipeline(defs / "apples2", boundary={"allow": ["db.example:5432", "[fd00::1]:80"]}),
    ]
    allow = ("storage.example:9000", "db.example:5432", "[fd00::1]:80")
    assert _of(declared, home).allow == allow


def test_only_a_look_may_tell_of_alarms(defs: Path, home: Home) -> None:
    (defs / "factory.yaml").write_text(yaml.safe_dump(ALARMS))
    pipeline = _pipeline(defs / "apples")
    assert _of([pipeline], home).allow == ()
    assert _of([pipeline], home, looks=True).allow == ("hooks.example:443", "mail.example:587")


def test_a_look_sees_the_programs_that_tell_of_alarms(
    defs: Path, home: Home, tmp_path: Path
) -> None:
    page, script = tmp_path / "bin" / "page", tmp_path / "bin" / "page.py"
    page.parent.mkdir()
    page.touch()
    script.touch()
    gone = str(tmp_path / "gone")
    alerts = [{"command": [str(page), "--urgent"]}, {"command": ["python3", str(script), gone]}]
    (defs / "factory.yaml").write_text(yaml.safe_dump({"alerts": alerts}))
    pipeline = _pipeline(defs / "apples")
    assert {page, script} <= {*_of([pipeline], home, looks=True).readable}
    assert not {page, script} & {*_of([pipeline], home).readable}
    assert Path(gone) not in _of([pipeline], home, looks=True).readable


def test_every_run_sees_what_the_factory_declares(defs: Path, home: Home, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    (defs / "factory.yaml").write_text("boundary: {readable: ../lists}\n")
    assert lists in _of([_pipeline(defs / "apples")], home).readable


def test_alarms_go_to_addresses_of_ipv6(defs: Path, home: Home) -> None:
    mail = {"to": ["a@example.org"], "sender": "f@example.org", "host": "::1", "tls": "none"}
    alerts = [{"webhook": {"url": "http://[fd00::1]:8080/hook"}}, {"email": mail}]
    (defs / "factory.yaml").write_text(yaml.safe_dump({"alerts": alerts}))
    allow = _of([_pipeline(defs / "apples")], home, looks=True).allow
    assert allow == ("[fd00::1]:8080", "[::1]:587")


@pytest.mark.parametrize(
    ("address", "allow", "readable"),
    [
        ("postgresql://f@db.example/factory", ("db.example:5432",), None),
        ("postgresql://f@db.example:6543/factory", ("db.example:6543",), None),
        ("postgresql+psycopg2://f@[fd00::1]:6543/factory", ("[fd00::1]:6543",), None),
        ("postgresql://127.0.0.1:1,[::1]:2/factory", ("127.0.0.1:1", "[::1]:2"), None),
        ("postgresql:///factory?host={folder}", (), "{folder}"),
        ("postgresql:///factory?service=plant", ("db.example:6000",), None),
    ],
)
def test_the_factorys_own_server_is_reached(
    address: str,
    allow: tuple[str, ...],
    readable: str | None,
    defs: Path,
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "sockets"
    folder.mkdir()
    services = tmp_path / "services"
    services.write_text("[plant]\nhost=db.example\nport=6000\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    home.require_writable()
    monkeypatch.setenv("FACTORY_DATABASE_URL", address.format(folder=folder))
    # There is no ledger yet: the server is not asked.
    monkeypatch.setattr("factory_assets.execution.run_boundary.Ledger.exists", False)
    boundary = run_boundary([], home)
    assert boundary.allow == allow
    assert (folder in boundary.readable) == (readable is not None)


@pytest.mark.parametrize("away", [0, 1])
def test_of_several_servers_those_that_accept_are_reached(
    away: int, defs: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    names = [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]
    monkeypatch.setenv("FACTORY_DATABASE_URL", f"postgresql://f@{','.join(names)}/factory")
    home.require_writable()
    monkeypatch.setattr("factory_assets.execution.run_boundary.Ledger.exists", False)
    assert run_boundary([], home).allow == (*names,)
    servers[away].close()
    assert run_boundary([], home).allow == (names[1 - away],)
    servers[1 - away].close()
    assert run_boundary([], home).allow == (*names,)


def test_files_of_sources_are_read(defs: Path, home: Home, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in ("one/a.csv", "two/b.csv", "three/c.csv", "reference/d.csv"):
        (data / name).parent.mkdir(parents=True)
        (data / name).write_text("a,b\n1,2\n")
    source = {"python": "m:load", "args": {"path": str(data / "three")}}
    joined = {"type": {"source": {"files": str(data / "two" / "*.csv")}, "on": "a"}}
    pipeline = _pipeline(
        defs / "apples",
        ingest={**APPLES["ingest"], "source": {"files": str(data / "one" / "a.csv")}},
        boundary={"readable": [str(data / "reference")]},
    )
    other = _pipeline(defs / "others", ingest={"source": source, "joins": joined})
    wrong = _pipeline(defs / "wrong", ingest={"source": {"files": str(data / "one" / "typo.csv")}})
    read = {*_of([pipeline], home).readable}
    assert {data / "one" / "a.csv", data / "reference"} <= read
    assert {data / "two", data / "three"} <= {*_of([other], home).readable}
    # So that the error can say what is there.
    assert data / "one" in _of([wrong], home).readable


@pytest.mark.parametrize(
    ("files", "read"),
    [("../../data/a.csv", "data/a.csv"), ("../../data/*.csv", "data"), ("../../*.csv", ".")],
)
def test_files_beside_the_folder_of_pipelines_are_read(
    files: str, read: str, defs: Path, home: Home, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("a,b\n1,2\n")
    pipeline = _pipeline(defs / "apples", ingest={**APPLES["ingest"], "source": {"files": files}})
    assert tmp_path / read in _of([pipeline], home).readable


@pytest.mark.parametrize("present", [".", "/"])
def test_the_folder_in_which_a_service_was_started_is_not_read(
    present: str, defs: Path, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "present").mkdir()
    monkeypatch.chdir(tmp_path / "present" / present)
    # As `python -m` does.
    monkeypatch.setattr(sys, "path", [os.getcwd(), *sys.path])
    read = {*_of([_pipeline(defs / "apples")], home).readable}
    assert {PROJECT, defs} <= read
    assert Path.cwd() not in read


def test_what_python_would_pass_over_is_passed_over(
    defs: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a folder of another user, there may be something, or not: nobody can tell.
    untold = f"/{'x' * 300}"
    monkeypatch.setattr(sys, "path", [*sys.path, untold])
    assert Path(untold) not in _of([_pipeline(defs / "apples")], home).readable


def test_what_others_read_as_settings_or_evidence_is_not_changed_by_a_run(
    defs: Path, home: Home
) -> None:
    pipeline, secrets = _pipeline(defs / "apples"), home.path / "secrets"
    files = {home.dagster / "dagster.yaml", home.path / "workspace.yaml"}
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    # The first run makes the key of the ledger there.
    assert secrets not in _of([pipeline], home).kept
    begin_ledger(home)
    assert {*files, secrets, home.path / "boundary"} == {*_of([pipeline], home).kept}


def test_declarations_in_the_home_are_not_changed_by_a_run(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.require_writable()
    folder = home.path / "pipelines"
    monkeypatch.setenv("FACTORY_DEFS", str(folder))
    boundary = _of([_pipeline(folder / "apples")], home)
    assert folder in boundary.kept


def test_an_encoder_is_read_where_its_files_are(defs: Path, home: Home, tmp_path: Path) -> None:
    cache, encoder = tmp_path / "cache", tmp_path / "encoders" / "small"
    for folder in (cache, encoder):
        folder.mkdir(parents=True)
    for name in FILES:
        (cache / name).write_text("")
        (encoder / name).symlink_to(cache / name)
    pipeline = _pipeline(
        defs / "apples", train={**APPLES["train"], "text": {"colour": str(encoder)}}
    )
    read = {*_of([pipeline], home).readable}
    assert {encoder, *(cache / name for name in FILES)} <= read


def test_a_package_that_was_installed_to_be_edited_is_read(
    defs: Path, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "source" / "edited_for_test"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")

    class Finder:
        """Finds it where no path leads, as those of setuptools do."""

        @staticmethod
        def find_spec(name: str, *_: object) -> ModuleSpec | None:
            if name != package.name:
                return None
            places = [str(package)]
            file = package / "__init__.py"
            return spec_from_file_location(name, file, submodule_search_locations=places)

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    sources = {"own": f"{package.name}.sources:load", "beside": "m:load", "system": "sys:exit"}
    for name, source in sources.items():
        pipeline = _pipeline(defs / name, ingest={"source": {"python": source}})
        assert (package in _of([pipeline], home).readable) == (name == "own")


def test_files_that_the_address_of_a_server_names_are_read(
    defs: Path, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.require_writable()
    for name in ("own.pem", "plant.pem", "key", "trusted.pem"):
        (tmp_path / name).write_text("")
    (tmp_path / ".postgresql").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    server = f"postgresql://f@db.example/factory?sslmode=verify-full&sslrootcert={tmp_path}/own.pem"
    monkeypatch.setenv("FACTORY_DATABASE_URL", server)
    monkeypatch.setenv("PGSSLKEY", str(tmp_path / "key"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
    monkeypatch.setenv("PLANT_DB", f"postgresql://f@db/plant?sslrootcert={tmp_path}/plant.pem")
    # There is no ledger yet: the server is not asked.
    monkeypatch.setattr("factory_assets.execution.run_boundary.Ledger.exists", False)
    source = {"database": "PLANT_DB", "table": "t"}
    pipeline = _pipeline(defs / "apples", ingest={**APPLES["ingest"], "source": source})
    expected = {tmp_path / name for name in ("own.pem", "plant.pem", "key", "trusted.pem")}
    assert expected <= {*run_boundary([pipeline], home).readable}
    # Without a server of the factory's own, too.
    monkeypatch.delenv("FACTORY_DATABASE_URL")
    expected = {tmp_path / name for name in ("plant.pem", ".postgresql")}
    assert expected <= {*run_boundary([pipeline], home).readable}


@pytest.mark.parametrize("files", ["../../link/readings/*.csv", "beside/readings/*.csv"])
def test_files_of_sources_are_read_behind_links(
    files: str, defs: Path, home: Home, tmp_path: Path
) -> None:
    (tmp_path / "disk" / "readings").mkdir(parents=True)
    (tmp_path / "disk" / "readings" / "a.csv").write_text("a,b\n1,2\n")
    (tmp_path / "link").symlink_to("disk")
    pipeline = _pipeline(defs / "apples", ingest={**APPLES["ingest"], "source": {"files": files}})
    (defs / "apples" / "beside").symlink_to(tmp_path / "link")
    read = {*_of([pipeline], home).readable}
    # The second is the name by which the run knows the first.
    assert {tmp_path / "disk" / "readings", tmp_path / "link" / "readings"} <= read
    assert not {tmp_path / "disk", tmp_path / "link"} & read


def test_a_folder_of_pipelines_may_be_a_link(
    defs: Path, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = _pipeline(defs / "apples")
    (tmp_path / "link").symlink_to(defs)
    monkeypatch.setenv("FACTORY_DEFS", "link")
    monkeypatch.chdir(tmp_path)
    assert {defs, tmp_path / "link"} <= {*_of([pipeline], home).readable}


def test_a_link_that_leads_nowhere_is_no_harm(defs: Path, home: Home, tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to("round")
    pipeline = _pipeline(defs / "apples", boundary={"readable": ["../../round"]})
    assert tmp_path / "round" in _of([pipeline], home).readable


def test_an_address_without_a_port_is_refused(defs: Path) -> None:
    with pytest.raises(DeclarationError, match=r"'db\.example' is not an address; write it as"):
        _pipeline(defs / "apples", boundary={"allow": ["db.example"]})


def test_a_level_is_a_word(defs: Path) -> None:
    with pytest.raises(DeclarationError, match=r"'requird'.*did you mean 'required'"):
        _pipeline(defs / "apples", boundary="requird")


def test_a_stage_that_must_be_inside_is_refused_outside(
    defs: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = _pipeline(defs / "apples", boundary="required")
    call = StageRequest(pipeline, "ingest", home, "run")
    monkeypatch.delenv("FACTORY_BOUNDARY", raising=False)
    for level in (None, "none", "seccomp"):
        if level:
            monkeypatch.setenv("FACTORY_BOUNDARY", level)
        with pytest.raises(BoundaryError, match="a boundary is required, and there is none"):
            run_stage(call)
    assert not home.records.exists()
    monkeypatch.setenv("FACTORY_BOUNDARY", "namespaces")
    assert run_stage(call).changed


def test_the_head_of_a_cluster_that_works_is_reached(
    defs: Path, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("a token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    pipeline = _pipeline(defs / "apples")
    boundary = _of([pipeline], home, workers="ray://head.example:10001")
    assert boundary.allow == ("head.example:10001",)
    assert token in boundary.readable
    boundary = _of([pipeline], home, workers="4")
    assert boundary.allow == ()
    assert token not in boundary.readable
