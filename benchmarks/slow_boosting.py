"""`auto` with and without boosting of many small trees, judged on new rows.

    python -m benchmarks.slow_boosting [classes] [numbers] [--rows N]

The tables are those of `benchmarks.tolerance`, drawn and judged as there. The network is left out,
which takes most of the time.
"""

from benchmarks.tolerance import compare
from factory_assets.ml.models.portfolio.defaults import members_of, slow_boosting
from factory_assets.spec.models import Auto, Network

WITHOUT, WITH = "without small trees", "with small trees"


def main() -> None:
    compare(portfolios, WITHOUT)


def portfolios(rows: int) -> dict[str, Auto]:
    """Return the default members without the network, without and with small trees."""
    default = members_of(Auto(kind="auto"), rows, rows)
    tried = tuple(member for member in default if not isinstance(member, Network))
    fewer = tuple(member for member in tried if member != slow_boosting())
    return {name: Auto(kind="auto", members=of) for name, of in ((WITHOUT, fewer), (WITH, tried))}


if __name__ == "__main__":
    main()
