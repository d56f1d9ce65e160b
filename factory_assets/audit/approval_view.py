"""Describe a candidate, as text, to the person who decides about it.

Everything is read from the records behind the candidate and behind the champion that it would
replace.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from factory_assets.data.contract.table_checks import table_checks
from factory_assets.data.leakage.policy import leak_check
from factory_assets.data.split_checks import split_checks
from factory_assets.execution.decisions import Waiting
from factory_assets.results.checks import TableCheck
from factory_assets.results.data import CleanResult, IngestResult, SplitResult
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.metric_text import interval_text, metric_text
from factory_assets.results.model import Candidate
from factory_assets.results.record_graph import model_of, value_in
from factory_assets.results.stages import UPSTREAM, Stage
from factory_assets.spec import Pipeline
from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from factory_resources.ledger.factory_verify import printable
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records

_STAGES: tuple[Stage, ...] = ("ingest", "clean", "split", "train", "evaluate")

_SHOWN = 12
"""How many slices, groups or sources are listed at most."""

_DIFFERENCES = 100
"""How many differences of a stage are listed at most; a declaration may have thousands of columns,
and a statement, of which this text is a part, must not become too long."""


def approval_text(pipeline: Pipeline, waiting: Waiting, home: Home) -> str:
    """Return the facts about a candidate, one on each line.

    Raises:
        ModelError: a record behind it is missing or was changed.
    """
    # A value of the data could otherwise begin a line of its own, or control a terminal.
    return "".join(f"{printable(line)}\n" for line in _lines(pipeline, waiting, home))


def _lines(pipeline: Pipeline, waiting: Waiting, home: Home) -> Iterator[str]:
    deployed, spec = waiting.deployed, pipeline.spec
    replaces = f"would replace version {deployed.replaces}" if deployed.replaces else "is the first"
    yield f"{deployed.name} {replaces}"
    yield f"  purpose: {' '.join(spec.purpose.split())}"
    area = f" ({spec.risk.area})" if spec.risk.area else ""
    yield f"  risk: {spec.risk.tier}{area}"
    if waiting.standing.lacks:
        yield f"  may not serve: {waiting.standing.lacks}"
    records = records_behind(deployed.record, home)
    for stage in ("evaluate", "train", "split"):
        if stage not in records:
            raise ModelError(
                f"the record of {stage} is missing or was changed",
                where=deployed.name,
                remedy="nobody can decide about it; factory verify shows what does not hold",
            )
    evaluation = value_in(records["evaluate"])
    assert isinstance(evaluation, EvaluationResult)
    yield from _verdict(evaluation)
    yield from _slices(evaluation)
    yield from _fairness(evaluation)
    yield from _data(records)
    yield from _leaks_and_warnings(pipeline, records, evaluation)
    yield from _difference(pipeline.name, records, deployed.replaces, home)
    rule, given = waiting.rule, waiting.standing.given
    people = f"{rule.signatures} {rule.by}{'' if rule.signatures == 1 else 's'}"
    yield f"needs: {people}, {given} so far; an approval counts for {rule.valid}"


def records_behind(record: Record, home: Home) -> Mapping[str, Record]:
    """Return the records behind a deployment, by stage; of several partitions, the first.

    A record that is not as its entry in the ledger says is left out.
    """
    records, found = Records(home), {record.stage: record}
    waiting = [record]
    while waiting:
        one = waiting.pop()
        for stage in UPSTREAM[one.stage]:  # type: ignore[index]
            key = next(iter(one.inputs.get(stage, ())), None)
            if stage in found or key is None:
                continue
            upstream = records.find(one.pipeline, stage, key)
            if upstream:
                found[stage] = upstream
                waiting.append(upstream)
    return found


def _verdict(value: EvaluationResult) -> Iterator[str]:
    yield f"gates: {sum(g.passed for g in value.gates)} of {len(value.gates)} passed"
    for gate in value.gates:
        yield f"  {'passed' if gate.passed else 'FAILED'}: {gate.explanation}"
    yield from (one.line for one in (value.compared, value.answers) if one)
    champion = value.champion or {}
    version = f", champion {value.champion_version}" if value.champion_version else ""
    yield f"on the test rows: candidate, 95 % interval, linear model{version}"
    linear = value.baselines.get("linear", {})
    for name, number in value.metrics.items():
        low, high = value.intervals.get(name, (None, None))
        interval = interval_text(low, high, 4)
        others = f"{_number(linear.get(name)):>9}{_number(champion.get(name)):>9}"
        yield f"  {name:<30}{_number(number):>9}  {interval:<18}{others}".rstrip()
    if folds := value.folds:
        metric = folds.metrics.get(value.headline)
        if metric and metric.mean is not None:
            sd = f", sd {_number(metric.sd)}" if metric.sd is not None else ""
            yield f"  over {folds.count} folds: {value.headline} {_number(metric.mean)}{sd}"


def _number(value: float | None) -> str:
    return "" if value is None else metric_text(value, 4)


def _slices(value: EvaluationResult) -> Iterator[str]:
    yield "slices:" if value.slices else "slices: none is declared"
    for one in value.slices[:_SHOWN]:
        metric = one.metrics.get(value.headline)
        number = "too few rows" if metric is None else f"{value.headline} {_number(metric)}"
        yield f"  {one.column} = {one.value} ({one.rows} rows): {number}"
    yield from _more(len(value.slices))


def _fairness(value: EvaluationResult) -> Iterator[str]:
    yield "fairness:" if value.groups else "fairness: no protected column is declared"
    for group in value.groups[:_SHOWN]:
        rates = ", ".join(
            f"{name.replace('_', ' ')} {rate.value:.3f} ({rate.low:.3f} to {rate.high:.3f})"
            for name, rate in group.rates.items()
        )
        yield f"  {group.column} = {group.value} ({group.rows} rows): {rates or 'too few rows'}"
    yield from _more(len(value.groups))


def _more(count: int) -> Iterator[str]:
    if count > _SHOWN:
        yield f"  and {count - _SHOWN} more, on the page of `evaluate` in the UI"


def _data(records: Mapping[str, Record]) -> Iterator[str]:
    ingested, cleaned, parts = (
        value_in(records[stage]) if stage in records else None
        for stage in ("ingest", "clean", "split")
    )
    if count := _partitions(records):
        yield f"data: {count:,} partitions"
    elif isinstance(ingested, IngestResult) and isinstance(cleaned, CleanResult):
        yield (
            f"data: {ingested.rows_read:,} rows read; in quarantine {ingested.quarantined_rows:,} "
            f"by ingest and {cleaned.quarantined_rows:,} by clean; {cleaned.duplicates:,} "
            "duplicates left out"
        )
        for source in ingested.sources[:_SHOWN]:
            yield f"  {source.name} sha256:{source.sha256[:12]}, {source.rows:,} rows"
        yield from _more(len(ingested.sources))
    if isinstance(parts, SplitResult):
        counts = (parts.train.rows, parts.validation.rows, parts.test.rows)
        yield "  {:,} rows for training, {:,} for validation, {:,} for the test".format(*counts)


def _partitions(records: Mapping[str, Record]) -> int:
    """Return how many partitions the rows come from; 0 without partitions."""
    keys = records["split"].inputs.get("clean", ()) if "split" in records else ()
    return len(keys) if len(keys) > 1 else 0


def _leaks_and_warnings(
    pipeline: Pipeline, records: Mapping[str, Record], evaluation: EvaluationResult
) -> Iterator[str]:
    parts, trained = value_in(records["split"]), value_in(records["train"])
    assert isinstance(parts, SplitResult)
    leaks = leak_check(pipeline, parts.leaks)
    yield f"leaks: {_words(leaks) if leaks else 'not searched'}"
    warnings = [_words(one) for one in _checks(pipeline, records, parts) if not one.passed]
    if isinstance(trained, Candidate) and trained.stopped:
        warnings.append(trained.stopped.text)
    warnings += evaluation.warnings
    yield "warnings:" if warnings else "warnings: none"
    yield from (f"  {warning}" for warning in warnings)


def _checks(
    pipeline: Pipeline, records: Mapping[str, Record], parts: SplitResult
) -> Iterator[TableCheck]:
    ingested = value_in(records["ingest"]) if "ingest" in records else None
    if isinstance(ingested, IngestResult) and not _partitions(records):
        contract, now = pipeline.spec.ingest.contract, datetime.now(UTC)
        yield from table_checks(contract, ingested.snapshot.rows, ingested.findings, now)
    yield from split_checks(pipeline, parts)


def _words(check: TableCheck) -> str:
    return check.says if check.passed else f"{check.says}; {check.remedy}"


def _difference(
    pipeline: str, records: Mapping[str, Record], champion: int | None, home: Home
) -> Iterator[str]:
    """Yield what differs between the candidate and the champion, stage by stage."""
    if champion is None:
        return
    from factory_assets.execution.explain import diff_records

    before = _champion_records(pipeline, champion, home)
    if before is None:
        yield f"differences from version {champion}: its records are gone"
        return
    yield f"differences from version {champion}:"
    found = False
    # Each partition has its own records; `split` names those that changed together.
    stages = _STAGES[2:] if _partitions(records) or _partitions(before) else _STAGES
    for stage in stages:
        if stage in before and stage in records:
            reasons = diff_records(stage, before[stage], records[stage])
            found = found or bool(reasons)
            yield from (f"  {stage}: {reason}" for reason in reasons[:_DIFFERENCES])
            if len(reasons) > _DIFFERENCES:
                yield f"  {stage}: and {len(reasons) - _DIFFERENCES:,} more"
    if not found:
        yield "  none in data, declaration and code; it was trained again"


def _champion_records(pipeline: str, version: int, home: Home) -> Mapping[str, Record] | None:
    for record in Records(home).all(pipeline, "deploy"):
        if model_of(record) == (pipeline, version):
            return records_behind(record, home)
    return None
