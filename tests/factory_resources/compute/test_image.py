"""The Containerfile makes the image that the manifests expect."""

import re
import tomllib

from packaging.specifiers import SpecifierSet

from factory_resources.compute.pods import DATA, PIPELINES, USER
from factory_resources.home.home import PROJECT

_TEXT = (PROJECT / "Containerfile").read_text()
_PROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]


def test_the_image_has_what_pods_look_for() -> None:
    copied = {name for line in re.findall(r"^COPY (.*) \S+$", _TEXT, re.M) for name in line.split()}
    assert "pipelines" in copied
    assert [name for name in copied - {"pipelines"} if not (PROJECT / name).exists()] == []
    assert f"COPY pipelines {PIPELINES}\n" in _TEXT
    assert f"mkdir -p {DATA}\n" in _TEXT
    assert f"USER {USER}:{USER}\n" in _TEXT


def test_whoever_runs_in_the_image_may_read_what_was_copied() -> None:
    [folder] = re.findall(r"^WORKDIR (\S+)$", _TEXT, re.M)
    opened = f"RUN chmod -R go+rX {folder} {PIPELINES}\n"
    # Relative to the working folder, or in that of the pipelines.
    targets = re.findall(r"^COPY .* (\S+)$", _TEXT, re.M)
    assert {one for one in targets if one.startswith("/")} == {PIPELINES}
    assert _TEXT.rindex("\nCOPY ") < _TEXT.index(opened) < _TEXT.index("\nUSER ")


def test_the_image_has_a_python_that_the_project_supports() -> None:
    [version] = re.findall(r"^FROM \S+/python:([\d.]+)-slim$", _TEXT, re.M)
    assert version in SpecifierSet(_PROJECT["requires-python"])


def test_the_extras_of_the_image_exist() -> None:
    [names] = re.findall(r"'\.\[(.*)\]'", _TEXT)
    assert {*names.split(",")} - {*_PROJECT["optional-dependencies"]} == set()
