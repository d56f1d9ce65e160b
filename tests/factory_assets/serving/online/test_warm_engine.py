"""The cell of a JSON value in a request is the one that a file of JSON Lines has."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from factory_assets.serving.http.limits import Limits
from factory_assets.serving.http.rows import read_rows
from factory_assets.serving.online.warm_engine import as_cell
from factory_resources.sources.files.delimited_text import TextRules
from factory_resources.sources.files.json_lines import json_to_parquet
from tests.factory_assets.serving.cases import Deployed, served_by

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([1e-7, 1e-6, 1e16, 1e21, 1e22, -0.0, 5e-324, 2**53 + 1, 2**64, 10**30])
    | st.text()
)
VALUES = st.recursive(
    _SCALARS, lambda one: st.lists(one) | st.dictionaries(st.text(), one), max_leaves=8
)


def stored(values: list[Any], folder: Path, *, ascii_only: bool) -> list[str | None]:
    """Return what a source stores of the values, each in a line."""
    import duckdb

    lines = [json.dumps({"a": one}, ensure_ascii=ascii_only) + "\n" for one in values]
    path, target = folder / "rows.jsonl", folder / "rows.parquet"
    path.write_text("".join(lines), encoding="utf-8")
    with duckdb.connect() as connection:
        json_to_parquet(connection, path, path.name, TextRules(), target)
        return [cell for (cell,) in connection.execute(f"FROM '{target}'").fetchall()]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(values=st.lists(VALUES, min_size=1, max_size=20), ascii_only=st.booleans())
@example(
    values=[{"werk": "A", "n": [1, 1e-7, None, True]}, "\x1f", ['\x0b/"\\\x7f\u2028']],
    ascii_only=True,
)
@example(values=[4.823040373928001e-06, 2.789084098181951e20, 1e17, 1e-5], ascii_only=False)
def test_a_cell_is_the_text_that_a_file_has(
    values: list[Any], *, ascii_only: bool, tmp_path: Path
) -> None:
    decoded = [msgspec.json.decode(json.dumps(one)) for one in values]
    assert [as_cell(one) for one in decoded] == stored(values, tmp_path, ascii_only=ascii_only)


def test_nested_values_get_the_answer_of_a_file(tmp_path: Path) -> None:
    kinds = [{"werk": "A", "n": [1, 1e-7]}, {"werk": "Bö", "n": []}, 1e-7, 2.5e20]
    rows = [{"kind": kinds[i % 4], "label": float(i % 4)} for i in range(80)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    contract = [{"name": "kind", "type": "string"}, {"name": "label", "type": "float64"}]
    deployed = Deployed(
        tmp_path,
        {
            "purpose": "test",
            "ingest": {"source": {"files": "rows.jsonl"}, "contract": contract},
            "train": {"target": "label", "seed": 3, "model": {"kind": "linear"}},
        },
    )
    served = served_by(deployed)
    asked = [{"kind": kind} for kind in kinds]
    request, _ = read_rows(json.dumps(asked).encode(), served.decoder, Limits())
    answers = served.score(request.objects()).outputs
    served.close()
    filed = deployed.predict("new.jsonl", "".join(json.dumps(row) + "\n" for row in asked))
    assert answers.tolist() == [row["prediction"] for row in filed]
    assert answers.tolist() == pytest.approx([0, 1, 2, 3], abs=0.5)
