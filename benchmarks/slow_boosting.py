"""`auto` with and without boosting of many small trees, judged on new rows.

    python -m benchmarks.slow_boosting [classes] [numbers] [--rows N]

The tables are those of `benchmarks.tolerance`, drawn and judged as there. The network is left out,
which takes most of the time.
"""

import argparse

from benchmarks.tolerance import ROWS, classes, has_rows, is_easy, judged, numbers, report
from factory_assets.ml.models.portfolio.defaults import members_of, slow_boosting
from factory_assets.spec.models import Auto, Network

WITHOUT, WITH = "without small trees", "with small trees"


def main() -> None:
    given = argparse.ArgumentParser()
    given.add_argument("targets", nargs="*", default=["classes", "numbers"])
    given.add_argument("--rows", type=int, default=ROWS)
    options = given.parse_args()
    models = portfolios(options.rows)
    for target in options.targets:
        tables = classes() if target == "classes" else numbers()
        found = [
            judged(table, options.rows, seed, models)
            for seed, table in enumerate(tables)
            if has_rows(table, options.rows)
        ]
        for line in report([one for one in found if not is_easy(one[WITHOUT])], WITHOUT):
            print(f"{target}, {options.rows} rows, {line}", flush=True)


def portfolios(rows: int) -> dict[str, Auto]:
    """Return the default members without the network, without and with small trees."""
    default = members_of(Auto(kind="auto"), rows, rows)
    tried = tuple(member for member in default if not isinstance(member, Network))
    fewer = tuple(member for member in tried if member != slow_boosting())
    return {name: Auto(kind="auto", members=of) for name, of in ((WITHOUT, fewer), (WITH, tried))}


if __name__ == "__main__":
    main()
