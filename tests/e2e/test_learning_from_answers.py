"""A pipeline learns from answers whose outcomes came back, and its model is traced to them."""

import copy
import json
from typing import Any

import pyarrow as pa
import pytest

from factory_assets.declarations.loader import load_pipeline
from factory_assets.serving.batch import predict
from factory_assets.serving.feedback.table import record_from_table
from tests.approvals import Factory
from tests.pipelines import APPLES, declare

pytestmark = pytest.mark.slow


def grown() -> dict[str, Any]:
    attributes = copy.deepcopy(APPLES)
    attributes["ingest"]["source"] = {"answers": "apples"}
    return attributes


def answered(made: Factory, first: int, count: int) -> list[str]:
    rows = [
        {"size": i % 7 + i / 100, "colour": ("red", "green")[i % 2]}
        for i in range(first, first + count)
    ]
    file = made.root / "asked.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found: list[str] = predict(load_pipeline(made.defs / "apples"), file, made.home)[
        "id"
    ].to_pylist()
    return found


def tell(made: Factory, ids: list[str], first: int) -> None:
    outcomes = ["good" if i % 7 > 3 else "bad" for i in range(first, first + len(ids))]
    record_from_table("apples", pa.table({"id": ids, "outcome": outcomes}), made.home)


def test_a_model_learns_from_answers_and_is_traced_to_them(made: Factory) -> None:
    declare(made.defs / "grown", grown())
    code, text = made.factory("run", "grown")
    assert code == 2
    assert "no outcome of an answer is known yet" in text

    ids = answered(made, 1, 120)
    tell(made, ids, 1)
    code, text = made.factory("run", "grown")
    assert code == 0, text
    code, text = made.factory("run", "grown")
    assert (code, "nothing changed" in text) == (0, True), text

    code, text = made.factory("trace", "grown@1")
    assert code == 0, text
    assert ids[0] in text
    assert "and 100 more" in text
    code, text = made.factory("trace", "grown@1", "--json")
    assert code == 0, text
    [source] = json.loads(text)["sources"]
    assert source["answers"] == ids

    code, text = made.factory("trace", "grown/ingest", "--row", "7")
    assert code == 0, text
    assert f"answer {ids[6]}" in text

    more = answered(made, 121, 30)
    tell(made, more, 121)
    code, text = made.factory("run", "grown")
    assert code == 0, text
    code, text = made.factory("trace", "grown@1", "--json")
    assert json.loads(text)["sources"][0]["answers"] == ids
    code, text = made.factory("trace", "grown@2", "--json")
    assert json.loads(text)["sources"][0]["answers"] == [*ids, *more]
    assert made.factory("verify")[0] == 0


def test_a_pipeline_that_does_not_exist_is_named(made: Factory) -> None:
    attributes = grown()
    attributes["ingest"]["source"] = {"answers": "aples"}
    declare(made.defs / "misspelt", attributes)
    code, text = made.factory("check", "misspelt")
    (made.defs / "misspelt" / "defs.yaml").unlink()
    assert code == 2
    assert "no pipeline 'aples'" in text
    assert "apples" in text
