"""The checks of a stage's data, from its stored result."""

from collections.abc import Iterator
from datetime import UTC, datetime

from factory_assets.data.contract.table_checks import table_checks
from factory_assets.data.leakage.policy import leak_check
from factory_assets.data.split_checks import split_checks
from factory_assets.execution.requests import StageRequest
from factory_assets.results.base import StageResult
from factory_assets.results.checks import TableCheck
from factory_assets.results.data import IngestResult, SplitResult
from factory_assets.results.latest import ResultQuery, latest_result
from factory_assets.results.model import Candidate


def stage_checks(call: StageRequest, value: StageResult) -> Iterator[TableCheck]:
    """Yield the result of each check; those of `train` judge the leaks that `split` measured."""
    match value:
        case IngestResult():
            contract, now = call.pipeline.spec.ingest.contract, datetime.now(UTC)
            yield from table_checks(contract, value.snapshot.rows, value.findings, now)
        case SplitResult():
            yield from split_checks(call.pipeline, value)
        case Candidate():
            check = leak_check(call.pipeline, split_result(call).leaks)
            yield from [check] if check else []


def split_result(call: StageRequest) -> SplitResult:
    """Return the result of `split` that the request reads."""
    value = latest_result(ResultQuery(call.pipeline, "split", call.home, call.run_id))
    assert isinstance(value, SplitResult)
    return value
