"""A record is read as it was written; damaged bytes are refused in one line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory_resources.errors import StorageError
from factory_resources.prediction_log.record import PredictionRecord, decode, encode
from tests.factory_resources.prediction_log.samples import record

_NUMBERS = st.integers(min_value=-(2**63), max_value=2**64 - 1)


@given(
    st.builds(
        PredictionRecord,
        time=_NUMBERS,
        duration=_NUMBERS,
        pipeline=st.text(),
        version=_NUMBERS,
        caller=st.text(),
        protocol=st.sampled_from(["plain", "oip", "mlflow", "file", "edge"]),
        kind=st.sampled_from(["answer", "error"]),
        status=_NUMBERS,
        rows=_NUMBERS,
        input=st.binary(),
        output=st.binary(),
    )
)
def test_a_record_is_read_as_it_was_written(written: PredictionRecord) -> None:
    assert decode(encode(written)) == written


@given(st.binary())
def test_other_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        decode(content)


def test_a_record_of_an_unknown_kind_is_refused() -> None:
    changed = encode(record()).replace(b"\xa6answer", b"\xa6guess!")
    with pytest.raises(StorageError, match="Invalid enum value"):
        decode(changed)
