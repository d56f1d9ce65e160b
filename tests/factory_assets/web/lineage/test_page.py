"""A page shows a whole trace without scripts, escapes what it shows, and draws many as one."""

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from factory_assets.audit.trace.report import AnswersGiven, ModelUse, RowRoute, StagePassage, Trace
from factory_assets.audit.trace.trace import trace
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.web.lineage.graph import lineage_graph
from factory_assets.web.lineage.layout import NODE_WIDTH
from factory_assets.web.lineage.page import trace_page
from factory_resources.home.home import Home
from tests.browser import opened_browser
from tests.pipelines import declare

EVIL = "<script>alert('&').csv"

_VOID = {"meta", "path", "rect", "br"}

FRUIT: dict[str, Any] = {
    "purpose": "Rows to draw",
    "ingest": {
        "source": {"files": "*.csv"},
        "contract": [{"name": "size", "type": "int64"}, {"name": "colour", "type": "string"}],
    },
    "clean": {"where": {"positive": "size > 0"}},
}

Tracer = Callable[[str], Trace]


class Page(HTMLParser):
    """What a page consists of; fails if an element is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]
        assert not [name for name, _ in attrs if name.startswith("on") or name in {"src", "href"}]
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a pipeline that has read two files, one with an odd name."""
    folder = tmp_path_factory.mktemp("drawn") / "fruit"
    folder.mkdir()
    for size, name in enumerate(("part0.csv", EVIL), 1):
        (folder / name).write_text(f"size,colour\n{size},red\n-1,blue\n")
    pipeline = declare(folder, FRUIT)
    for stage in ("ingest", "clean"):
        run_stage(StageRequest(pipeline, stage, Home(folder.parent / "home"), "run"))
    return folder


@pytest.fixture
def traced(folder: Path) -> Tracer:
    return lambda name: trace(name, Home(folder.parent / "home"), folders={"fruit": folder})


def test_a_snapshot_is_drawn_from_its_sources(traced: Tracer) -> None:
    result = traced("fruit/clean")
    graph = lineage_graph(result)
    kinds = {name: node.kind for name, node in graph.nodes.items()}
    assert [(kinds[one], kinds[two]) for one, two in graph.edges] == [
        ("source", "ingest"),
        ("source", "ingest"),
        ("ingest", "clean"),
    ]
    page = Page(trace_page(result))
    assert {"h1", "h2", "svg", "title", "desc", "table"} <= {*page.tags}
    assert page.tags.count("h1") == 1
    assert "script" not in page.tags
    assert {"lineage-title", "lineage-desc"} <= {*page.ids}
    assert graph.description in page.text
    assert "No problems: every stored file was read" in page.text
    for step in result.steps:
        assert f"{step.name.partition('@')[0]}@{step.data_version[:12]}" in page.text


def test_texts_of_usual_width_stay_in_their_boxes(traced: Tracer) -> None:
    result = traced("fruit/clean")
    first = result.sources[0].model_copy(update={"name": "machine_failures.csv", "rows": 1_234_567})
    page = trace_page(result.model_copy(update={"sources": (first, *result.sources[1:])}))
    with opened_browser() as browser:
        shown = browser.new_page()
        shown.set_content(page)
        ends: list[float] = shown.eval_on_selector_all(
            ".lineage text", "texts => texts.map(one => one.getBBox().x + one.getBBox().width)"
        )
    assert max(ends) <= NODE_WIDTH - 6, ends


def test_values_are_escaped(traced: Tracer) -> None:
    page = trace_page(traced("fruit/clean"))
    assert EVIL not in page
    assert EVIL in Page(page).text


def test_characters_that_reverse_a_name_are_shown_as_escapes(traced: Tracer) -> None:
    result = traced("fruit/clean")
    first = result.sources[0].model_copy(update={"name": "paid\u202evsc.exe"})
    page = trace_page(result.model_copy(update={"sources": (first, *result.sources[1:])}))
    assert "\u202e" not in page
    assert "paid\\u202evsc.exe" in Page(page).text


def test_many_sources_are_one_box(traced: Tracer) -> None:
    result = traced("fruit/clean")
    source = result.sources[0]
    many = tuple(
        source.model_copy(update={"name": f"part{n}.csv", "sha256": f"{n:064}"}) for n in range(300)
    )
    graph = lineage_graph(result.model_copy(update={"sources": many}))
    [box] = [node for node in graph.nodes.values() if node.kind == "sources"]
    assert (box.title, box.detail, box.is_wrong) == ("300 sources", "600 rows", False)
    assert "and 100 more" in Page(trace_page(result.model_copy(update={"sources": many}))).text
    gone = (*many[:-1], many[-1].model_copy(update={"state": "gone"}))
    graph = lineage_graph(result.model_copy(update={"sources": gone}))
    [box] = [node for node in graph.nodes.values() if node.kind == "sources"]
    assert (box.detail, box.is_wrong) == ("600 rows, not there", True)


def test_many_partitions_are_one_box(traced: Tracer) -> None:
    result = traced("fruit/clean")
    [clean, ingest] = result.steps
    parts = tuple(
        ingest.model_copy(update={"name": f"fruit/ingest@{n}", "partition": str(n)})
        for n in range(9)
    )
    whole = clean.model_copy(update={"inputs": tuple(part.name for part in parts)})
    graph = lineage_graph(result.model_copy(update={"steps": (whole, *parts), "sources": ()}))
    assert {name: node.detail for name, node in graph.nodes.items()} == {
        "fruit/ingest": "9 partitions",
        clean.name: "2 kept",
    }
    assert [*graph.edges] == [("fruit/ingest", clean.name)]


def test_a_source_is_drawn_forward_to_answers(traced: Tracer, folder: Path) -> None:
    result = traced(str(folder / "part0.csv"))
    [route] = result.fates
    given = AnswersGiven(
        count=12_345, first="2026-03-01T10:00:00.000+00:00", last="2026-03-02T10:00:00.000+00:00"
    )
    model = ModelUse(name="fruit@2", champion=True, passed=True, rows={"train": 1}, answers=given)
    further = RowRoute(passages=(_joined(route),), models=(), into=())
    reached = route.model_copy(update={"models": (model,), "into": (further,)})
    drawn = result.model_copy(update={"fates": (reached,)})
    graph = lineage_graph(drawn)
    assert [node.kind for node in graph.nodes.values()] == [
        "source", "ingest", "clean", "champion", "answers", "ingest",
    ]  # fmt: skip
    page = Page(trace_page(drawn))
    assert "12,345 answers" in page.text
    assert "joined to its rows (price)" in page.text
    assert "Source part0.csv" in page.text


def _joined(route: RowRoute) -> StagePassage:
    return route.passages[0].model_copy(update={"step": "juice/ingest@1", "joined": "price"})


def test_a_changed_source_is_marked_in_words_and_by_its_frame(traced: Tracer, folder: Path) -> None:
    (folder / EVIL).write_text("size,colour\n2,red\n")
    result = traced("fruit/clean")
    page = trace_page(result)
    assert 'class="wrong"' in page
    assert "2 rows, changed" in Page(page).text
    assert "CHANGED" in Page(page).text
