"""What a person is shown before they decide: everything that the records say, and what differs."""

from pathlib import Path

import pytest

from factory_assets.audit.approval_view import approval_text
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution import explain
from factory_assets.execution.decisions import waiting_candidate
from tests.approvals import Factory, declare_factory, make_factory
from tests.pipelines import enter, write_apples

pytestmark = pytest.mark.slow


def _text(factory: Factory) -> str:
    pipeline = load_pipeline(factory.defs / "apples")
    return approval_text(pipeline, waiting_candidate(pipeline, None, factory.home), factory.home)


def test_the_text_names_what_was_measured_and_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory = make_factory(tmp_path / "root")
    enter(factory.root, monkeypatch)
    factory.approve()
    write_apples(factory.defs / "apples", 600)
    data = Path(factory.data)
    data.write_text(data.read_text().replace("green", '"green\n  passed: all \x1b[2K"'))
    data.write_text(data.read_text() + "x,red,bad\n-1,red,bad\n-2,red,bad\n2.02,red,bad\n")
    factory.declare(seed=11, slices=["colour"], protected=["colour"], folds=3)
    declared = factory.defs / "apples" / "defs.yaml"
    clean = "  clean:\n    deduplicate: [size, colour]\n"
    declared.write_text(declared.read_text().replace("  clean:\n", clean))
    factory.run()
    lines = _text(factory).splitlines()
    text = "\n".join(lines)
    assert lines[0] == "apples@2 would replace version 1"
    assert "  purpose: Tell good from bad" in lines
    assert "linear model, champion 1" in text
    assert any(line.startswith("  over 3 folds: ") for line in lines)
    assert any(line.startswith("  colour = red (") for line in lines)
    # What is in the data begins no line of its own, and controls no terminal.
    assert any(line.startswith(r"  colour = green\n  passed: all \x1b[2K (") for line in lines)
    fairness = lines.index("fairness:")
    assert lines[fairness + 1].startswith("  colour = ")
    assert "selection rate" in lines[fairness + 1], lines[fairness + 1]
    counts = "in quarantine 1 by ingest and 2 by clean; 1 duplicates left out"
    assert f"data: 604 rows read; {counts}" in lines
    assert any("data.csv sha256:" in line for line in lines)
    differences = lines[lines.index("differences from version 1:") + 1 :]
    assert "  ingest: the source changed (data.csv)" in differences
    assert any(line.startswith("  train: ") and "seed" in line for line in differences)
    assert lines[-1] == "needs: 1 approver, 0 so far; an approval counts for 14d"
    many = [f"contract of column {number} is new" for number in range(300)]
    monkeypatch.setattr(explain, "diff_records", lambda *_: many)
    lines = _text(factory).splitlines()
    assert [f"  train: {many[99]}", "  train: and 200 more"] == [
        line for line in lines if line.startswith("  train: ")
    ][-2:]


def test_partitions_are_counted_and_compared_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory = declare_factory(tmp_path / "root")
    enter(factory.root, monkeypatch)
    folder = factory.defs / "apples"
    for site, rows in (("berlin", 150), ("munich", 120)):
        write_apples(folder / site, rows)
        (folder / site / "data.csv").rename(folder / f"{site}.csv")
    text = (folder / "defs.yaml").read_text().replace("files: data.csv", "files: '{site}.csv'")
    sites = "  partitions: {site: {values: [berlin, munich]}}\n"
    text = text.replace("  ingest:", f"{sites}  ingest:")
    text = text.replace("  train:\n", "  train:\n    leaks: {action: warn}\n    threshold: 0.001\n")
    (folder / "defs.yaml").write_text(text)
    factory.run()
    shown = _text(factory)
    assert "data: 2 partitions\n" in shown
    # With this threshold, all are in the positive class.
    assert "always the most frequent class" in shown.partition("\nwarnings:\n")[2]
    factory.approve()
    write_apples(folder / "berlin", 170)
    (folder / "berlin" / "data.csv").rename(folder / "berlin.csv")
    factory.run()
    differences = _text(factory).partition("differences from version")[2]
    assert "split: " in differences
    assert "ingest: " not in differences
