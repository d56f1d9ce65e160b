"""What an enemy who has the key of the log may write: it is answered, and never holds."""

import json
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from factory_resources.ledger import factory_verify
from factory_resources.ledger.factory_verify import (
    COSIGNATURE,
    STATEMENT_PAYLOAD,
    STATEMENT_TYPE,
    Expectation,
    InvalidError,
    TrustPolicy,
    VerifierKey,
    canonical,
    digest_of,
    format_base64,
    leaf_hash,
    node_hash,
    verify_path,
)
from tests.factory_resources.ledger.homes import (
    LogKey,
    entry,
    format_proof,
    sha256,
    write_ledger,
)

_KEY = LogKey()
_FIRST = entry("ledger", origin=_KEY.name, key=str(_KEY.public), format=1)


def _problems(home: Path, *bodies: bytes, **shown: dict[str, Any]) -> list[str]:
    """Verify a home with these entries, and what else is shown: a proof or a dossier."""
    head = write_ledger(home / "ledger.db", [_FIRST, *bodies], _KEY)
    if "dossier" in shown:
        shown["dossier"].setdefault("checkpoint", head.decode())
    expected = {name: json.dumps(value).encode() for name, value in shown.items()}
    report, _ = verify_path(str(home), Expectation(_KEY.public, **expected))
    return [str(problem) for problem in report.problems]


def _stage(home: Path, stage: str, **changed: object) -> tuple[str, bytes]:
    """Write a record; return its path and its entry."""
    parts = changed.pop("parts", {"declaration": 1})
    assert isinstance(parts, dict)
    about = {"pipeline": "p", "stage": stage, "key": digest_of(parts)}
    name = f"records/p/{stage}/{about['key']}.json"
    record = {**about, "run_id": "r", "parts": parts, "inputs": {}, "value": {}, **changed}
    content = json.dumps(record).encode()
    (home / name).parent.mkdir(parents=True, exist_ok=True)
    (home / name).write_bytes(content)
    components = {part: digest_of(value) for part, value in parts.items()}
    said = {"run": "r", "components": components, "inputs": {}, "tables": {}}
    return name, entry("stage", subject=name, sha256=sha256(content), **about, **said)


def test_no_change_of_an_approval_is_hidden_by_many_others(tmp_path: Path) -> None:
    rules = [{"by": "approver", "signatures": 1, "seconds": 5, "four_eyes": False}, None]
    bodies = [
        entry(
            "declaration",
            subject=f"declaration/{pipeline}",
            sha256=digest_of([pipeline, number]),
            **({"approval": rule} if rule else {}),
        )
        for pipeline in ("p", "q")
        for number in range(31)
        for rule in (rules[number % 2],)
    ]
    write_ledger(tmp_path / "ledger.db", [_FIRST, *bodies], _KEY)
    report, _ = verify_path(str(tmp_path), Expectation(_KEY.public))
    notes = [str(one) for one in report.notes if "the approval that" in str(one)]
    assert len(notes) == 21
    assert "entry 2: changes the approval that p asks for" in notes
    assert notes[-1] == "10 entries more change the approval that q asks for"


_BLOCK = "018f0000-0000-7000-8000-000000000001"


def _answers(**changed: object) -> bytes:
    """Return the entry of a block of answers."""
    about = {"subject": f"predictions/{_BLOCK}", "block": _BLOCK, "root": "0" * 64, "bytes": 1}
    return entry("predictions", **{**about, "first": "0" * 32, "last": "1" * 32, **changed})


def _outcomes(count: int) -> bytes:
    return entry("outcomes", subject="outcomes/b", batch="b", root="0" * 64, count=count)


def _of_day(what: str, **changed: object) -> bytes:
    """Return an entry about answers of a day."""
    day = {"pipeline": "p", "day": "2026-01-01", "subject": "predictions/p/2026-01-01"}
    return entry(f"predictions_{what}", **{**day, **changed})


