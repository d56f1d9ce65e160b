"""The dossier of a version: every value is what its source says, in every format, without harm."""

import io
import json
import re
import shutil
import subprocess
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import html5lib
import pypdf
import pytest
from markdown_it import MarkdownIt
from oscal_bindings.v1 import parse_oscal
from oscal_bindings.v1.parser import OscalParseError

from factory_assets.audit.dossier.cited import MOST_ROWS, CitedValue
from factory_assets.audit.dossier.difference import dossier_difference
from factory_assets.audit.dossier.dossier import Dossier, make_dossier
from factory_assets.audit.dossier.json_format import dossier_json
from factory_assets.audit.dossier.markdown import render_markdown
from factory_assets.audit.dossier.outlines import CLAIM, print_document
from factory_assets.audit.dossier.printing import (
    PrintedParagraph,
    PrintedSection,
    PrintedTable,
    print_value,
)
from factory_assets.audit.requirements.catalogue import catalogue
from factory_assets.cli.evidence import write_evidence
from factory_assets.declarations.loader import load_pipeline
from factory_resources.home.home import Home
from factory_resources.ledger.entries import ChampionMade, ServingChanged
from factory_resources.ledger.factory_verify import (
    Expectation,
    follow_pointer,
    leaf_hash,
    verify_path,
)
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.prediction_entries import (
    PredictionsArchived,
    PredictionsErased,
    PredictionsLogged,
    PredictionsRemoved,
)
from factory_resources.ledger.watch_entries import AlarmsChanged
from tests.approvals import Factory
from tests.commands import in_process
from tests.factory_assets.audit.dossier.homes import ANSWERS, RISK
from tests.pipelines import enter
from tests.recorded_home.make import unpack

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _entered(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(factory.root, monkeypatch)


def _made(factory: Factory, version: int | None = 2, home: Home | None = None) -> Dossier:
    pipeline = load_pipeline(factory.defs / "apples")
    return make_dossier(pipeline, version, home or factory.home)


@pytest.fixture(scope="module")
def dossier(factory: Factory) -> Dossier:
    return _made(factory)


def _every(sections: tuple[PrintedSection, ...]) -> Iterator[PrintedSection]:
    """Yield each section before its sub-sections."""
    for section in sections:
        yield section
        yield from _every(section.sections)


def _content(value: CitedValue, dossier: Dossier, factory: Factory) -> bytes:
    path = value.citation.path
    if path.startswith("ledger/"):
        return dossier.entries[value.citation.entry].body.encode()
    return (factory.home.path / path).read_bytes()


def test_every_value_equals_its_source(dossier: Dossier, factory: Factory) -> None:
    values = [value for table in dossier.tables for value in table.values()]
    assert len(values) > 200
    for value in values:
        content = _content(value, dossier, factory)
        assert sha256(content).hexdigest() == value.citation.sha256
        found = follow_pointer(json.loads(content), value.pointer)
        assert (type(found), found) == (type(value.value), value.value)
        body = dossier.entries[value.citation.entry].body.encode()
        assert leaf_hash(body).hex() == value.citation.leaf


def test_every_printed_number_is_a_value_of_a_fact(dossier: Dossier) -> None:
    known = {print_value(value.value) for table in dossier.tables for value in table.values()}
    labels = {cell for table in dossier.tables for row in table.rows for cell in row}
    document = print_document(dossier, "dossier")
    tables = [
        block
        for section in _every(document.sections)
        for block in section.blocks
        if isinstance(block, PrintedTable)
    ]
    cells = [cell for table in tables for row in table.rows for cell in row[1:]]
    assert len(cells) > 200
    assert [cell for cell in cells if cell not in known and cell not in labels] == []


def test_the_kinds_of_evidence_that_a_version_has(dossier: Dossier) -> None:
    kinds = {table.kind for table in dossier.tables}
    assert {"metrics", "slices", "fairness", "robustness", "gates", "energy"} <= kinds
    assert {"sources", "data_contract", "lineage", "splits", "environment", "code"} <= kinds
    assert {"version_chain", "version_difference", "interface", "ledger", "boundary"} <= kinds
    assert "search" not in kinds
    differs = next(table for table in dossier.tables if table.name == "difference")
    assert "ingest: source" in [row[0] for row in differs.rows]


def test_without_a_version_it_is_the_champion(factory: Factory) -> None:
    champion = _made(factory, None)
    assert (champion.version, champion.champion) == (1, True)
    texts = {in_process("dossier", name)[1] for name in ("apples", "apples@1", "apples@champion")}
    assert len(texts) == 1
    approval = next(table for table in champion.tables if table.name == "approvals")
    assert [cell.value for cell in approval.values()][1] == "approved"


def test_each_requirement_has_its_evidence_or_a_gap(dossier: Dossier) -> None:
    document = print_document(dossier, "dossier")
    sections = {section.id: section for section in _every(document.sections)}
    assert sections["claim"].blocks[0].text == CLAIM  # type: ignore[union-attr]
    for asked in catalogue().requirements:
        texts = [block.text for block in sections[f"requirement-{asked.id}"].blocks]  # type: ignore[union-attr]
        for kind in asked.evidence:
            words = kind.replace("_", " ")
            gap = f"Gap: nothing is recorded for this version under: {words}."
            shown = [text for text in texts if text.startswith(f"Evidence, {words}: ")]
            assert (gap in texts, len(shown)) in {(True, 0), (False, 1)}, (asked.id, kind)
            assert bool(shown) == bool(dossier.of(kind))
        asked_of = f"Question to a person: {asked.person}"
        assert (asked_of in texts) == bool(asked.person)


def test_only_the_questions_that_apply_to_the_risk_tier_are_counted(dossier: Dossier) -> None:
    def told(one: Dossier) -> str:
        return render_markdown(print_document(one, "dossier"))

    assert "for risk tier minimal: 0 signed, 0 stale, 1 open." in told(dossier)
    states = Counter(dossier.answer(one).state for one in ANSWERS)
    assert states["signed"]
    asked = [one for one in catalogue().requirements if one.person]
    high = sum(one.applies in {"all", "high"} for one in asked)
    counted = f"{states['signed']} signed, {states['stale']} stale, {high - len(ANSWERS)} open."
    assert f"for risk tier high: {counted}" in told(replace(dossier, tier="high"))


def test_the_json_names_the_gaps_and_the_open_questions(dossier: Dossier) -> None:
    content = json.loads(dossier_json(dossier))
    assert (content["format"], content["version"]) == ("factory.dossier", 1)
    search = next(one for one in content["requirements"] if one["id"] == "annex-iv.2b")
    assert search["gaps"] == ["search"]
    assert search["answer"] == {**search["answer"], "state": "open", "text": "", "entry": None}


def test_answers_are_signed_or_stale_or_gaps(dossier: Dossier, factory: Factory) -> None:
    first = _made(factory, 1)
    assert {name for name, one in first.answers.items() if one.state == "signed"} == {*ANSWERS}
    stale = {name: one.changed for name, one in dossier.answers.items() if one.state == "stale"}
    assert "metrics" in stale["annex-iv.4"]
    assert dossier.answer("annex-iv.7").state == "signed"
    assert ("risks.1.id", "bad-apple") in first.answer("article.9").declared


@pytest.mark.parametrize("version", [1, 2])
def test_the_page_shows_who_signed_what_is_stale_and_what_is_missing(version: int) -> None:
    code, text = in_process("dossier", f"apples@{version}", "--format", "html")
    assert code == 0
    page = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)
    sections = {section.get("id"): section for section in page.iter("section")}
    answered = sections["requirement-annex-iv.4"]
    shown = {one.get("class"): "".join(one.itertext()) for one in answered.iter("p")}
    assert shown["signed"] == ANSWERS["annex-iv.4"], "as a whole, with its lines"
    if version == 1:
        assert RISK["residual"] in "".join(sections["requirement-article.9"].itertext())
    about = " about version 1" if version == 2 else ""
    assert shown["signature"].startswith(f"Signed{about} by jane on 20")
    stale = "Stale: since it was signed, this changed: metrics, gates."
    assert shown.get("stale") == (stale if version == 2 else None)
    unanswered = "".join(sections["requirement-annex-iv.3"].itertext())
    assert "Gap: no person has answered and signed." in unanswered


