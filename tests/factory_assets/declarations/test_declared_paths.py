"""Where everything that is declared is read from."""

from pathlib import Path

import pytest
import yaml

from factory_assets.declarations.declared_paths import declared_paths
from tests.pipelines import APPLES, declare

_CONTRACT = {
    "apiVersion": "v3.1.0",
    "kind": "DataContract",
    "id": "apples",
    "version": "1.0.0",
    "status": "active",
    "schema": [{"name": "apples", "properties": []}],
}


def test_links_are_followed_and_files_elsewhere_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defs = tmp_path / "defs"
    defs.mkdir()
    monkeypatch.setenv("FACTORY_DEFS", str(defs))
    elsewhere = tmp_path / "elsewhere"
    contract, carbon, linked = (elsewhere / name for name in ("c.yaml", "w.yaml", "apples"))
    linked.mkdir(parents=True)
    contract.write_text(yaml.safe_dump(_CONTRACT))
    carbon.write_text(yaml.safe_dump({"source": "a table", "daily": [1] * 24}))
    texts = {"factory.yaml": "witness: {policy: policy.txt}", "people.yaml": ""}
    for name, text in {**texts, "policy.txt": "quorum none\n"}.items():
        (elsewhere / name).write_text(text)
        (defs / name).symlink_to(elsewhere / name)
    (defs / "apples").symlink_to(linked)
    own = elsewhere / "own"
    own.mkdir()
    (own / "assets.py").touch()
    (defs / "own").symlink_to(own)
    schedule = {"within": "22:00-06:00", "prefer": "lowest_carbon", "carbon": {"file": str(carbon)}}
    declare(defs / "apples", {**APPLES, "schedule": schedule})
    ingest = {**APPLES["ingest"], "contract": str(contract)}
    declare(defs / "pears", {**APPLES, "ingest": ingest})
    files = {elsewhere / name for name in ("factory.yaml", "people.yaml", "policy.txt")}
    expected = {contract, carbon, linked, own, *files}
    assert expected <= {*declared_paths()}
