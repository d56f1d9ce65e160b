"""Files of runs and versions: served from below the folder of artifacts, and from nowhere else."""

import os
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.factory_assets.web.mlflow.conftest import PREFIX, V2, MlflowSite
from tests.serving import Reply


def of_run(factory: MlflowSite, path: str, route: str = f"{PREFIX}/get-artifact") -> Reply:
    query = urlencode({"run_id": factory.run_id, "path": path})
    return factory.ask("GET", route, query=query, role="auditor")


def listed(factory: MlflowSite, path: str = "") -> list[str]:
    answer = of_run(factory, path, f"{V2}/artifacts/list")
    assert answer.status == 200, answer.body
    return [file["path"] for file in answer.json["files"]]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text("of the user")
    return file


def test_a_file_of_a_run_is_sent_whole_and_as_a_download(factory: MlflowSite) -> None:
    answer = of_run(factory, "evaluation/curve.png")
    assert answer.status == 200
    assert answer.body == b"\x89PNG" * 300_000
    assert answer.headers["content-type"] == "image/png"


def test_a_page_among_the_files_cannot_run_in_our_origin(factory: MlflowSite) -> None:
    headers = of_run(factory, "evaluation/page.html").headers
    assert headers["content-disposition"].startswith("attachment;")
    assert headers["x-content-type-options"] == "nosniff"


def test_files_of_a_version_and_of_a_logged_model_are_sent(factory: MlflowSite) -> None:
    query = urlencode({"name": "m", "version": "1", "path": "weights"})
    version = factory.ask("GET", f"{PREFIX}/model-versions/get-artifact", query=query)
    route = f"{V2}/logged-models/{factory.model_id}/artifacts"
    logged = factory.ask("GET", f"{route}/files", query="artifact_file_path=weights")
    assert version.body == logged.body == b"numbers"
    names = [file["path"] for file in factory.ask("GET", f"{route}/directories").json["files"]]
    assert "weights" in names


def test_a_folder_is_listed_with_sizes_and_a_file_has_nothing_in_it(factory: MlflowSite) -> None:
    answer = of_run(factory, "evaluation", f"{V2}/artifacts/list")
    first, second = answer.json["files"]
    assert first == {"path": "evaluation/curve.png", "is_dir": False, "file_size": 1_200_000}
    assert second["path"] == "evaluation/page.html"
    assert listed(factory, "evaluation/page.html") == []


def test_symbolic_links_are_neither_followed_nor_listed(factory: MlflowSite, secret: Path) -> None:
    (factory.files / "link").symlink_to(secret)
    (factory.files / "folder").symlink_to(secret.parent)
    try:
        for path in ("link", "folder/secret", "folder"):
            assert of_run(factory, path).status == 404
        assert listed(factory) == ["evaluation"]
        assert listed(factory, "folder") == []
    finally:
        (factory.files / "link").unlink()
        (factory.files / "folder").unlink()


def test_a_link_in_the_place_of_the_run_is_not_followed(factory: MlflowSite, secret: Path) -> None:
    moved = factory.files.rename(factory.files.with_name("moved"))
    try:
        factory.files.symlink_to(secret.parent)
        assert of_run(factory, "secret").status == 404
    finally:
        factory.files.unlink()
        moved.rename(factory.files)


def test_a_pipe_is_never_opened(factory: MlflowSite, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    really = os.open

    def recorded(path: str, *args: int, **others: int) -> int:
        opened.append(path)
        return really(path, *args, **others)

    pipe = factory.files / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr(os, "open", recorded)
    try:
        assert of_run(factory, "pipe").status == 404
        assert listed(factory) == ["evaluation"]
    finally:
        pipe.unlink()
    assert factory.run_id in opened
    assert "pipe" not in opened


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "..",
        "/etc/passwd",
        "../../../../../../../../etc/passwd",
        "evaluation/../../artifacts/evaluation/curve.png",
        "evaluation//curve.png",
        "./evaluation/curve.png",
        "evaluation/curve.png\0",
        "evaluation\\curve.png",
        "%2e%2e/%2e%2e",
        "file:///etc/passwd",
        "evaluation",
        "none",
        "x" * 5_000,
    ],
)
def test_a_path_that_leads_to_no_plain_file_of_the_run_is_not_found(
    factory: MlflowSite, path: str
) -> None:
    assert of_run(factory, path).status == 404


def test_the_location_that_mlflow_has_stored_is_not_believed(
    factory: MlflowSite, secret: Path
) -> None:
    from factory_resources.tracking.registry import Registry

    client = Registry(factory.home).client
    away = client.create_experiment("away", artifact_location=secret.parent.as_uri())
    run = client.create_run(away)
    client.create_registered_model("away")
    client.create_model_version(
        "away", secret.parent.as_uri(), run.info.run_id, await_creation_for=0
    )
    query = urlencode({"run_id": run.info.run_id, "path": "secret"})
    assert factory.ask("GET", f"{PREFIX}/get-artifact", query=query).status == 404
    query = urlencode({"name": "away", "version": "1", "path": "secret"})
    assert factory.ask("GET", f"{PREFIX}/model-versions/get-artifact", query=query).status == 404


@pytest.mark.parametrize("name", ["..", "../m", "/", "/etc", "m/../..", "m\0"])
def test_a_model_named_like_a_path_has_no_files(factory: MlflowSite, name: str) -> None:
    query = urlencode({"name": name, "version": "1", "path": "weights"})
    assert factory.ask("GET", f"{PREFIX}/model-versions/get-artifact", query=query).status == 404


@pytest.mark.parametrize("version", ["", "0", "-1", "1e3", "²", "9" * 5_000])
def test_a_version_that_is_no_number_has_no_files(factory: MlflowSite, version: str) -> None:
    query = urlencode({"name": "m", "version": version, "path": "weights"})
    assert factory.ask("GET", f"{PREFIX}/model-versions/get-artifact", query=query).status == 404


def test_no_descriptor_is_left_open(factory: MlflowSite) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for path in ("evaluation/curve.png", "evaluation/none", "evaluation", "../x", "none/none"):
        for _ in range(20):
            of_run(factory, path)
            of_run(factory, path, f"{V2}/artifacts/list")
    assert len(os.listdir("/proc/self/fd")) <= before + 10