def test_what_differs_between_two_versions(dossier: Dossier, factory: Factory) -> None:
    changes = dossier_difference(_made(factory, 1), dossier)
    seed = next(
        one for one in changes if one.fact.endswith("hyperparameters included: seed, value")
    )
    assert (seed.change, seed.before, seed.now) == ("changed", "7", "8")
    assert {"robustness"} <= {one.kind for one in changes if one.change == "added"}
    assert dossier_difference(dossier, dossier) == ()
    code, text = in_process("dossier", "apples@2", "--diff", "1")
    assert code == 0
    assert "| changed | Declared training" in text


@pytest.mark.parametrize("kind", ["dossier", "model-card", "data-sheet"])
def test_the_page_is_valid_and_has_no_markup_of_names(kind: str) -> None:
    code, text = in_process("dossier", "apples@2", "--as", kind, "--format", "html")
    assert code == 0
    page = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)
    names = {element.tag for element in page.iter() if isinstance(element.tag, str)}
    assert not names & {"script", "img", "link", "iframe", "object", "form", "input"}
    attributes = {name for element in page.iter() for name in element.attrib}
    assert not [name for name in attributes if name.startswith("on")]
    targets = {element.attrib["href"] for element in page.iter("a")}
    ids = {element.attrib["id"] for element in page.iter() if "id" in element.attrib}
    assert {target.removeprefix("#") for target in targets} == {
        one for one in ids if "note-" in one
    }
    shown = "".join(page.itertext())
    assert ("<script>alert(1)</script>" in shown) == (kind != "data-sheet")
    assert "\u202e" not in text


