"""Run `make demo` after set-up, in a fresh home."""

import tempfile

from benchmarks.measure import FACTORY, Result, measure

SECONDS, MEGABYTES = 90.0, 1536.0


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as home:
        used = measure([FACTORY, "demo"], {"FACTORY_HOME": home})
    return [
        Result(
            "make demo",
            f"wall {used.wall:.1f} s, CPU {used.cpu:.1f} s, peak {used.megabytes:,.0f} MB",
            f"wall <= {SECONDS:g} s, peak <= {MEGABYTES:,.0f} MB",
            used.wall <= SECONDS and used.megabytes <= MEGABYTES,
        )
    ]
