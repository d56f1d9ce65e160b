"""Run every benchmark and print one table; the exit code says whether every target was met."""

import sys

from rich.console import Console
from rich.table import Table

from benchmarks import demo, loading, pipeline, unchanged


def main() -> int:
    console = Console()
    table = Table("benchmark", "measured", "target", "met")
    missed = 0
    for module in (loading, unchanged, demo, pipeline):
        with console.status(module.__name__):
            results = module.run()
        for result in results:
            table.add_row(
                result.name, result.measured, result.target, "yes" if result.met else "NO"
            )
            missed += not result.met
    console.print(table)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