def test_markdown_shows_names_as_they_are() -> None:
    code, text = in_process("dossier", "apples@2")
    assert code == 0
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    inline = [child for token in tokens for child in token.children or ()]
    assert not [t for t in [*tokens, *inline] if t.type in {"html_block", "html_inline", "image"}]
    assert not [t for t in inline if t.type in {"link_open", "em_open", "code_inline"}]
    texts = ["".join(c.content for c in t.children or ()) for t in tokens if t.type == "inline"]
    assert "colour = <script>alert(1)</script>: rows" in texts
    assert "colour = a | b, *c*: rows" in texts
    assert "\u202e" not in text


def test_the_pdf_has_the_text_and_the_evidence(tmp_path: Path, dossier: Dossier) -> None:
    first, second = tmp_path / "first.pdf", tmp_path / "second.pdf"
    for out in (first, second):
        assert in_process("dossier", "apples@2", "--format", "pdf", "--out", str(out))[0] == 0
    assert first.read_bytes() == second.read_bytes()
    reader = pypdf.PdfReader(first)
    assert reader.metadata
    assert reader.metadata.title == "Technical documentation of apples@2"
    made = reader.metadata.creation_date
    assert made
    assert made.isoformat()[:19] == dossier.made[:19]
    assert reader.root_object["/Lang"] == "en"
    assert reader.root_object["/MarkInfo"]["/Marked"]
    metadata = reader.xmp_metadata
    assert metadata
    claims = metadata.rdf_root.toxml()
    assert re.search(r"pdfaid:part>3<.*pdfaid:conformance>A<", claims)
    assert "pdfuaid:part>1<" in claims
    text = " ".join("".join(page.extract_text() for page in reader.pages).split())
    assert CLAIM.split(". ")[0] in text
    assert "<script>alert(1)</script>" in text
    assert '#read("/etc/passwd")' in text
    assert "root:" not in text
    attached = reader.attachments
    assert json.loads(attached["dossier.json"][0]) == json.loads(dossier_json(dossier))
    [proof] = [name for name in attached if name.endswith(".tlog-proof")]
    assert attached[proof][0].startswith(b"c2sp.org/tlog-proof@v1\n")


