"""Blocks of answers and the files of their archive, as a ledger written by hand has them."""

from pathlib import Path

from factory_resources.ledger.factory_verify import Expectation, verify_path
from tests.factory_resources.ledger.homes import LogKey, entry, sha256, write_ledger

_KEY = LogKey()
_FIRST = entry("ledger", origin=_KEY.name, key=str(_KEY.public), format=1)


def _problems(home: Path, bodies: list[bytes]) -> list[str]:
    write_ledger(home / "ledger.db", [_FIRST, *bodies], _KEY)
    report, _ = verify_path(str(home), Expectation(_KEY.public))
    return [str(problem) for problem in report.problems]


def test_a_day_of_many_archived_files_is_verified(tmp_path: Path) -> None:
    day = {"pipeline": "p", "day": "2026-01-01", "subject": "predictions/p/2026-01-01"}
    folder, leaves = tmp_path / "predictions/archive/p/2026-01-01", b"b 0-0\n"
    folder.mkdir(parents=True)
    bodies, digests = [], []
    for number in range(150):
        identifier, content = f"{number:032x}", str(number).encode()
        digests.append(sha256(content))
        file = folder / f"{identifier}-{identifier}-{digests[-1][:8]}"
        file.with_suffix(".parquet").write_bytes(content)
        file.with_suffix(".leaves").write_bytes(leaves)
        ends = {"first": identifier, "last": identifier}
        said = {"count": 1, "sha256": digests[-1], "leaves": sha256(leaves)}
        bodies.append(entry("predictions_archived", **day, **ends, **said))
    assert _problems(tmp_path, bodies) == []
    for path in folder.glob("*.parquet"):
        path.unlink()
    assert len(_problems(tmp_path, bodies)) == 150
    removed = entry("predictions_removed", **day, count=150, files=digests, reason="r")
    assert _problems(tmp_path, [*bodies, removed]) == []
    # What is said before a file exists is not about that file.
    assert len(_problems(tmp_path, [removed, *bodies])) == 150
