"""`factory predict`: score a file with a pipeline's champion; write to a file or standard output.

Scoring itself belongs in `factory_assets.serving.batch`.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.cli.code_inside import output_inside, path_inside
from factory_assets.cli.output_file import whole_output
from factory_assets.cli.run_inside import factory_command
from factory_assets.cli.shared import select
from factory_assets.serving.broken_rules import rules_in
from factory_assets.spec import Pipeline, PythonSource
from factory_resources.errors import OUTPUT_REMEDY, DataError, ModelError
from factory_resources.home.home import Home, storage_errors
from factory_resources.ledger.factory_verify import amount

if TYPE_CHECKING:
    import pyarrow as pa

_FORMATS = (".csv", ".parquet")

_RULES = 5
"""How many rules are named that rows broke, those of most rows first."""


def predict_file(name: str, file: Path, out: Path | None) -> None:
    """Write one prediction for each row of `file`; to standard output, as CSV, if `out` is None.

    Raises:
        DataError: `out` ends neither in .csv nor in .parquet, or is `file`.
        ModelError: the pipeline has no model or no champion.
        FactoryError: the file cannot be read or scored, or the output cannot be written.
        Exit: a function of the user's had to be called inside a boundary, and that failed.
    """
    if out is not None and out.suffix not in _FORMATS:
        remedy = f"choose a name that ends in {' or '.join(_FORMATS)}"
        raise DataError(f"the output format of {out.name!r} is unknown", remedy=remedy)
    if out is not None and out.exists() and file.exists() and out.samefile(file):
        raise DataError(
            "is the file that is scored",
            where=str(out),
            remedy="choose another name for --out",
        )
    [pipeline], home = select([name]), Home.from_env()
    if pipeline.spec.train is None:
        raise ModelError(f"{name!r} has no model", remedy="declare `train`, or use its clean table")
    if out is not None:
        _require_writable(out)
    if _joins_functions(pipeline) and _predicted_inside(pipeline, file, out, home):
        return
    from factory_assets.data.privacy.sensitive_columns import redact_errors
    from factory_assets.serving.batch import JOINED, predict
    from factory_resources.tracking.registry import Registry

    with redact_errors(pipeline):
        scored = predict(pipeline, file, home)
    if moved := Registry(home).moved_alias(name):
        sys.stderr.write(f"{moved}\n")
    if JOINED in scored.column_names and scored.num_rows:
        sys.stderr.write(f"joined as they are now: {scored[JOINED][0].as_py()}\n")
    sys.stderr.write(_without_score(scored))
    if out is None:
        from pyarrow import csv

        csv.write_csv(scored, sys.stdout.buffer)
        sys.stdout.flush()
        return
    import pyarrow.csv
    import pyarrow.parquet

    write = pyarrow.parquet.write_table if out.suffix == ".parquet" else pyarrow.csv.write_csv
    with whole_output(out) as whole:
        write(scored, str(whole))


def _without_score(scored: pa.Table) -> str:
    """Tell in a line how many rows have no score, and how many broke which rule; or nothing."""
    reasons = scored["reason"].drop_null()
    if not len(reasons):
        return ""
    broken: Counter[str] = Counter()
    for each in reasons.value_counts().to_pylist():
        broken.update(dict.fromkeys(rules_in(each["values"]), each["counts"]))
    rules = ", ".join(f"{rows} {rule}" for rule, rows in broken.most_common(_RULES))
    more = ", …" * (len(broken) > _RULES)
    counted = f"{amount(scored.num_rows, 'rows')}: {scored.num_rows - len(reasons)} scored"
    return f"{counted}, {len(reasons)} not ({rules}{more})\n"


def _require_writable(out: Path) -> None:
    """Refuse before the rows are scored: their answers would be logged, which nobody gets."""
    with storage_errors(out, OUTPUT_REMEDY):
        is_new = not out.exists()
        if is_new or not out.is_fifo():
            out.open("ab").close()
        if is_new:
            # A link stays, and leads to the file that will be there.
            out.resolve().unlink()


def _joins_functions(pipeline: Pipeline) -> bool:
    """Whether a table that is joined to the rows is what a function of the user's returns."""
    joins = pipeline.spec.ingest.joins.values()
    return any(isinstance(join.source, PythonSource) for join in joins)


def _predicted_inside(pipeline: Pipeline, file: Path, out: Path | None, home: Home) -> bool:
    """Score it inside a boundary if there can be one; return whether it was.

    Only the home can be written there; the output is copied from it.
    """
    named = path_inside(file)
    with home.scratch() as scratch:
        written = scratch / f"predictions{out.suffix if out else '.csv'}"
        command = factory_command(["predict", f"--out={written}", "--", pipeline.name, str(named)])
        if output_inside(command, [pipeline], home, [named]) is None:
            return False
        if out is None:
            with written.open("rb") as content:
                shutil.copyfileobj(content, sys.stdout.buffer)
            sys.stdout.flush()
            return True
        with whole_output(out) as whole:
            shutil.copyfile(written, whole)
    return True