@pytest.mark.skipif(shutil.which("pdfinfo") is None, reason="Debian's poppler-utils is missing")
def test_other_programs_open_the_pdf(tmp_path: Path, dossier: Dossier) -> None:
    file = tmp_path / "dossier.pdf"
    assert in_process("dossier", "apples@2", "--format", "pdf", "--out", str(file))[0] == 0

    def ask(*command: str) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    told = ask("pdfinfo", file.name)
    assert re.search(r"^Title: +Technical documentation of apples@2$", told, re.MULTILINE)
    assert re.search(r"^Tagged: +yes$", told, re.MULTILINE)
    assert re.search(r"^JavaScript: +no$", told, re.MULTILINE)
    assert CLAIM.split(". ")[0] in " ".join(ask("pdftotext", file.name, "-").split())
    assert ask("pdfdetach", "-list", file.name).startswith("2 embedded files\n")
    ask("pdfdetach", "-savefile", "dossier.json", "-o", "attached.json", file.name)
    attached = json.loads((tmp_path / "attached.json").read_bytes())
    assert attached == json.loads(dossier_json(dossier))


def test_oscal_is_valid_and_says_what_is_missing(dossier: Dossier) -> None:
    code, text = in_process("dossier", "apples@2", "--format", "oscal")
    assert code == 0
    assert parse_oscal(text)
    [result] = json.loads(text)["assessment-results"]["results"]
    findings = {one["target"]["target-id"]: one for one in result["findings"]}
    assert findings.keys() == {one.id for one in catalogue().requirements}
    assert findings["annex-iv.1a"]["target"]["status"]["state"] == "not-satisfied"
    assert "a new signature" in findings["annex-iv.1a"]["description"]
    assert "the signed answer of a person" in findings["annex-iv.3"]["description"]
    assert findings["annex-iv.7"]["target"]["status"]["state"] == "satisfied"
    unasked = [one for one in catalogue().requirements if not one.person and one.evidence]
    for one in unasked:
        state = findings[one.id]["target"]["status"]["state"]
        assert (state == "satisfied") == all(dossier.of(kind) for kind in one.evidence)
    answer = next(one for one in result["observations"] if one["title"] == "Answer to annex-iv.1a")
    assert "\\<script\\>" in answer["description"]
    assert "jane" not in answer["description"]
    assert answer["remarks"] == "Signed about version 1 by jane."
    cited = {
        (evidence["href"], prop["value"])
        for observation in result["observations"]
        for evidence in observation["relevant-evidence"]
        for prop in evidence["props"]
        if prop["name"] == "sha256"
    }
    assert cited == {(one.path, one.sha256) for one in dossier.citations}
    again = in_process("dossier", "apples@2", "--format", "oscal")[1]
    assert again == text
    broken: dict[str, Any] = json.loads(text)
    del broken["assessment-results"]["results"][0]["reviewed-controls"]
    with pytest.raises(OscalParseError):
        parse_oscal(json.dumps(broken))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pears"], "no pipeline 'pears'"),
        (["apples@9"], "apples has no version 9"),
        (["apples@x"], "'apples@x' is not a model version; write apples@3, or apples"),
        (
            ["apples", "--format", "pdf"],
            "a PDF cannot be printed here; name a file: --out dossier.pdf",
        ),
        (
            ["apples", "--format", "json", "--diff", "1"],
            "--format json exists for the whole dossier only",
        ),
        (["apples", "--out", "missing/dossier.md"], "missing/dossier.md"),
        (
            ["apples", "--out", "dossier.docx"],
            "dossier.docx: no format of a dossier ends in '.docx'; "
            "choose a name that ends in .md, .html, .pdf, .json, or say --format",
        ),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], told: str) -> None:
    code, text = in_process("dossier", *arguments)
    assert code == 2
    assert told in text
    assert len(text.splitlines()) == 1


