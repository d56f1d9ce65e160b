"""The documentation is correct: the ```bash blocks of each page run, in order, as one script.

`factory` of these scripts imports once for all of them, what serves apart; in the long run of the
tests it is what people have.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from factory_resources.home.home import PROJECT
from tests.commands import forked_command
from tests.e2e.conftest import Demo

pytestmark = pytest.mark.slow
PAGES = sorted((PROJECT / "docs").glob("*.md"))
_BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("imports", ["once", pytest.param("each time", marks=pytest.mark.long)])
@pytest.mark.parametrize("page", [p for p in PAGES if _BLOCK.search(p.read_text())], ids=str)
def test_commands_of_the_page_run(page: Path, imports: str, demo: Demo, tmp_path: Path) -> None:
    home = shutil.copytree(demo.home, tmp_path / "home")
    script = "set -euo pipefail\n" + "\n".join(_BLOCK.findall(page.read_text()))
    programs = [str(Path(sys.executable).parent), os.environ["PATH"]]
    if imports == "once":
        programs.insert(0, str(_programs(tmp_path / "bin")))
    environment = {
        **os.environ,
        "FACTORY_HOME": str(home),
        # Nobody is there to be asked for the passphrase of a key.
        "FACTORY_PASSPHRASE": "correct horse battery staple",
        "PATH": os.pathsep.join(programs),
    }
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _programs(folder: Path) -> Path:
    """Make a folder with a `factory` that asks the server of commands."""
    folder.mkdir()
    factory = folder / "factory"
    served = f"'{Path(sys.executable).with_name('factory')}'"
    factory.write_text(
        f'#!/bin/sh\ncase "$1" in up|serve) exec {served} "$@";; esac\n'
        f'exec {shlex.join(forked_command())} "$@"\n'
    )
    factory.chmod(0o700)
    return folder


def test_the_readme_is_short_and_its_links_are_valid() -> None:
    text = (PROJECT / "README.md").read_text()
    assert len(text.splitlines()) < 200
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert len(links) > 6
    assert [link for link in links if not (PROJECT / link).exists()] == []


def test_links_between_the_pages_lead_to_a_heading() -> None:
    pages = {page.name: page.read_text() for page in PAGES}
    links = [
        (name, linked or name, heading)
        for name, text in pages.items()
        for linked, heading in re.findall(r"\]\(([\w-]+\.md)?(?:#([\w-]+))?\)", text)
        if linked or heading
    ]
    assert len(links) > 100
    broken = [
        link
        for link in links
        if link[1] not in pages or (link[2] and link[2] not in _anchors(pages[link[1]]))
    ]
    assert broken == []


def _anchors(page: str) -> set[str]:
    """Return the names under which links reach the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"(?ms)^```.*?^```", "", page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_ten_line_pipeline_of_the_readme_is_valid(tmp_path: Path) -> None:
    from factory_assets.declarations.loader import load_pipeline

    block = re.search(r"```yaml\n(.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL)
    assert block
    (tmp_path / "short").mkdir()
    (tmp_path / "short" / "defs.yaml").write_text(block[1])
    assert load_pipeline(tmp_path / "short").spec.training.target == "Machine failure"


def test_every_make_target_that_the_readme_names_exists() -> None:
    text = (PROJECT / "README.md").read_text() + (PROJECT / "docs/operate.md").read_text()
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"make ([a-z]+)", text)) - {"the"}
    assert {"demo", "up", "test", "bench"} <= named <= targets