def _declared(**rule: object) -> bytes:
    """Return the entry of a declaration that asks for an approval."""
    asked = {"by": "approver", "signatures": 1, "seconds": 5, "four_eyes": False, **rule}
    return entry("declaration", subject="declaration/p", sha256="0" * 64, approval=asked)


_ERASED_OUTCOMES = {"pipeline": "p", "subject": "outcomes_erased/p", "erasure": "e"}
_NO_OUTCOME = "erases what is not the number of an outcome"
_SUBJECT = "the subject is not what the entry says"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (_FIRST, "begins another ledger"),
        (_declared(signatures=0), "has no valid 'approval'"),
        (_declared(seconds=0), "has no valid 'approval'"),
        (_answers(count=0), "is of too many records, or none"),
        (_answers(count=1_000_001), "is of too many records, or none"),
        (_answers(count=1, subject="predictions/x"), _SUBJECT),
        (_outcomes(0), "is of too many outcomes, or none"),
        (_outcomes(1_000_001), "is of too many outcomes, or none"),
        (_of_day("archived", sha256="0", leaves="0", first="A" * 32), f"'{'A' * 32}' is not an id"),
        (_of_day("archived", subject="x", sha256="0", leaves="0"), _SUBJECT),
        (_of_day("erased", subject="x", blocks={}, count=0), _SUBJECT),
        (_of_day("removed", subject="x", files=[]), _SUBJECT),
        (entry("outcomes_erased", **{**_ERASED_OUTCOMES, "subject": "x"}, outcomes=[]), _SUBJECT),
        (entry("outcomes_erased", **_ERASED_OUTCOMES, outcomes=[0]), _NO_OUTCOME),
        (entry("outcomes_erased", **_ERASED_OUTCOMES, outcomes=[True]), _NO_OUTCOME),
        (entry("erasure", subject="erasure/../e"), "is about an erasure, but names none"),
        (entry("boundary", subject="boundary/../b"), "is about a boundary, but names no report"),
    ],
)
def test_an_odd_entry_is_told(tmp_path: Path, body: bytes, told: str) -> None:
    problems = _problems(tmp_path, body)
    assert [one for one in problems if one.startswith("entry 1") and told in one], problems


_NO_LEDGER = "does not begin a ledger"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"kind": "run"}, _NO_LEDGER),
        ({"origin": "another.log"}, _NO_LEDGER),
        ({"key": str(VerifierKey(_KEY.name, COSIGNATURE, _KEY.public.public))}, _NO_LEDGER),
        ({"format": 2}, "begins a ledger of a newer format; use a newer verifier"),
    ],
)
def test_a_ledger_begins_with_its_name_and_the_key_of_a_log(
    tmp_path: Path, changed: dict[str, Any], told: str
) -> None:
    first = canonical({**json.loads(_FIRST), **changed})
    write_ledger(tmp_path / "ledger.db", [first], _KEY)
    report, _ = verify_path(str(tmp_path), Expectation())
    assert f"entry 0: {told}" in [str(one) for one in report.problems]


@pytest.mark.parametrize("content", [b"\n" * 1_000, b"#" * (512 * 1024 + 1)])
def test_a_policy_of_too_many_lines_or_bytes_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidError, match="the policy is too long"):
        TrustPolicy.parse(content)


def test_no_more_witnesses_count_than_can_be_looked_for(tmp_path: Path) -> None:
    keys = [VerifierKey(f"w{number}", COSIGNATURE, bytes(32)) for number in range(1_001)]
    bodies = [entry("key", role="witness", action="added", key=str(key)) for key in keys]
    assert _problems(tmp_path, *bodies) == ["entry 1001: is one of more than 1000 witnesses"]


def test_the_last_entry_of_a_kind_is_not_looked_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [entry("other", subject=f"predictions/{_BLOCK}", number=n) for n in range(4)]
    told = "entry 1: too many entries of other kinds have the same subject"
    assert told not in _problems(tmp_path, _answers(count=1), *others)
    (tmp_path / "ledger.db").unlink()
    monkeypatch.setattr(factory_verify, "_MISSES", 3)
    assert told in _problems(tmp_path, _answers(count=1), *others)


