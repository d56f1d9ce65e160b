"""Answers of the plain protocol: reasons of refused rows."""

import json
from collections import Counter

import pytest

from factory_assets.serving.http import plain
from factory_assets.serving.http.app import _error
from factory_assets.serving.http.call import Protocol
from factory_assets.serving.http.errors import HttpError
from factory_assets.serving.http.limits import Limits
from factory_assets.serving.http.rows import read_rows
from factory_assets.serving.online.served_model import ServedModel
from tests.factory_assets.serving.http.cases import ROW, call_of

pytestmark = pytest.mark.slow

WRONG = {"steps": "x", "colour": "pink"}
"""It breaks two rules."""


def test_the_first_reasons_are_told_and_the_others_counted(served: ServedModel) -> None:
    asked = [ROW, *[WRONG] * 3_000]
    call = call_of(served, asked)
    rows, several = read_rows(call.body, None, Limits())
    scored = served.score(rows.objects())
    found = plain.reasons(call, rows, scored)
    assert [*found] == [*range(1, 3_001)]
    assert sum(len(one.reasons) for one in found.values()) == 100
    assert sum(one.more for one in found.values()) == 5_900
    content = plain.encode(call, rows, scored, bytes(16), several=several, moved=None)
    answers = json.loads(content)["predictions"]
    assert answers[0]["prediction"] is not None
    assert [reason["rule"] for reason in answers[50]["reasons"]] == ["type:steps", "values:colour"]
    assert "more_reasons" not in answers[50]
    assert (answers[51]["reasons"], answers[51]["more_reasons"]) == ([], 2)


@pytest.mark.parametrize("protocol", ["plain", "oip", "mlflow"])
def test_an_error_says_how_many_reasons_it_does_not_tell(protocol: Protocol) -> None:
    reasons = [{"row": row} for row in range(100)]
    broken = Counter({"type:steps": 90, "null:colour": 70})
    error = HttpError(422, "contract", "160 rows", reasons=reasons, broken=broken)
    told = _error(error, protocol)
    assert (told["reasons"], told["more_reasons"]) == (reasons, 60)
    few = HttpError(422, "contract", "1 row", reasons=reasons[:1], broken={"type:steps": 1})
    assert "more_reasons" not in _error(few, protocol)
