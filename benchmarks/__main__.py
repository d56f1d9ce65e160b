"""Run benchmarks and print one table; the exit code says whether every target was met.

python -m benchmarks [NAME ...] [--rows ROWS]    (all of them, unless some are named)
"""

import sys
from argparse import ArgumentParser

from rich.console import Console
from rich.table import Table

from benchmarks import (
    cleaning,
    csv_ingest,
    demo,
    influence,
    loading,
    metering,
    partitions,
    pipeline,
    preprocessing,
    streaming,
    throughput,
    unchanged,
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
        cleaning,
        csv_ingest,
        preprocessing,
        throughput,
        streaming,
        influence,
    )
}
SIZED = {
    "cleaning": cleaning,
    "csv_ingest": csv_ingest,
    "streaming": streaming,
    "throughput": throughput,
}


def main(arguments: list[str] | None = None) -> int:
    parser = ArgumentParser("python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MODULES)}")
    parser.add_argument("--rows", type=int, help=f"for {', '.join(SIZED)} alone")
    given = parser.parse_args(arguments)
    names = given.names or list(SIZED if given.rows else MODULES)
    if unknown := [name for name in names if name not in (SIZED if given.rows else MODULES)]:
        parser.error(f"{unknown[0]!r} is none of {', '.join(SIZED if given.rows else MODULES)}")
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
