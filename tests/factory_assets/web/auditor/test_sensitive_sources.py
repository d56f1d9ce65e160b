"""A column that was once sensitive stays hidden, and what was erased is told."""

from __future__ import annotations

import copy
import io
import re
import shutil
from hashlib import sha256

import pytest
from rich.console import Console

from factory_assets.cli.run import run
from factory_assets.cli.shared import RunSelection
from factory_assets.declarations.folders import pipeline_folders
from factory_assets.execution.provenance import FOLDER
from factory_assets.web.auditor.index import AuditIndex
from factory_assets.web.auditor.sensitive_sources import SensitiveSources
from factory_resources.erasure.manifest import (
    ErasedFrom,
    ErasureManifest,
    RewrittenRecord,
    manifest_file,
)
from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from factory_resources.ledger.erasure_entries import ErasureBegun
from factory_resources.ledger.ledger import Ledger
from factory_resources.sources.files.discovery import sha256_of
from factory_resources.tracking.registry import Registry
from tests.factory_assets.web.auditor.clients import app_of, client_of
from tests.factory_assets.web.auditor.conftest import HOSTILE, Audited, Browse
from tests.factory_assets.web.pages.markup import text_of
from tests.ledger import problems
from tests.pipelines import APPLES, declare

pytestmark = pytest.mark.slow


def test_a_column_stays_hidden_when_the_declaration_stops_calling_it_sensitive(
    changed: Audited, browse: Browse
) -> None:
    folder = changed.factory.defs / "apples"
    page = f"/audit/files/{sha256_of(folder / 'data.csv', 'data.csv')}?row=3"
    assert "green" in browse(changed.home, "auditor").get(page).text
    attributes = copy.deepcopy(APPLES)
    attributes["train"]["seed"] = 11
    attributes["ingest"]["contract"][1]["sensitive"] = "personal"
    declare(folder, attributes)
    changed.factory.run()
    changed.factory.declare(seed=11)
    shown = browse(changed.home, "auditor").get(page).text
    assert "sensitive are hidden: colour" in text_of(shown)
    assert "green" not in shown

    index = AuditIndex(changed.home)
    with index.reading():
        version = Registry(changed.home).version("apples", index.versions("apples")[0])
    files = Registry(changed.home).run_files("apples", version.run_id) / FOLDER
    (files / "declaration.json").chmod(0o600)
    (files / "declaration.json").write_text("{}")
    folders = {one.name: one for one in pipeline_folders()}
    with pytest.raises(ModelError):
        SensitiveSources(changed.home, index).of(["apples"], folders)
    number = int(version.version)
    erased = ErasedFrom(rows={}, versions=(number,), gone=(number,), champion=None, answers=())
    manifest = ErasureManifest(
        id="1", sources={}, pipelines={"apples": erased}, files={}, records={}, removed=()
    )
    changed.home.write_atomic(manifest_file(changed.home, "1"), manifest.content)
    assert SensitiveSources(changed.home, index).of(["apples"], folders) == ("colour",)


def test_a_column_of_a_pipeline_without_a_model_stays_hidden(
    changed: Audited, browse: Browse
) -> None:
    folder = changed.factory.defs / "search"
    [source] = folder.glob("*.csv")
    page = f"/audit/files/{sha256_of(source, source.name)}?row=3"
    assert "secret-3" not in browse(changed.home, "auditor").get(page).text
    text = (folder / "defs.yaml").read_text()
    (folder / "defs.yaml").write_text(text.replace("sensitive: personal", "sensitive: null"))
    shown = browse(changed.home, "auditor").get(page).text
    assert "sensitive are hidden: name" in text_of(shown)
    assert "secret-3" not in shown

    stored = changed.home.path / "declarations" / "search"
    [declaration] = stored.iterdir()
    content = declaration.read_bytes()
    declaration.write_bytes(content.replace(b'"personal"', b"null"))
    changed_home = app_of(changed.home)
    refused = client_of(changed_home, "tom", ("auditor",)).get(page)
    assert "the declaration was changed, or cannot be read" in refused.text
    assert "secret-3" not in refused.text
    assert any("declarations/search" in one for one in problems(changed.home))
    # A home from before declarations were stored is read as it is.
    shutil.rmtree(changed.home.path / "declarations")
    assert "secret-3" in client_of(app_of(changed.home), "tom", ("auditor",)).get(page).text


