"""How a version was trained: run, contract, environment and costs, from records and the ledger."""

from collections.abc import Iterable, Sequence

from factory_assets.audit.references import step_name
from factory_assets.audit.trace.answer.report import (
    ContractFact,
    EnvironmentFact,
    RunFact,
    StageCost,
)
from factory_assets.execution.provenance import read_provenance
from factory_assets.results.base import digest
from factory_assets.results.data import CleanResult, IngestResult, add_counts
from factory_assets.results.record_graph import value_in
from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import RunStarted
from factory_resources.ledger.ledger import latest_in
from factory_resources.ledger.log import Log
from factory_resources.security.commitments import Commitments
from factory_resources.tracking.record import Record
from factory_resources.tracking.registry import Version


def run_fact(log: Log | None, trained: Record, home: Home) -> RunFact:
    """Return what the ledger says of the run that trained a version.

    Args:
        log: None for a home without a ledger.
    """
    run_id = trained.run_id
    found = latest_in(log, RunStarted, RunStarted.subject_of(run=run_id)) if log else None
    number, entry = found or (None, None)
    account = entry.account if entry else None
    return RunFact(
        run_id=run_id,
        entry=number,
        started=entry.time if entry else None,
        declaration=entry.declaration if entry else None,
        account=account,
        account_name=Commitments(home).name_of("account", account) if account else None,
        boundary=entry.boundary if entry else None,
        report=entry.report if entry else None,
    )


def contract_facts(records: Iterable[Record]) -> tuple[ContractFact, ...]:
    """Return the contracts of the ingests among some records, with the rows that broke rules."""
    contracts: dict[str, dict[str, object]] = {}
    broken: dict[str, list[dict[str, int]]] = {}
    for record in records:
        value = value_in(record)
        if isinstance(value, IngestResult | CleanResult):
            broken.setdefault(record.pipeline, []).append(value.quarantined)
        if isinstance(value, IngestResult):
            declared = record.parts.get("declaration") or {}
            contracts.setdefault(record.pipeline, declared.get("contract") or {})
    return tuple(
        ContractFact(
            pipeline=pipeline,
            sha256=digest(contract),
            columns=len(_columns(contract)),
            broken=add_counts(broken.get(pipeline, ())),
        )
        for pipeline, contract in contracts.items()
    )


def _columns(contract: object) -> Sequence[object]:
    if isinstance(contract, dict):
        columns = contract.get("columns")
        return columns if isinstance(columns, list) else ()
    return contract if isinstance(contract, list) else ()


def environment_fact(version: Version, home: Home, problems: list[str]) -> EnvironmentFact | None:
    """Return with what a version was trained; None, with a problem, if that is not recorded."""
    try:
        found = read_provenance(version, home).environment
    except ModelError as error:
        problems.append(str(error))
        return None
    return EnvironmentFact(
        python=found.python,
        libraries=found.libraries,
        libraries_sha256=digest(found.libraries),
        code_sha256=digest(found.code),
        user_code=found.user_code,
        system=found.system,
        processor=found.processor,
        device=found.device,
        threads=found.threads,
    )


def cost_facts(records: Iterable[Record]) -> tuple[StageCost, ...]:
    """Return what the computations took, in the order of the records."""
    return tuple(
        StageCost(
            step=step_name(record),
            seconds=record.seconds,
            cpu_seconds=record.cpu_seconds,
            wh=record.wh,
            method=record.method,
            grid=record.grid,
            co2e=record.co2e,
        )
        for record in records
    )