def test_what_is_computed_is_computed_from_something(tmp_path: Path) -> None:
    [problem] = _problems(tmp_path, _stage(tmp_path, "clean")[1])
    assert "was computed from nothing" in problem


_TABLE = {"files": [{"sha256": "0" * 64}], "columns": []}


@pytest.mark.parametrize(
    "changed",
    [
        {"inputs": {"ingest": ["\ud800"]}},
        {"value": {"snapshot": {"table": "\ud800", **_TABLE}}},
        {"commits": {"\ud800": "0" * 64}},
    ],
)
def test_half_a_character_in_a_record_is_answered(
    tmp_path: Path, changed: dict[str, object]
) -> None:
    assert len(_problems(tmp_path, _stage(tmp_path, "ingest", **changed)[1])) == 1


def test_half_a_character_in_a_pointer_is_answered(tmp_path: Path) -> None:
    pointer = tmp_path / "records/p/latest/ingest.json"
    pointer.parent.mkdir(parents=True)
    pointer.write_text(json.dumps({"key": "\ud800"}))
    assert "half a character" in _problems(tmp_path)[0]


_PROOF: dict[str, Any] = {"format": 1, "id": "0" * 32, "record": None, "leaves": []}


@pytest.mark.parametrize("said", [{"body": "\ud800", "proof": ""}, {"body": "", "proof": "\udc80"}])
def test_half_a_character_in_a_proof_is_answered(tmp_path: Path, said: dict[str, str]) -> None:
    [problem] = _problems(tmp_path, prediction={**_PROOF, "entry": said})
    assert "half a character" in problem


def _dossier(**changed: object) -> dict[str, Any]:
    about = {"format": "factory.dossier", "version": 1, "pipeline": "p", "model_version": 1}
    content = {"entries": {}, "sources": [], "facts": [], "requirements": []}
    return {**about, "key": str(_KEY.public), "size": 1, **content, **changed}


_ASKED: dict[str, Any] = {"id": "x", "evidence": [], "gaps": []}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"checkpoint": "\ud800"}, "half a character"),
        ({"entries": {"0": {"body": "\ud800", "proof": ""}}}, "half a character"),
        ({"entries": {"0": {"body": "", "proof": "\ud800"}}}, "half a character"),
        ({"damaged": 5}, "no valid 'damaged'"),
        ({"requirements": [{**_ASKED, "damaged": [{}]}]}, "no valid 'damaged'"),
        ({"requirements": [{**_ASKED, "damaged": [1, "a"]}]}, "no valid 'damaged'"),
        ({"requirements": [_ASKED, _ASKED]}, "has the same 'id' in its 'requirements' twice"),
        ({"requirements": [{**_ASKED, "id": f"{n}"} for n in range(1001)]}, "more than 1000"),
        ({"damaged": [{"path": "a"}, {"path": "a"}]}, "has the same 'path' in its 'damaged' twice"),
    ],
)
def test_an_odd_dossier_is_answered(tmp_path: Path, changed: dict[str, object], told: str) -> None:
    assert told in "\n".join(_problems(tmp_path, dossier=_dossier(**changed)))


