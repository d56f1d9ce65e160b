"""Columns as arrays are checked as rows in JSON are."""

import msgspec
import pytest

from factory_assets.serving.online.column_checks import ColumnChecks
from factory_assets.serving.online.row_schema import RowSchema
from factory_assets.spec import Ingest
from factory_resources.sql.scalar.values import UndecidedError


@pytest.mark.parametrize("everywhere", [False, True])
def test_an_allowed_value_that_means_a_missing_one_is_left_to_the_engine(everywhere: bool) -> None:
    column = {"name": "kind", "type": "string", "values": ["L", "NA"]}
    token = {"missing": ["NA"]}
    contract = [column if everywhere else column | token]
    ingest = Ingest.model_validate(
        {"source": {"files": "a.csv"}, "contract": contract, **(token if everywhere else {})}
    )
    schema = RowSchema.of(ingest.contract.columns, ingest)
    assert schema is not None
    checks = ColumnChecks.of(schema)
    assert checks.checked({"kind": ["L", None]}, 2)[1] == [["L", None]]
    with pytest.raises(UndecidedError):
        checks.checked({"kind": ["L", "NA"]}, 2)
    with pytest.raises(msgspec.ValidationError):
        schema.decoder.decode(b'{"kind": "NA"}')
