"""Which version of a model a command means is said in full, or refused."""

from pathlib import Path

import pytest

from factory_assets.cli.shared import select_version
from factory_resources.errors import UnknownNameError
from tests.pipelines import APPLES, declare, enter


@pytest.fixture
def apples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(tmp_path, monkeypatch)
    declare(tmp_path / "defs" / "apples", APPLES)


@pytest.mark.usefixtures("apples")
@pytest.mark.parametrize(
    ("name", "version"), [("apples", None), ("apples@1", 1), ("apples@999999999", 999_999_999)]
)
def test_a_version_is_named_by_its_number(name: str, version: int | None) -> None:
    pipeline, found = select_version(name)
    assert (pipeline.name, found) == ("apples", version)


@pytest.mark.usefixtures("apples")
@pytest.mark.parametrize("version", ["", "0", "00", "-1", "x", "1 ", "\u0663", "9" * 20])
def test_what_is_no_version_is_refused(version: str) -> None:
    # Version 0 was taken for none, which is the newest one.
    with pytest.raises(UnknownNameError, match="is not a model version; write apples@3"):
        select_version(f"apples@{version}")