def test_what_the_ledger_says_later_is_in_the_next_dossier(
    dossier: Dossier, factory: Factory, tmp_path: Path
) -> None:
    home = Home(Path(shutil.copytree(factory.home.path, tmp_path / "home")))
    day, digest = dossier.made[:10], "a" * 64
    moved = {"subject": f"predictions/apples/{day}", "pipeline": "apples", "day": day, "count": 12}
    ids = {"first": "0" * 32, "last": "1" * 32}
    about = {"pipeline": "apples", "version": 2}
    alarms = {**about, "subject": "alarms/apples", "look": 4, "report": digest}
    block = {"subject": "predictions/b", "block": "b", "root": digest, "count": 3, "bytes": 9}
    stopped = {**about, "subject": "serving/apples", "action": "stopped"}
    back = {"subject": "champion/apples", "version": 1, "replaced": 2, "rollback": True}
    champion = Ledger(home).latest(ChampionMade, "champion/apples")
    assert champion
    archived = {**moved, **ids, "sha256": digest, "leaves": digest}
    removed = {**moved, "files": (digest,), "reason": "kept long enough"}
    replaced, kept = {**archived, "sha256": "b" * 64}, {**archived, "sha256": "c" * 64, "count": 5}
    leaves = {"b": {"0" * 32: 0}}
    erased = {**moved, "count": 1, "erasure": "one", "blocks": leaves, "file": "b" * 64}
    Ledger(home).append(
        [
            AlarmsChanged.model_validate({**alarms, "open": ("drift of size", "errors")}),
            PredictionsLogged.model_validate({**block, **ids}),
            PredictionsArchived.model_validate(replaced),
            PredictionsErased.model_validate(erased),
            PredictionsArchived.model_validate(archived),
            PredictionsRemoved.model_validate(removed),
            PredictionsArchived.model_validate(kept),
            ServingChanged.model_validate(stopped),
            champion[1].model_copy(update=back),
        ]
    )
    later = _made(factory, home=home)
    assert later.size == dossier.size + 9
    tables = {table.name: table for table in later.tables}
    values = {name: [value.value for value in table.values()] for name, table in tables.items()}
    assert [value for value in values["alarms"] if isinstance(value, str)][1::2] == [
        "drift of size",
        "errors",
    ]
    assert values["blocks"][0::2] == ["b", 3]
    assert values["answers"] == [day, 5, "c" * 64]
    assert values["removed_answers"] == [day, 12, "kept long enough"]
    assert values["erased_answers"] == [day, 1, "one"]
    assert "stopped" in values["interventions"]
    assert values["rollbacks"][1:3] == [1, 2]
    assert not {"alarms", "blocks", "answers"} & {table.name for table in dossier.tables}


def test_the_newest_days_of_answers_come_first(
    dossier: Dossier, factory: Factory, tmp_path: Path
) -> None:
    home = Home(Path(shutil.copytree(factory.home.path, tmp_path / "home")))
    first = datetime.fromisoformat(dossier.made)
    days = [f"{first + timedelta(days=number):%Y-%m-%d}" for number in range(3)]
    ends = {"first": "0" * 32, "last": "1" * 32, "sha256": "a" * 64, "leaves": "a" * 64}
    entries = [
        {
            **ends,
            "time": f"{days[-1]}T01:00:00.000Z",
            "subject": f"predictions/apples/{day}",
            "pipeline": "apples",
            "day": day,
            "count": 1,
        }
        for day in days
    ]
    Ledger(home).append([PredictionsArchived.model_validate(entry) for entry in entries])
    [table] = [one for one in _made(factory, home=home).tables if one.name == "answers"]
    assert [value.value for value in table.values()][::3] == days[::-1]


