"""What may be declared of a roll-out, and what each mistake says."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from factory_assets.declarations.loader import load_pipeline
from factory_assets.spec.rollout import Canary, Shadow, parts_of, share_text
from factory_resources.errors import DeclarationError
from factory_resources.home.home import PROJECT
from tests.pipelines import APPLES, declare, write_apples


def declared(folder: Path, deploy: Any) -> Canary | Shadow | None:
    write_apples(folder)
    return declare(folder, {**APPLES, "deploy": deploy}).spec.deploy.rollout


def test_a_canary_a_shadow_and_none(tmp_path: Path) -> None:
    canary = declared(tmp_path / "apples", {"canary": {"share": "10%", "for": "2h"}})
    assert isinstance(canary, Canary)
    assert (parts_of(canary.share), canary.duration, canary.answers) == (1_000, "2h", 100)
    for shadow in (True, {"for": "1d"}, {"answers": 100}):
        found = declared(tmp_path / "apples", {"shadow": shadow})
        assert isinstance(found, Shadow)
        assert (found.duration, found.answers) == ("1d", 100)
    assert declared(tmp_path / "apples", {"shadow": False}) is None
    assert declared(tmp_path / "apples", {}) is None


@pytest.mark.parametrize(
    ("deploy", "line", "message"),
    [
        ({"canary": {"share": "0%", "for": "2h"}}, "share", "more than 0% and less than 100%"),
        ({"canary": {"share": "150%", "for": "2h"}}, "share", "share 150% is not a part"),
        ({"canary": {"share": "100%", "for": "2h"}}, "share", "share 100% is not a part"),
        ({"canary": {"share": "0.001%", "for": "2h"}}, "share", "0.001% is not a part"),
        ({"canary": {"share": "ten", "for": "2h"}}, "share", "such as 10%"),
        ({"canary": {"share": 0.1, "for": "2h"}}, "share", "such as 10%"),
        ({"canary": {"share": "10%"}}, "canary", "'for' is missing"),
        ({"canary": {"for": "1h"}}, "canary", "'share' is missing"),
        ({"canary": {"share": "10%", "for": "soon"}}, "for", "such as 2d"),
        ({"canary": {"share": "10%", "for": "1h", "answers": 0}}, "answers", "0 is not valid"),
        ({"canary": {"share": "10%", "for": "2h"}, "shadow": True}, "shadow", "keep one of them"),
        ({"canary": True}, "canary", "must be a mapping"),
        ({"shadow": {"share": "10%"}}, "share", "unknown key 'share'"),
    ],
)
def test_a_mistake_is_one_line_at_its_place(
    deploy: Any, line: str, message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "apples"
    with pytest.raises(DeclarationError) as error:
        declared(folder, deploy)
    [said] = str(error.value).splitlines()
    assert message in said
    number = int(said.removeprefix(f"{folder / 'defs.yaml'}:").partition(":")[0])
    assert line in (folder / "defs.yaml").read_text().splitlines()[number - 1]


def test_shares_as_parts_and_as_text() -> None:
    assert [parts_of(text) for text in ("1%", "0.01%", "99.99%")] == [100, 1, 9_999]
    assert [parts_of(text) for text in ("", "10", "-1%", "1e1%", "10 %", "٣%")] == [0] * 6
    assert [share_text(parts) for parts in (1_000, 1, 3_333)] == ["10 %", "0.01 %", "33.33 %"]


def test_what_the_page_declares_is_valid(tmp_path: Path) -> None:
    page = (PROJECT / "docs" / "serve.md").read_text().partition("## Roll out carefully")[2]
    blocks = [part.partition("```")[0] for part in page.split("```yaml\n")[1:]]
    found = [declared(tmp_path / "apples", yaml.safe_load(one)["deploy"]) for one in blocks]
    assert [type(one) for one in found] == [Canary, Shadow]
    assert load_pipeline(tmp_path / "apples").spec.deploy.rollout == found[1]
