"""What is remembered of pipelines between two looks at them."""

from pathlib import Path
from typing import Any

import pytest

from factory_assets.declarations import loader
from factory_assets.web.pages.pipeline_states import PipelineStates
from factory_resources.home.home import Home
from tests.disks import denied
from tests.pipelines import APPLES, declare


def test_a_declaration_that_is_saved_while_it_is_read_is_read_again(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "defs"))
    declare(tmp_path / "defs" / "apples", APPLES)
    file = tmp_path / "defs" / "apples" / "defs.yaml"
    states, read = PipelineStates(home), loader.read

    def read_before_saving(folder: Path) -> Any:
        found = read(folder)
        if folder == file.parent:
            file.write_text(file.read_text().replace(APPLES["purpose"], "Tell sweet from sour"))
        return found

    with monkeypatch.context() as patched:
        patched.setattr(loader, "read", read_before_saving)
        states.all()
    [apples] = [one for one in states.all() if one.name == "apples"]
    assert apples.purpose == "Tell sweet from sour"


def test_what_root_has_left_and_others_cannot_read_is_replaced(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.require_writable()
    left = home.tmp / "pipeline_states.json"
    left.write_text("of root")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", denied)
        PipelineStates(home).store()
    assert left.read_text().startswith("{")