def test_a_dossier_cites_a_document_once_and_single_values_of_it(tmp_path: Path) -> None:
    note = _KEY.sign(1, leaf_hash(_FIRST))
    first = {"body": _FIRST.decode(), "proof": format_proof(0, [], note).decode()}
    source = {"path": "ledger/0", "sha256": sha256(_FIRST), "entry": 0}
    cited = {"entries": {"0": first}, "sources": [{**source, "leaf": leaf_hash(_FIRST).hex()}] * 2}
    cell = {"source": 0, "pointer": "", "value": "x"}
    facts = [{"kind": "ledger", "title": "t", "rows": [["label", cell]]}]
    told = "\n".join(_problems(tmp_path, dossier=_dossier(**cited, facts=facts)))
    assert "'ledger/0': is in the sources twice" in told
    assert "what is at '' has parts" in told


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (entry("alarms", subject="alarms/q"), "is about another pipeline, 'q'"),
        (entry("export", subject="export/q@1", pipeline="q", version=1), "another pipeline, 'q'"),
        (entry("alarms", subject="alarms/p", version=2), "is about another version, '2'"),
        (entry("serving", subject="serving/p", pipeline="p", version=2), "another version, '2'"),
    ],
)
def test_a_dossier_cites_entries_about_its_version(tmp_path: Path, body: bytes, told: str) -> None:
    note = _KEY.sign(2, node_hash(leaf_hash(_FIRST), leaf_hash(body)))
    proof = format_proof(1, [leaf_hash(_FIRST)], note).decode()
    source = {"path": "ledger/1", "sha256": sha256(body), "entry": 1, "leaf": leaf_hash(body).hex()}
    cited = {"entries": {"1": {"body": body.decode(), "proof": proof}}, "sources": [source]}
    problems = _problems(tmp_path, body, dossier=_dossier(**cited, size=2))
    assert [one for one in problems if "--dossier: 'ledger/1'" in one and told in one], problems


def test_a_stored_checkpoint_whose_size_is_a_text_is_answered(tmp_path: Path) -> None:
    write_ledger(tmp_path / "ledger.db", [_FIRST], _KEY)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as database:
        database.executescript(
            "DROP TABLE checkpoint; CREATE TABLE checkpoint(size, note);"
            "INSERT INTO checkpoint VALUES ('x', 'y')"
        )
    report, _ = verify_path(str(tmp_path), Expectation(_KEY.public))
    assert [str(one) for one in report.problems] == ["the stored checkpoints are damaged"]


def test_an_entry_whose_number_is_a_fraction_is_answered(tmp_path: Path) -> None:
    bodies = [_FIRST, entry("run", subject="run/r")]
    write_ledger(tmp_path / "ledger.db", bodies, _KEY)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as database:
        database.executescript("DROP TABLE entry; CREATE TABLE entry(number, body)")
        rows = [(float(number), body) for number, body in enumerate(bodies)]
        database.executemany("INSERT INTO entry VALUES (?, ?)", rows)
        database.commit()
    report, _ = verify_path(str(tmp_path), Expectation(_KEY.public))
    assert "is missing: entry 0.0 is next" in str(report.problems[0])


def test_more_that_is_erased_of_a_block_than_it_has_is_answered(tmp_path: Path) -> None:
    about = {"first": f"{1:032x}", "last": f"{9:032x}"}
    day = {"pipeline": "p", "day": "2026-01-01", "subject": "predictions/p/2026-01-01"}
    erased = {_BLOCK: {f"{5:032x}": 98}}
    problems = _problems(
        tmp_path,
        _answers(**about, count=100),
        entry("predictions_erased", **day, count=1, erasure="e", blocks=erased),
        _answers(**about, count=10),
    )
    assert any("more is erased of its block than it has" in one for one in problems)


def test_values_that_are_nested_too_deeply_are_answered(tmp_path: Path) -> None:
    bodies, signed = list[bytes](), {"signed": "x", "statement": "0" * 64, "person": "0" * 64}
    for depth in (500, 501):
        about = {"candidate": {"model": "p", "version": 1, "run_id": "r"}, "gates": []}
        metrics = json.loads("[" * depth + "]" * depth)
        value = {**about, "metrics": {"a": metrics}}
        name, computed = _stage(
            tmp_path, "evaluate", value=value, parts={"declaration": depth}, inputs={}
        )
        bodies += [computed, _verdict(name)]
        if depth == 500:
            subject = {"subject": "governance/p/x", "requirement": "x"}
            evidence = {"metrics": "0" * 64}
            about_it = {**subject, **signed, "pipeline": "p", "version": 1, "key": "k"}
            bodies.append(entry("governance", **about_it, evidence=evidence))
    problems = _problems(tmp_path, *bodies)
    assert problems
    if sys.version_info < (3, 12):  # later versions of Python read more levels
        assert "too deep" in "\n".join(problems)


