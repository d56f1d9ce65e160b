"""`factory trace NAME --prov FILE`: the trace in W3C PROV.

What a document contains belongs in `factory_assets.exchange.prov`.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from factory_assets.audit.trace.answer.events import EventReader
from factory_assets.audit.trace.answer.report import AnswerTrace, LedgerEvent
from factory_assets.audit.trace.report import Trace
from factory_assets.cli.output_file import write_document
from factory_assets.exchange.prov import ProvFacts, prov_document
from factory_assets.results.record_graph import RecordGraph
from factory_resources.home.home import Home
from factory_resources.ledger.entries import RunStarted
from factory_resources.ledger.ledger import Ledger, latest_in


def write_prov(result: Trace | AnswerTrace, file: Path, home: Home) -> None:
    """Write a trace back as PROV-JSON.

    Raises:
        StorageError: the file cannot be written, or a record is damaged.
    """
    document = prov_document(result, _facts(result, home))
    content = json.dumps(document, indent=1) + "\n"
    write_document(file, content.encode())


def _facts(result: Trace | AnswerTrace, home: Home) -> ProvFacts:
    lineage = result.lineage if isinstance(result, AnswerTrace) else result
    steps = lineage.steps if lineage else ()
    keys = {step.key for step in steps}
    seconds = {r.key: r.seconds for r in RecordGraph.of(home).records if r.key in keys}
    ledger = Ledger(home)
    if not ledger.exists:
        return ProvFacts(seconds, {})
    accounts = {}
    with ledger.reading() as log:
        for run in {step.run_id for step in steps}:
            found = latest_in(log, RunStarted, RunStarted.subject_of(run=run))
            if found and found[1].account:
                accounts[run] = found[1].account
        decisions: Sequence[LedgerEvent] = ()
        if isinstance(result, AnswerTrace):
            decisions = result.approvals
        elif result.model:
            pipeline, _, version = result.model.name.partition("@")
            now = datetime.now(UTC).isoformat(timespec="seconds")
            decisions = EventReader(log, home, pipeline, int(version), now, []).approvals()
    return ProvFacts(seconds, accounts, decisions)
