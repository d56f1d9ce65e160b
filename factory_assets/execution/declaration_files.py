"""The declarations under which stages were computed, each a file of the home, named by its digest.

The ledger names them: a run has the digest of its declaration. How a version is trained again
belongs in `provenance`.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from factory_assets.declarations.folders import new_pipelines_folder
from factory_assets.spec import Pipeline, PipelineSpec
from factory_assets.spec.base import STORED
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import DeclarationChanged
from factory_resources.ledger.ledger import Ledger


def declarations_folder(home: Home) -> Path:
    """Return where the declarations of all pipelines are, in a folder each."""
    return home.path / "declarations"


def declaration_content(pipeline: Pipeline) -> bytes:
    """Return the declaration as JSON, defaults included."""
    return pipeline.spec.model_dump_json().encode()


def store_declaration(pipeline: Pipeline, home: Home) -> None:
    """Store the declaration unless it is there.

    Raises:
        StorageError: it cannot be written.
    """
    content = declaration_content(pipeline)
    path = _folder(pipeline.name, home) / f"{sha256(content).hexdigest()}.json"
    if not path.exists():
        home.write_durable(path, content)


def last_declared(name: str, home: Home) -> Pipeline | None:
    """Return a pipeline as it was declared last; None if that is not known."""
    found = Ledger(home).latest(DeclarationChanged, DeclarationChanged.subject_of(pipeline=name))
    if found is None:
        return None
    digest = found[1].sha256
    path = _folder(name, home) / f"{digest}.json"
    if not path.is_file():
        return None
    with suppress(OSError, ValidationError):
        content = path.read_bytes()
        if sha256(content).hexdigest() == digest:
            # A key that YAML calls otherwise has its own name here.
            spec = PipelineSpec.model_validate_json(content, context=STORED, by_name=True)
            return Pipeline(name, spec, new_pipelines_folder() / name)
    raise _changed(path)


def stored_declarations(name: str, home: Home) -> list[Path]:
    """Return the files of a pipeline's declarations; none in a home from before there were."""
    return sorted(_folder(name, home).glob("*.json"))


def sensitive_source_columns(declaration: Path) -> Iterator[str]:
    """Yield the columns that a stored declaration calls sensitive, as its sources call them.

    Raises:
        StorageError: the file was changed, or cannot be read.
    """
    try:
        content = declaration.read_bytes()
        if sha256(content).hexdigest() != declaration.stem:
            raise _changed(declaration)
        ingest: dict[str, Any] = json.loads(content)["ingest"]
        columns = ingest["contract"]["columns"]
        named = [one["source"] or one["name"] for one in columns if one["sensitive"]]
        yield from names_in_sources(named, ingest.get("joins", {}).values())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _changed(declaration) from error


def names_in_sources(names: Collection[str], joins: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return the names that columns have in the source, or may have in the tables that are joined.

    Args:
        names: as the rows have them once the tables are joined.
        joins: as they are declared, in the form of JSON.
    """
    found, folded = {*names}, {name.lower() for name in names}
    for join in joins:
        mine, prefix = join["on"], join.get("prefix", "").lower()
        # The key of the other table has the values of the columns that are compared with it.
        keys = zip(mine, join.get("key") or mine, strict=True)
        found |= {key for one, key in keys if one.lower() in folded}
        found |= {old for old, new in join.get("rename", {}).items() if new.lower() in folded}
        found |= {name[len(prefix) :] for name in names if name.lower().startswith(prefix)}
    return frozenset(found)


def _changed(declaration: Path) -> StorageError:
    return StorageError(
        "the declaration was changed, or cannot be read",
        where=str(declaration),
        remedy="restore it from a backup; factory verify shows what else does not hold",
    )


def _folder(name: str, home: Home) -> Path:
    return declarations_folder(home) / name
