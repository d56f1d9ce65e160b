"""A small home with a ledger, written by hand: what the verifier is tested on.

The home is the recorded one: three pipelines, trained by the factory. Its ledger is written here,
not by the factory, so that a mistake of the one is not a mistake of the other.
"""

import hashlib
import json
import sqlite3
import zipfile
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from factory_resources.home.home import Home
from factory_resources.ledger.factory_verify import (
    ED25519,
    CompactRange,
    Expectation,
    LogCheckpoint,
    VerifierKey,
    canonical,
    format_base64,
    leaf_hash,
    subject_key,
    verify_path,
)
from factory_resources.ledger.ledger import Ledger
from factory_resources.security.personal_keys import PersonalKey
from tests.factory_resources.ledger import trees
from tests.recorded_home.make import unpack

ORIGIN = "factory.local/0123456789abcdef"

STAGES = ("ingest", "clean", "split", "train", "evaluate", "deploy")

_SCHEMA = """
CREATE TABLE entry(number INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE subtree(level INTEGER, number INTEGER, hash BLOB, PRIMARY KEY(level, number))
  WITHOUT ROWID;
CREATE TABLE subject(digest INTEGER, entry INTEGER, PRIMARY KEY(digest, entry)) WITHOUT ROWID;
CREATE TABLE head(id INTEGER PRIMARY KEY CHECK(id = 1), size INTEGER, frontier BLOB,
  checkpoint TEXT);
CREATE TABLE checkpoint(size INTEGER PRIMARY KEY, note TEXT NOT NULL);
"""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class LogKey:
    """The private key of a log, made from a seed."""

    seed: bytes = b"k" * 32
    name: str = ORIGIN

    @property
    def private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @property
    def public(self) -> VerifierKey:
        return VerifierKey(self.name, ED25519, self.private.public_key().public_bytes_raw())

    def sign(self, size: int, root: bytes) -> bytes:
        """Return the checkpoint as a note."""
        text = LogCheckpoint(self.name, size, root).text
        return f"{text}\n{self.public.line(self.private.sign(text.encode()))}".encode()


def write_ledger(
    path: Path, bodies: Iterable[bytes], key: LogKey, cosigned: Sequence[bytes] = ()
) -> bytes:
    """Write a ledger; return the checkpoint of its head."""
    path.unlink(missing_ok=True)
    tree = CompactRange()
    with sqlite3.connect(path) as database:
        database.executescript(_SCHEMA)
        run = database.execute
        for number, body in enumerate(bodies):
            run("INSERT INTO entry VALUES(?, ?)", (number, body))
            for row in tree.append(leaf_hash(body)):
                run("INSERT INTO subtree VALUES(?, ?, ?)", row)
            if subject := json.loads(body).get("subject"):
                run("INSERT INTO subject VALUES(?, ?)", (subject_key(subject, 0), number))
        head = key.sign(tree.size, tree.root)
        run("INSERT INTO head VALUES(1, ?, ?, ?)", (tree.size, tree.frontier, head.decode()))
        for note in cosigned:
            size = int(note.split(b"\n")[1])
            run("INSERT INTO checkpoint VALUES(?, ?)", (size, note.decode()))
    database.close()
    return head


def read_entries(home: Home) -> list[dict[str, Any]]:
    """Return the entries that the factory wrote."""
    with Ledger(home).reading() as log:
        return [json.loads(body) for _, body in log.bodies()]


def problems_with(home: Path, entries: list[dict[str, Any]]) -> list[str]:
    """Write the entries as a ledger that was signed, and verify the home."""
    key = LogKey(name=entries[0]["origin"])
    entries[0]["key"] = str(key.public)
    write_ledger(home / "ledger.db", [canonical(one) for one in entries], key)
    report, _ = verify_path(str(home), Expectation())
    return [str(problem) for problem in report.problems]


def state_anew(
    home: Path, entry: dict[str, Any], change: Callable[[Any], object], key: PersonalKey
) -> None:
    """Change the statement of an entry, sign it by a key, and let the entry name it."""
    folder = home / "statements" / str(entry["pipeline"])
    found = json.loads((folder / f"{entry['statement']}.json").read_bytes())
    statement = json.loads(b64decode(found["payload"]))
    change(statement)
    payload = json.dumps(statement).encode()
    kind = found["payloadType"]
    message = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    signature = {"keyid": key.public, "sig": format_base64(key.sign(message))}
    signed = {**found, "payload": format_base64(payload), "signatures": [signature]}
    content = json.dumps(signed).encode()
    entry |= {"statement": sha256(content), "key": key.public}
    (folder / f"{entry['statement']}.json").write_bytes(content)


def extract_home(folder: Path) -> Path:
    """Unpack the recorded home."""
    unpack(folder)
    return folder / "home"


def entry(kind: str, **fields: object) -> bytes:
    """Return the body of an entry."""
    return canonical({"kind": kind, "time": "2026-11-25T18:00:00.123456Z", **fields})


