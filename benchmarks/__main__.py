"""Run benchmarks and print one table; exit with 1 if a target was missed.

python -m benchmarks [NAME ...] [--rows ROWS]    (default: all of them)
"""

import sys
from argparse import ArgumentParser

from rich.console import Console
from rich.table import Table

from benchmarks import (
    approvals,
    auditor,
    backup,
    blend_influence,
    boundary,
    by_hand,
    cleaning,
    csv_ingest,
    demo,
    dossier,
    edge,
    estimated_performance,
    factory_up,
    forget,
    front_door,
    front_door_mlflow,
    influence,
    ledger,
    loading,
    metering,
    migration,
    monitoring,
    openlineage,
    partitions,
    pipeline,
    portfolio,
    prediction_log,
    preprocessing,
    searching,
    serving,
    status,
    streaming,
    supply_chain,
    throughput,
    tracing,
    unchanged,
    watching,
    wide_table,
    workers,
)

MODULES = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        loading,
        metering,
        unchanged,
        partitions,
        demo,
        pipeline,
        by_hand,
        cleaning,
        csv_ingest,
        wide_table,
        preprocessing,
        throughput,
        streaming,
        portfolio,
        influence,
        blend_influence,
        ledger,
        prediction_log,
        tracing,
        migration,
        backup,
        status,
        searching,
        approvals,
        auditor,
        dossier,
        supply_chain,
        openlineage,
        boundary,
        edge,
        front_door_mlflow,
        monitoring,
        estimated_performance,
        watching,
        workers,
        serving,
        front_door,
        factory_up,
        forget,
    )
}
SIZED = {
    "backup": backup,
    "by_hand": by_hand,
    "cleaning": cleaning,
    "csv_ingest": csv_ingest,
    "migration": migration,
    "portfolio": portfolio,
    "prediction_log": prediction_log,
    "streaming": streaming,
    "throughput": throughput,
    "tracing": tracing,
}


def main(arguments: list[str] | None = None) -> int:
    parser = ArgumentParser("python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(MODULES)}")
    parser.add_argument("--rows", type=int, help=f"number of rows, only for {', '.join(SIZED)}")
    given = parser.parse_args(arguments)
    names = given.names or list(SIZED if given.rows else MODULES)
    if unknown := [name for name in names if name not in (SIZED if given.rows else MODULES)]:
        valid = ", ".join(SIZED if given.rows else MODULES)
        parser.error(f"{unknown[0]!r} is not one of {valid}")
    console = Console()
    table = Table("benchmark", "measured", "target", "met")
    missed = 0
    for name in names:
        with console.status(name):
            results = SIZED[name].run(given.rows) if given.rows else MODULES[name].run()
        for result in results:
            table.add_row(
                result.name, result.measured, result.target, "yes" if result.met else "NO"
            )
            missed += not result.met
    console.print(table)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