def _verdict(record: str) -> bytes:
    about = {"pipeline": "p", "version": 1, "record": record, "passed": True, "gates": {}}
    return entry("verdict", subject="verdict/p@1", **about)


def test_an_outcome_whose_number_is_none_is_answered(tmp_path: Path) -> None:
    leaf, columns = bytes(32), "id, pipeline, value, observed, recorded, source, caller"
    with closing(sqlite3.connect(tmp_path / "outcomes.db")) as database:
        database.executescript(
            f"CREATE TABLE outcome(number, {columns});"
            "CREATE TABLE outcome_batch(identity, number, first, count);"
            "CREATE TABLE outcome_tile(batch, tile, hashes);"
            "INSERT INTO outcome_batch VALUES ('b', 1, 1, 1);"
            "INSERT INTO outcome(number) VALUES (1.5)"
        )
        database.execute("INSERT INTO outcome_tile VALUES (1, 0, ?)", (leaf,))
        database.commit()
    about = {"subject": "outcomes/b", "batch": "b", "root": leaf.hex(), "count": 1}
    [problem] = _problems(tmp_path, entry("outcomes", **about))
    assert "'1.5' is not the number of an outcome" in problem


def _erasure(home: Path, manifest: dict[str, Any]) -> bytes:
    """Write what an erasure says that it erased, signed by nobody; return its entry."""
    lists = {"sources": {}, "pipelines": {}, "records": {}, "files": {}, "removed": []}
    content = json.dumps({**lists, **manifest}).encode()
    (home / "erasures").mkdir(exist_ok=True)
    (home / "erasures/e.json").write_bytes(content)
    about = {"log": _KEY.name, "erasure": "e", "manifest": sha256(content)}
    statement = {
        "_type": STATEMENT_TYPE,
        "predicateType": "urn:sovereign-ai-factory:erasure:v1",
        "predicate": {**about, "time": "2026-11-25T18:00:00Z"},
    }
    payload = format_base64(json.dumps(statement).encode())
    envelope = {"payload": payload, "payloadType": STATEMENT_PAYLOAD, "signatures": []}
    signed = json.dumps(envelope).encode()
    (home / "statements/_erasures").mkdir(parents=True, exist_ok=True)
    (home / f"statements/_erasures/{sha256(signed)}.json").write_bytes(signed)
    digests = {"manifest": sha256(content), "statement": sha256(signed)}
    counts = {"pipelines": [], "rows": 0, "answers": 0}
    return entry("erasure", subject="erasure/e", **digests, **counts)


def test_an_odd_list_of_what_was_erased_is_answered(tmp_path: Path) -> None:
    name, computed = _stage(tmp_path, "ingest")
    done = entry("erasure_done", subject="erasure_done/e", found=0)
    there = ("watch/p/1/look.json", "pictures/p/1.png")
    for path in there:
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    for manifest, told in (
        ({}, ""),
        # A later look at answers has the name of the erased one.
        ({"removed": [there[0]]}, ""),
        ({"removed": [there[1]]}, "was erased, and is there"),
        ({"removed": [5]}, "has no valid 'removed'"),
        ({"records": {name: 5}}, "was not as it had been entered"),
    ):
        problems = _problems(tmp_path, computed, _erasure(tmp_path, manifest), done)
        assert [told in problem for problem in problems] == ([True] if told else []), problems


def test_an_erasure_that_names_no_manifest_is_told(tmp_path: Path) -> None:
    begun = json.loads(_erasure(tmp_path, {}))
    del begun["manifest"]
    [problem] = _problems(tmp_path, canonical(begun))
    assert "has no valid 'manifest'" in problem


