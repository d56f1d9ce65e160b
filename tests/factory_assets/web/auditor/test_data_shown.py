"""What the pages say of the rows of partitions, and of pipelines without a model."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from factory_assets.cli.run import run
from factory_assets.cli.shared import RunSelection
from factory_resources.home.home import Home
from factory_resources.metering.si_prefix import si_prefixed
from factory_resources.tracking.records import Records
from tests.factory_assets.web.auditor.clients import app_of, client_of
from tests.factory_assets.web.pages.markup import mistakes_of, text_of
from tests.pipelines import APPLES, declare, enter, write_apples

pytestmark = pytest.mark.slow

DAYS = {"day": {"every": "day", "start": "2024-01-01", "end": "2024-01-04"}}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A model of three days that was never evaluated, and a pipeline without a model."""
    root = tmp_path_factory.mktemp("data_shown")
    folder = root / "defs" / "apples"
    folder.mkdir(parents=True)
    write_apples(folder)
    header, *rows = (folder / "data.csv").read_text().splitlines()
    for day in (1, 2, 3):
        part = rows[day - 1 :: 3]
        lines = [header, *part, part[0], f"-{day},red,bad", f"x{day},red,bad"]
        (folder / f"2024-01-0{day}.csv").write_text("\n".join(lines) + "\n")
    attributes = copy.deepcopy(APPLES) | {"partitions": DAYS}
    attributes["ingest"] |= {"source": {"files": "{day}.csv"}, "max_quarantine": 0.5}
    attributes["clean"]["deduplicate"] = ["size", "colour", "label"]
    declare(folder, attributes)
    product = {key: attributes[key] for key in ("purpose", "partitions", "ingest", "clean")}
    product["ingest"] = attributes["ingest"] | {"source": {"files": "../apples/{day}.csv"}}
    declare(root / "defs" / "product", product)
    # It had no partitions at first.
    grown = copy.deepcopy(product)
    del grown["partitions"]
    grown["ingest"] |= {"source": {"files": "../apples/2024-*.csv"}}
    declare(root / "defs" / "grown", grown)
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        run(RunSelection(["apples"], ["ingest", "clean", "split", "train"]), _quiet())
        run(RunSelection(["product", "grown"]), _quiet())
        declare(root / "defs" / "grown", product)
        run(RunSelection(["grown"]), _quiet())
        yield Home(root / "home")


def _quiet() -> Console:
    return Console(file=io.StringIO())


def _page(home: Home, path: str) -> tuple[str, str]:
    """Return the source of a page, and its text."""
    answer = client_of(app_of(home), "tom", ["auditor"]).get(path)
    assert answer.status_code == 200, text_of(answer.text)
    assert mistakes_of(answer.text) == []
    return answer.text, text_of(answer.text)


def test_rows_and_sources_of_all_partitions_are_counted(home: Home) -> None:
    source, text = _page(home, "/audit/apples/1")
    assert "209 rows read; in quarantine 3 by ingest and 3 by clean; 3 duplicates" in text
    for day in (1, 2, 3):
        assert f">2024-01-0{day}.csv</a>" in source


def test_the_energy_of_all_partitions_is_counted(home: Home) -> None:
    [trained] = Records(home).all("apples", "train")
    behind = [*Records(home).all("apples", "ingest"), *Records(home).all("apples", "clean")]
    behind += [*Records(home).all("apples", "split"), trained]
    assert len(behind) == 8
    _, text = _page(home, "/audit/apples/1")
    assert f"Energy {si_prefixed(sum(one.wh for one in behind), 'Wh')}" in text


def test_a_version_that_was_never_evaluated_says_so(home: Home) -> None:
    _, text = _page(home, "/audit/apples/1")
    assert "It was never evaluated." in text


def test_a_pipeline_without_a_model_shows_what_it_read(home: Home) -> None:
    source, text = _page(home, "/audit/product")
    assert "No version was trained" not in text
    assert "209 rows read; in quarantine 3 by ingest and 3 by clean; 3 duplicates" in text
    assert source.count('href="/audit/files/') == 3
    assert source.count('data-label="Proof"') == 6


def test_rows_that_were_read_before_there_were_partitions_are_not_counted_again(home: Home) -> None:
    source, text = _page(home, "/audit/grown")
    assert "209 rows read; in quarantine 3 by ingest and 3 by clean; 3 duplicates" in text
    assert source.count('href="/audit/files/') == 3
