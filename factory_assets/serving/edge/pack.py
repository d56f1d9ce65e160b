"""Write a champion into a folder that scores on another machine, and enter it in the ledger.

What brings its log home belongs in `receive`.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from factory_assets.ml.artifacts.onnx_model import OnnxModel, read_graph
from factory_assets.serving.edge import score
from factory_assets.serving.edge.contract import edge_contract
from factory_assets.serving.edge.logged_answers import PROGRAM
from factory_assets.serving.verified_champion import load_verified_champion
from factory_resources.errors import OUTPUT_REMEDY, StorageError
from factory_resources.home.home import Home, storage_errors
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.prediction_entries import EdgePacked
from factory_resources.tracking.registry import Registry


@dataclass(frozen=True)
class EdgePack:
    """A written pack."""

    identity: str
    """The SHA-256 of its contract."""
    pipeline: str
    version: int
    folder: Path
    bytes: int


def write_pack(pipeline: str, folder: Path, home: Home) -> EdgePack:
    """Write the champion of a pipeline into a new folder.

    The ledger has its entry before the folder has its name.

    Raises:
        ModelError: there is no champion, or one of its files was changed.
        RefusedError: a person stopped it, or its rows cannot be prepared without the factory.
        StorageError: the folder exists already, or cannot be written.
    """
    version, model = load_verified_champion(pipeline, home)
    _require_new(folder)
    registry = Registry(home)
    graph = read_graph(registry, registry.version(pipeline, version))
    seed = secrets.token_bytes(32)
    contract = _contract(pipeline, version, model, graph, seed)
    files = {
        score.GRAPH: graph,
        score.CONTRACT: contract,
        score.KEY: seed,
        PROGRAM: Path(score.__file__).read_bytes(),
    }
    pack = sha256(contract).hexdigest()
    with storage_errors(folder, OUTPUT_REMEDY):
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
    try:
        with storage_errors(folder, OUTPUT_REMEDY):
            for name, content in files.items():
                _write(made / name, content)
        Ledger(home).append(
            [
                EdgePacked(
                    subject=EdgePacked.subject_of(pack=pack),
                    pack=pack,
                    pipeline=pipeline,
                    version=version,
                    graph=sha256(graph).hexdigest(),
                    program=sha256(files[PROGRAM]).hexdigest(),
                    key=json.loads(contract)["key"],
                )
            ]
        )
        with storage_errors(folder, OUTPUT_REMEDY):
            made.rename(folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return EdgePack(pack, pipeline, version, folder, sum(map(len, files.values())))


def _contract(pipeline: str, version: int, model: OnnxModel, graph: bytes, seed: bytes) -> bytes:
    content: dict[str, Any] = {
        "format": 1,
        "pipeline": pipeline,
        "version": version,
        "packed": datetime.now(UTC).isoformat(timespec="seconds"),
        "graph": sha256(graph).hexdigest(),
        "key": base64.b64encode(score.public_key(seed)).decode(),
        **edge_contract(pipeline, model),
    }
    return json.dumps(content, indent=1, ensure_ascii=False).encode()


def _require_new(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(
            "something exists here already", where=str(folder), remedy="name a new folder"
        )


def _write(path: Path, content: bytes) -> None:
    """Write a file durably; only its owner can read it, as one of them is a key."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