def test_an_erasure_counts_what_its_manifest_lists(tmp_path: Path) -> None:
    own, read = "1" * 64, "2" * 64
    manifest = {
        "sources": {own: [4, 7], read: [3]},
        # The second is a table that another pipeline read: its row is one of the first. From the
        # other file no row was removed: only the numbers of its rows have changed.
        "files": {
            f"tables/p/clean/{read}.parquet": {"rows": 1, "now": own},
            f"tables/q/clean/{own}.parquet": {"rows": 0, "now": read},
        },
        "pipelines": {"q": {"answers": ["a"]}, "p": {"answers": ["b", "c"]}},
    }
    done = entry("erasure_done", subject="erasure_done/e", found=0)
    said = {"pipelines": ["p", "q"], "rows": 2, "answers": 3}
    begun = json.loads(_erasure(tmp_path, manifest))
    for lie, told in (
        ({}, ""),
        ({"pipelines": ["p"]}, "the pipelines"),
        ({"rows": 3}, "the number of rows"),
        ({"answers": 2}, "the number of answers"),
    ):
        problems = _problems(tmp_path, canonical({**begun, **said, **lie}), done)
        assert [told in problem for problem in problems] == ([True] if told else []), problems


def test_a_manifest_that_is_listed_is_that_of_an_erasure(tmp_path: Path) -> None:
    begun = _erasure(tmp_path, {})
    done = entry("erasure_done", subject="erasure_done/e", found=0)
    about = {"subject": "erasures", "erasure": "e"}
    digest = sha256((tmp_path / "erasures/e.json").read_bytes())
    for listed, told in (
        ({**about, "manifest": digest}, ""),
        ({**about, "manifest": "0" * 64}, "the manifest"),
        ({**about, "manifest": digest, "erasure": "f"}, "lists an erasure 'f' that has no entry"),
        ({**about, "manifest": digest, "subject": "others"}, "the subject"),
    ):
        problems = _problems(tmp_path, begun, entry("erasure_listed", **listed), done)
        assert [told in problem for problem in problems] == ([True] if told else []), problems


def _same_models(home: Path) -> list[bytes]:
    """Write two versions whose models are the same, byte for byte; return their entries."""
    manifest = json.dumps({"weights": sha256(b"w")}).encode()
    bodies = []
    for version in (1, 2):
        folder = home / f"artifacts/p/models/m-{version}/artifacts"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_bytes(manifest)
        (folder / "weights").write_bytes(b"w")
        about = {"model": "p", "version": version, "run_id": "r", "digest": sha256(manifest)}
        record, computed = _stage(home, "ingest", parts={"repetition": version}, value=about)
        named = {"pipeline": "p", "version": version, "record": record}
        bodies.append(computed)
        bodies.append(
            entry("model_version", subject=f"model/p@{version}", digest=sha256(manifest), **named)
        )
    return bodies


def test_each_of_two_versions_with_the_same_model_has_files_of_its_own(tmp_path: Path) -> None:
    bodies = _same_models(tmp_path)
    assert _problems(tmp_path, *bodies) == []
    for version in (1, 2):
        weights = tmp_path / f"artifacts/p/models/m-{version}/artifacts/weights"
        weights.write_bytes(b"x")
        [problem] = _problems(tmp_path, *bodies)
        assert f"m-{version}/artifacts/weights: was changed" in problem
        weights.write_bytes(b"w")
    (tmp_path / "artifacts/p/models/m-1/artifacts/manifest.json").unlink()
    [problem] = _problems(tmp_path, *bodies)
    assert "or only that of another version" in problem


def test_many_signed_answers_that_rest_on_one_record_are_answered_soon(tmp_path: Path) -> None:
    about = {"candidate": {"model": "p", "version": 1, "run_id": "r"}, "gates": []}
    metrics = {str(number): number for number in range(50_000)}
    name, computed = _stage(tmp_path, "evaluate", value={**about, "metrics": metrics})
    signed = {"person": "0" * 64, "key": "k", "statement": "0" * 64, "evidence": {"metrics": "0"}}
    answers = [
        entry(
            "governance",
            subject=f"governance/p/{number}",
            pipeline="p",
            version=1,
            requirement=str(number),
            **signed,
        )
        for number in range(60)
    ]
    started = time.process_time()
    assert len(_problems(tmp_path, computed, _verdict(name), *answers)) > 60
    assert time.process_time() - started < 1.5
