"""The verifier finds what a dossier cites that is not of its version, or counts no more."""

import json
import shutil
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from factory_assets.audit.dossier.dossier import make_dossier
from factory_assets.audit.dossier.json_format import dossier_json
from factory_assets.cli.evidence import write_evidence
from factory_assets.declarations.loader import load_pipeline
from factory_resources.home.home import Home
from factory_resources.ledger.connection import new_sqlite
from factory_resources.ledger.entries import read_entry
from factory_resources.ledger.factory_verify import Expectation, leaf_hash, verify_path
from factory_resources.ledger.keys import LogKey
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.log import Log, NewEntry
from factory_resources.ledger.proofs import inclusion_proof
from tests.approvals import Factory, copy_factory
from tests.factory_assets.audit.dossier.homes import ANSWERS, RISK
from tests.pipelines import enter, write_governance

pytestmark = pytest.mark.slow

Content = dict[str, Any]


@pytest.fixture(scope="module")
def places(factory: Factory, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The home, and the archive about version 2."""
    out = tmp_path_factory.mktemp("archive") / "evidence.zip"
    with pytest.MonkeyPatch.context() as patch:
        enter(factory.root, patch)
        write_evidence("apples@2", out, None, with_rows=False)
    return [factory.home.path, out]


def _written(factory: Factory, version: int, home: Home | None = None) -> Content:
    pipeline = load_pipeline(factory.defs / "apples")
    content: Content = json.loads(
        dossier_json(make_dossier(pipeline, version, home or factory.home))
    )
    return content


def _problems(path: Path, content: Content) -> list[str]:
    report, _ = verify_path(str(path), Expectation(dossier=json.dumps(content).encode()))
    return [str(one) for one in report.problems]


def _cite(factory: Factory, content: Content, number: int, path: str, old: str | None) -> None:
    """Cite another document in place of one, or beside all."""
    with Ledger(factory.home).reading() as log:
        body = log.body(number)
        proof = inclusion_proof(log.tree, number, content["size"], content["checkpoint"])
    content["entries"][str(number)] = {"body": body.decode(), "proof": proof}
    said = body if path.startswith("ledger/") else (factory.home.path / path).read_bytes()
    sources, leaf = content["sources"], leaf_hash(body).hex()
    cited = {"path": path, "sha256": sha256(said).hexdigest(), "entry": number, "leaf": leaf}
    if old is None:
        sources.append(cited)
        return
    [place] = [n for n, one in enumerate(sources) if one["path"] == old]
    sources[place] = cited
    document = json.loads(said)
    for table in content["facts"]:
        for row in table["rows"]:
            for cell in row:
                if isinstance(cell, dict) and cell["source"] == place:
                    cell["value"] = _at(document, cell["pointer"])


def _at(value: Any, pointer: str) -> Any:
    for name in pointer.split("/")[1:]:
        if isinstance(value, list):
            value = dict(enumerate(value)).get(int(name))
        else:
            value = value.get(name.replace("~1", "/")) if value else None
    return value


def _source(content: Content, part: str) -> Content:
    """Return the only source with this in its path."""
    [found] = [one for one in content["sources"] if part in one["path"]]
    return dict(found)


@pytest.mark.parametrize("stage", ["ingest", "clean", "split"])
def test_data_that_the_version_was_not_made_from_is_found(
    stage: str, factory: Factory, places: list[Path]
) -> None:
    content, other = _written(factory, 2), _written(factory, 1)
    source = _source(other, f"/{stage}/")
    old = _source(content, f"/{stage}/")["path"]
    assert source["path"] != old
    _cite(factory, content, source["entry"], source["path"], old)
    told = f"is a record of {stage} that the version was not made from"
    assert told in str(_problems(factory.home.path, content))
    # The archive about the version does not even have it.
    assert "is not in the archive" in str(_problems(places[1], content))


def test_the_declaration_of_another_version_is_found(factory: Factory) -> None:
    content, other = _written(factory, 2), _written(factory, 1)
    source = _source(other, "origin/declaration.json")
    old = _source(content, "origin/declaration.json")["path"]
    _cite(factory, content, source["entry"], source["path"], old)
    assert "is about another version, '1'" in str(_problems(factory.home.path, content))


def test_an_approval_of_another_version_is_found(factory: Factory, places: list[Path]) -> None:
    content, other = _written(factory, 2), _written(factory, 1)
    [decided] = [one for one in other["facts"] if one["name"] == "approvals"]
    approved = other["sources"][decided["rows"][0][0]["source"]]
    _cite(factory, content, approved["entry"], approved["path"], None)
    for cell in decided["rows"][0]:
        cell["source"] = len(content["sources"]) - 1
    content["facts"].append(decided)
    for path in places:
        assert "is about another version, '1'" in str(_problems(path, content))


def test_an_earlier_answer_is_found(
    factory: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = copy_factory(factory, tmp_path / "root", monkeypatch)
    before = _written(copied, 1)
    write_governance(
        copied.defs / "apples", statements={**ANSWERS, "annex-iv.4": "By hand"}, risks=[RISK]
    )
    code, output = copied.factory("governance", "sign", "apples@1", "annex-iv.4", by="jane")
    assert code == 0, output
    content, requirement = _written(copied, 1), "annex-iv.4"
    [earlier], [asked] = (
        [one["answer"] for one in dossier["requirements"] if one["id"] == requirement]
        for dossier in (before, content)
    )
    first, last = earlier["entry"], asked["entry"]
    _cite(copied, content, first, f"ledger/{first}", f"ledger/{last}")
    asked |= earlier
    problems = _problems(copied.home.path, content)
    assert f"is that of entry {first}, and that of entry {last} counts" in str(problems)


def test_a_dossier_of_another_history_is_found(
    factory: Factory, places: list[Path], tmp_path: Path
) -> None:
    """The other history has the cited entries, too, and as many entries."""
    home = Home(Path(shutil.copytree(factory.home.path, tmp_path / "home")))
    cited = {int(number) for number in _written(factory, 2)["entries"]}
    with Ledger(home).reading() as log:
        entries = [read_entry(body) for _, body in log.bodies()]
    number = next(n for n, one in enumerate(entries) if one.kind == "person" and n not in cited)
    entries[number] = entries[number].model_copy(update={"time": "2020-01-01T00:00:00Z"})
    home.ledger.unlink()
    with closing(new_sqlite(str(home.ledger))) as connection:
        new = [NewEntry(entry.body, getattr(entry, "subject", None)) for entry in entries]
        Log.create(connection, LogKey.load(home), new)
    content = _written(factory, 2, home)
    for path in places:
        [problem] = _problems(path, content)
        assert "its checkpoint is of another history" in problem
    assert _problems(home.path, content) == []


def test_a_dossier_of_a_longer_log_is_noted(factory: Factory, tmp_path: Path) -> None:
    """A copy of the home may be older than the dossier."""
    content, size = _written(factory, 2), _written(factory, 2)["size"]
    with closing(new_sqlite(str(tmp_path / "longer.db"))) as connection:
        with Ledger(factory.home).reading() as log:
            entries = [read_entry(body) for _, body in log.bodies()]
        new = [NewEntry(entry.body, getattr(entry, "subject", None)) for entry in entries]
        longer = Log.create(connection, LogKey.load(factory.home), [*new, new[-1]])
        content |= {"size": size + 1, "checkpoint": longer.signed[1]}
        for number, one in content["entries"].items():
            one["proof"] = inclusion_proof(
                longer.tree, int(number), size + 1, content["checkpoint"]
            )
    expected = Expectation(dossier=json.dumps(content).encode())
    report, _ = verify_path(str(factory.home.path), expected)
    assert report.holds, [str(one) for one in report.problems]
    told = f"its log has {size + 1} entries and the verified one {size}"
    assert told in str([one.what for one in report.notes])
