"""The sample on which inputs are measured: so many rows, the same ones again, in random order."""

from pathlib import Path

import pyarrow as pa

from factory_assets.data.leakage.sample import draw_sample
from factory_resources.sql.engine import sealed


def test_rows_are_drawn_again_as_before(tmp_path: Path) -> None:
    table = pa.table({"n": range(5000), "text": [f"{i:0250}" for i in range(5000)]})
    with sealed(read=[], write=tmp_path) as connection:
        connection.register("made", table)
        one, other = (
            draw_sample(
                connection,
                "made",
                {"n": "BIGINT", "text": "VARCHAR"},
                number="n",
                rows=5000,
                most=1000,
            )
            for _ in range(2)
        )
    drawn = one["n"].to_pylist()
    assert one == other
    assert 900 < len(drawn) == len({*drawn}) < 1100
    assert drawn != sorted(drawn)
    assert {len(text) for text in one["text"].to_pylist()} == {200}