def test_a_joined_table_hides_what_is_sensitive_under_the_name_that_it_has_there(
    changed: Audited, browse: Browse
) -> None:
    folder = changed.factory.defs / "visits"
    folder.mkdir()
    people = "".join(f"Person {n},Doe {n},Street {n},{n}\n" for n in range(9))
    (folder / "people.csv").write_text(f"id,name,home,floor\n{people}")
    (folder / "visits.csv").write_text(
        "who,days\n" + "".join(f"Person {n},{n}\n" for n in range(9))
    )
    join = {
        "source": {"files": "people.csv"},
        "on": "who",
        "key": "id",
        "prefix": "of_",
        "rename": {"home": "address"},
    }
    contract = [
        {"name": "who", "type": "string", "sensitive": "personal"},
        {"name": "called", "from": "of_name", "type": "string", "sensitive": "personal"},
        {"name": "address", "type": "string", "sensitive": "secret"},
        {"name": "of_floor", "type": "int64"},
        {"name": "days", "type": "int64"},
    ]
    ingest = {"source": {"files": "visits.csv"}, "joins": {"person": join}, "contract": contract}
    declare(folder, {"purpose": "Count visits", "ingest": ingest})
    run(RunSelection(["visits"]), Console(file=io.StringIO()))
    page = f"/audit/files/{sha256_of(folder / 'people.csv', 'people.csv')}?row=3"
    shown = text_of(browse(changed.home, "auditor").get(page).text)
    assert "Row id name home floor 1 hidden hidden hidden 0 2 hidden" in shown
    assert not re.search(r"(Person|Doe|Street) \d", shown)
    # Also once another declaration is in its place, and the recorded one says it alone.
    for column in contract:
        column.pop("sensitive", None)
    declare(folder, {"purpose": "Count visits", "ingest": ingest})
    shown = text_of(browse(changed.home, "auditor").get(page).text)
    assert not re.search(r"(Person|Doe|Street) \d", shown)


def test_training_rows_of_an_answer_are_computed_anew_after_some_were_erased(
    changed: Audited, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = browse(changed.home, "auditor")
    page = f"/audit/answers/{changed.explained}?influence=1"
    listed = "Rows, the largest influence first"
    shown = client.get(page).text
    assert listed in text_of(shown)
    assert "The joint effect of rows like these" in shown
    assert "that of a single row. Its reliability was measured" in shown
    # The row itself: its number is another than that of its line, and either may be shown.
    assert set(re.findall(r'href="/audit/files/[^"]*?(#[^"]*)"', shown)) == {"#asked"}
    erased = ErasedFrom(rows={}, versions=(2,), gone=(), champion=None, answers=())
    source = sha256_of(changed.factory.defs / "search" / HOSTILE, HOSTILE)
    pipelines = {"apples": erased}
    manifest = ErasureManifest(
        id="1", sources={source: (2,)}, pipelines=pipelines, files={}, records={}, removed=()
    )
    _enter(manifest, changed.home)
    hidden = text_of(client.get(f"/audit/files/{source}?row=2").text)
    assert "are hidden: name. 1 row that was erased and that the file still has is not" in hidden
    # The rows that it learned from cannot be read any more.
    shutil.rmtree(changed.home.tables / "apples")
    assert listed not in text_of(client.get(page).text)


def test_a_version_tells_of_erased_rows_that_it_did_not_learn_from(
    changed: Audited, browse: Browse
) -> None:
    """Its counts of rows are those without them, and the metrics beside them are not."""
    told = "rows of its data that it did not learn from"
    pages = "/audit/apples/2", f"/audit/answers/{changed.explained}"
    for page in pages:
        assert told not in text_of(browse(changed.home, "auditor").get(page).text)
    erased = ErasedFrom(rows={}, versions=(1,), gone=(), champion=None, answers=())
    files = (changed.home.path / "records" / "apples" / "evaluate").iterdir()
    names = [str(file.relative_to(changed.home.path)) for file in files]
    manifest = ErasureManifest(
        id="1",
        sources={},
        pipelines={"apples": erased},
        files={},
        records={name: RewrittenRecord(was="5e" * 32, now="5f" * 32) for name in names},
        removed=(),
    )
    _enter(manifest, changed.home)
    for page in pages:
        assert told in text_of(browse(changed.home, "auditor").get(page).text)
    text = text_of(browse(changed.home, "auditor").get("/audit/apples/1").text)
    assert "rows that it learned from" in text
    assert told not in text, "it is told once"


def _enter(manifest: ErasureManifest, home: Home) -> None:
    """Store what an erasure of a row of apples took, and its entry in the ledger."""
    home.write_atomic(manifest_file(home, manifest.id), manifest.content)
    entry = ErasureBegun(
        subject=ErasureBegun.subject_of(erasure=manifest.id),
        manifest=sha256(manifest.content).hexdigest(),
        pipelines=("apples",),
        rows=1,
        answers=0,
    )
    Ledger(home).append([entry])