def records_of(home: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return path and content of every record, in the order in which they were computed."""
    paths = [path for stage in STAGES for path in home.glob(f"records/*/{stage}/*.json")]
    found = [(str(path.relative_to(home)), json.loads(path.read_bytes())) for path in paths]
    return sorted(found, key=lambda one: (one[1]["finished"], STAGES.index(one[1]["stage"])))


def bodies_of(home: Path, key: LogKey) -> list[bytes]:
    """Return the entries of everything that a home contains."""
    bodies = [entry("ledger", origin=key.name, key=str(key.public), format=1)]
    for path, record in records_of(home):
        bodies += [_stage(home, path, record), *_result(path, record)]
    return bodies


def _stage(home: Path, path: str, record: dict[str, Any]) -> bytes:
    tables = {}
    for value in record["value"].values():
        if isinstance(value, dict) and value.keys() == {"table", "files", "columns"}:
            digests = [file["sha256"] for file in value["files"]]
            joined = digests[0] if len(digests) == 1 else sha256("\n".join(digests).encode())
            tables[value["table"]] = joined
    return entry(
        "stage",
        subject=path,
        sha256=sha256((home / path).read_bytes()),
        **{name: record[name] for name in ("pipeline", "stage", "key")},
        run=record["run_id"],
        components={
            name: sha256(json.dumps(part, sort_keys=True).encode())
            for name, part in record["parts"].items()
        },
        inputs={name: sha256("\n".join(keys).encode()) for name, keys in record["inputs"].items()},
        tables=tables,
    )


def _result(path: str, record: dict[str, Any]) -> list[bytes]:
    value, pipeline = record["value"], record["pipeline"]
    version = value.get("candidate", value).get("version")
    of = {"pipeline": pipeline, "version": version, "record": path}
    about = f"{pipeline}@{version}"
    if record["stage"] == "train":
        return [entry("model_version", subject=f"model/{about}", digest=value["digest"], **of)]
    if record["stage"] == "evaluate":
        gates = {gate["name"]: gate["passed"] for gate in value["gates"]}
        passed = all(gates.values())
        return [entry("verdict", subject=f"verdict/{about}", passed=passed, gates=gates, **of)]
    if record["stage"] == "deploy":
        graph = value["onnx_sha256"]
        return [
            entry("export", subject=f"export/{about}", graph=graph, **of),
            entry(
                "champion",
                subject=f"champion/{pipeline}",
                replaced=value["replaced"],
                graph=graph,
                **of,
            ),
        ]
    return []


def write_archive(
    path: Path, home: Path, bodies: Sequence[bytes], checkpoint: bytes, which: str, *, rows: bool
) -> Path:
    """Write the evidence about `pipeline@version`, with the entries and files of its pipeline."""
    pipeline, _, version = which.partition("@")
    leaves = [leaf_hash(body) for body in bodies]
    numbers = [n for n, body in enumerate(bodies) if json.loads(body).get("pipeline") == pipeline]
    description = {
        "format": 1,
        "pipeline": pipeline,
        "version": int(version),
        "origin": ORIGIN,
        "entries": numbers,
        "with_rows": rows,
    }
    files: dict[str, str] = {}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("evidence.json", json.dumps(description))
        archive.writestr("checkpoint", checkpoint)
        archive.writestr("key", f"{json.loads(bodies[0])['key']}\n")
        for number in numbers:
            archive.writestr(f"entries/{number}.json", bodies[number])
            proof = format_proof(number, trees.inclusion(number, leaves), checkpoint)
            archive.writestr(f"proofs/{number}.tlog-proof", proof)
        folders = [
            "records/{}/[!lr]*/*",
            "artifacts/{}/models/*/*/*",
            "artifacts/{}/*/*/onnx/*.onnx",
        ]
        for pattern in [*folders, *(["tables/{}/*/*.parquet"] if rows else [])]:
            for file in sorted(home.glob(pattern.format(pipeline))):
                name = str(file.relative_to(home))
                archive.write(file, f"home/{name}")
                files[name] = sha256(file.read_bytes())
        archive.writestr("statement.json", format_statement(which, files))
    return path


def format_statement(which: str, files: Mapping[str, str], key: LogKey | None = None) -> bytes:
    """Return a signed statement about `pipeline@version`: path to SHA-256 of each file."""
    pipeline, _, version = which.partition("@")
    about = {"pipeline": pipeline, "version": int(version)}
    described = [{"name": name, "digest": {"sha256": digest}} for name, digest in files.items()]
    payload = json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [one for one in described if str(one["name"]).startswith("artifacts/")],
            "predicateType": "https://slsa.dev/provenance/v1",
            "predicate": {
                "buildDefinition": {
                    "externalParameters": about,
                    "resolvedDependencies": [
                        one for one in described if not str(one["name"]).startswith("artifacts/")
                    ],
                }
            },
        }
    ).encode()
    kind = b"application/vnd.in-toto+json"
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    signature = (key or LogKey()).private.sign(signed)
    envelope = {
        "payload": format_base64(payload),
        "payloadType": kind.decode(),
        "signatures": [{"keyid": "", "sig": format_base64(signature)}],
    }
    return json.dumps(envelope).encode()


def format_proof(number: int, hashes: Iterable[bytes], checkpoint: bytes) -> bytes:
    """Return a tlog-proof."""
    lines = ["c2sp.org/tlog-proof@v1", f"index {number}", *map(format_base64, hashes), ""]
    return "".join(f"{line}\n" for line in lines).encode() + checkpoint


def format_request(old: int, leaves: Sequence[bytes], checkpoint: bytes) -> bytes:
    """Return what a witness is asked, about a log of these leaves."""
    hashes = trees.consistency(old, leaves) if old else []
    lines = [f"old {old}", *map(format_base64, hashes), ""]
    return "".join(f"{line}\n" for line in lines).encode() + checkpoint
