"""`factory pack` and `factory ingest-log` as a person calls them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from factory_assets.serving.edge import score as program
from tests.commands import in_process
from tests.factory_assets.serving.edge.cases import Factory, make_factory, row
from tests.pipelines import enter

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    root = tmp_path_factory.mktemp("pumps")
    made = make_factory(root)
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        yield made


def test_a_pack_goes_and_its_log_comes_home(factory: Factory) -> None:
    folder = factory.root / "the pack"
    code, text = in_process("pack", "pump", "--edge", "--out", folder)
    assert code == 0, text
    assert text.startswith(f"pump@1 packed in {folder}, 0.")
    assert f"home:  factory ingest-log '{folder}'" in text
    with program.Model(str(folder)) as model:
        [answer] = model.predict([row()])
    code, text = in_process("ingest-log", folder)
    assert code == 0, text
    assert text.splitlines()[0].endswith(": 1 new answers, 1 in all")
    assert "nothing new since" in in_process("ingest-log", folder)[1]
    code, text = in_process("trace", answer["id"])
    assert code == 0
    assert "(edge)" in text
    assert in_process("verify")[0] == 0


def test_a_pack_that_cannot_be_written_needs_another_place(factory: Factory) -> None:
    (factory.root / "file").touch()
    code, text = in_process("pack", "pump", "--edge", "--out", factory.root / "file" / "pack")
    assert code == 2
    assert text.endswith("free space there or make the folder writable, or name another file\n")


def test_a_log_with_a_change_ends_with_1(factory: Factory) -> None:
    folder = factory.root / "changed"
    in_process("pack", "pump", "--edge", "--out", folder)
    with program.Model(str(folder)) as model:
        model.predict([row(), row()])
    log = folder / program.LOG
    first, *others = log.read_text().splitlines()
    other = json.dumps({**json.loads(first), "prediction": "1"})
    log.write_text("\n".join([other, *others]) + "\n")
    code, text = in_process("ingest-log", folder)
    assert code == 1
    assert "  wrong: line 1 was changed\n" in text


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("pack", "pump", "--out", "x"), "Missing option '--edge'"),
        (("pack", "pear", "--edge", "--out", "x"), "'pear' has no champion yet"),
        (
            ("ingest-log", "/nowhere"),
            "/nowhere/contract.json: cannot be read (No such file or directory)",
        ),
    ],
)
def test_a_mistake_is_told_in_one_line(
    arguments: tuple[str, ...], line: str, factory: Factory, tmp_path: Path
) -> None:
    code, text = in_process(*arguments)
    assert code == 2
    assert line in text
