"""Which files tell that pipelines are declared anew."""

import os
from pathlib import Path

import pytest

from factory_assets.declarations.folders import declared_files


@pytest.mark.parametrize(
    "written",
    [
        "contract: apples.odcs.yaml",
        "contract:   'apples.odcs.yaml'  # agreed in May",
        "contract: {file: apples.odcs.yaml, table: apples}",
        'contract:\n      file: "apples.odcs.yaml"\n      table: apples',
    ],
)
def test_a_contract_that_is_corrected_tells_it_as_its_declaration_does(
    written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    folder = tmp_path / "apples"
    folder.mkdir()
    (folder / "defs.yaml").write_text(f"attributes:\n  ingest:\n    {written}\n")
    contract = folder / "apples.odcs.yaml"
    seen = [declared_files()]
    for text in ("kind: DataContrakt", "kind: DataContract"):
        contract.write_text(text)
        seen.append(declared_files())
        assert seen[-1] != seen[-2]
        assert seen[-1] == declared_files()
    contract.unlink()
    assert declared_files() == seen[0]
    (folder / "defs.yaml").write_text("contract: [{name: apples.odcs.yaml}]")
    before = declared_files()
    contract.touch()
    assert declared_files() == before, "nothing names it"
    for other in (tmp_path / "factory.yaml", folder / "assets.py", folder / "sizes.py"):
        before = declared_files()
        other.touch()
        assert declared_files() != before


@pytest.mark.parametrize("way", ["of another size", "another file"])
def test_a_declaration_that_keeps_its_time_is_declared_anew(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    file = tmp_path / "apples" / "defs.yaml"
    file.parent.mkdir()
    file.write_text("a: 1\n")
    before, time = declared_files(), file.stat()
    if way == "of another size":
        file.write_text("a: 10\n")
    else:
        # As programs do that write a file beside it first.
        other = file.with_suffix(".new")
        other.write_text("a: 2\n")
        other.replace(file)
    os.utime(file, ns=(time.st_atime_ns, time.st_mtime_ns))
    assert declared_files() != before