def test_a_champion_that_a_person_stopped_is_not_said_to_serve(
    factory: Factory, tmp_path: Path
) -> None:
    home = Home(Path(shutil.copytree(factory.home.path, tmp_path / "home")))
    said = []
    for action in ("stopped", "resumed"):
        changed = {"subject": "serving/apples", "pipeline": "apples", "version": 1}
        Ledger(home).append([ServingChanged.model_validate({**changed, "action": action})])
        for version in (1, 2):
            printed = print_document(_made(factory, version, home), "model-card")
            [_, about, *_] = printed.sections[0].blocks
            assert isinstance(about, PrintedParagraph)
            said.append(about.text.partition(" UTC. ")[2].partition(", as the first")[0])
    stopped = "It is the champion, but a person has stopped it, so that it does not serve"
    other = "It is not the champion"
    assert said == [stopped, other, "It is the champion", other]


def test_of_many_champions_the_last_ones_are_shown(factory: Factory, tmp_path: Path) -> None:
    home = Home(Path(shutil.copytree(factory.home.path, tmp_path / "home")))
    made = Ledger(home).latest(ChampionMade, "champion/apples")
    assert made
    nights = [made[1].model_copy(update={"version": n % 2 + 1}) for n in range(MOST_ROWS + 1)]
    last = Ledger(home).append(nights)[-1]
    [table] = [one for one in _made(factory, home=home).tables if one.name == "champions"]
    assert table.omitted
    [first, *_] = table.values()
    assert first.citation.entry == last


@pytest.mark.parametrize("name", ["apples@2", "pears@1", "nets@1"])
def test_a_home_that_is_older_than_its_ledger_has_dossiers(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack(tmp_path)
    enter(tmp_path, monkeypatch)
    code, text = in_process("dossier", name, "--format", "json")
    assert code == 0
    content = json.loads(text)
    kinds = {table["kind"] for table in content["facts"]}
    assert {"metrics", "gates", "splits", "training"} <= kinds
    assert ("version_difference" in kinds) == (name == "apples@2")
    assert ("losses" in {table["name"] for table in content["facts"]}) == (name != "apples@2")
    report, _ = verify_path(str(tmp_path / "home"), Expectation(dossier=text.encode()))
    assert report.holds, [str(one) for one in report.problems]


def test_it_is_made_in_memory(dossier: Dossier, factory: Factory) -> None:
    """Making it again changes nothing in the home."""
    before = {path: path.stat().st_mtime_ns for path in factory.home.path.rglob("*.json")}
    assert _made(factory) == dossier
    assert {path: path.stat().st_mtime_ns for path in factory.home.path.rglob("*.json")} == before
    assert io.StringIO(dossier_json(dossier)).readline() == "{\n"


def test_evidence_has_the_answers_that_were_signed_about_an_earlier_version(
    dossier: Dossier, tmp_path: Path
) -> None:
    """An answer that still holds stands in the dossier of a later version, and is compared."""
    out = tmp_path / "evidence.zip"
    write_evidence("apples@2", out, None, with_rows=False)
    report, _ = verify_path(str(out), Expectation(dossier=dossier_json(dossier).encode()))
    assert report.holds, [str(one) for one in report.problems]
    assert report.checked["answers in the dossier"] == len(ANSWERS)
    assert dossier.answer("annex-iv.7").version == 1
    content = json.loads(dossier_json(dossier))
    asked = next(one for one in content["requirements"] if one["id"] == "annex-iv.7")
    asked["answer"]["text"] = "All were applied"
    report, _ = verify_path(str(out), Expectation(dossier=json.dumps(content).encode()))
    assert [one.what for one in report.problems] == ["the text is not what the entry says"]


def test_an_answer_whose_statement_is_not_in_the_archive_is_a_problem(
    dossier: Dossier, tmp_path: Path
) -> None:
    whole, out = tmp_path / "whole.zip", tmp_path / "evidence.zip"
    write_evidence("apples@2", whole, None, with_rows=False)
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(out, "w") as copy:
        for name in archive.namelist():
            if not name.startswith("home/statements/"):
                copy.writestr(name, archive.read(name))
    report, _ = verify_path(str(out), Expectation(dossier=dossier_json(dossier).encode()))
    problems = [one for one in report.problems if "cannot be compared" in one.what]
    assert len(problems) == len(ANSWERS)
