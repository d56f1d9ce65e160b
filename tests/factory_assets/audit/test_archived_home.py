"""An evidence archive is unpacked into a home of its own, or refused in one line."""

import zipfile
from pathlib import Path

import pytest

from factory_assets.audit.archived_home import opened_archive
from factory_resources.errors import RefusedError
from factory_resources.ledger.factory_verify import CompactRange, leaf_hash
from tests.factory_resources.ledger.homes import LogKey, bodies_of, extract_home, write_archive


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, key, tree = tmp_path_factory.mktemp("recorded"), LogKey(), CompactRange()
    home = extract_home(folder)
    bodies = bodies_of(home, key)
    for body in bodies:
        tree.append(leaf_hash(body))
    checkpoint = key.sign(tree.size, tree.root)
    return write_archive(folder / "one.zip", home, bodies, checkpoint, "apples@2", rows=False)


@pytest.mark.parametrize(
    "names",
    [
        ("home/artifacts/x", "home/artifacts/x/y"),
        ("home/artifacts/x/y", "home/artifacts/x"),
        ("home/artifacts/x", "home/artifacts/x/y/z"),
        (f"home/artifacts/{'a' * 300}",),
        (f"home/statements/{'é' * 200}/x",),
    ],
)
def test_a_name_that_no_file_can_have_is_refused(
    archive: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    path = tmp_path / "evidence.zip"
    path.write_bytes(archive.read_bytes())
    with zipfile.ZipFile(path, "a") as opened:
        for name in names:
            opened.writestr(name, b"x")
    refused = pytest.raises(RefusedError, match=r"does not hold: .* cannot be unpacked")
    with refused, opened_archive(path):
        raise AssertionError("it was opened")
