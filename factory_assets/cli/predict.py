"""`factory predict`: score a file with a pipeline's champion, into a file or onto the terminal."""

import sys
from pathlib import Path

from factory_assets.cli.shared import select
from factory_resources.errors import DataError, ModelError
from factory_resources.home.home import Home, storage_errors

_FORMATS = (".csv", ".parquet")


def predict_file(name: str, file: Path, out: Path | None) -> None:
    """Write one line a row of `file`, as CSV to standard output where `out` is None.

    Raises:
        FactoryError: the pipeline, the file or the champion is not what it should be.
    """
    if out is not None and out.suffix not in _FORMATS:
        raise DataError(f"cannot write {out.name!r}", remedy=f"end it in {' or '.join(_FORMATS)}")
    [pipeline] = select([name])
    if pipeline.spec.train is None:
        raise ModelError(f"{name!r} has no model", remedy="declare `train`, or read its table")
    from factory_assets.data.privacy.sensitive_columns import redact_errors
    from factory_assets.serving.batch import predict

    with redact_errors(pipeline):
        scored = predict(pipeline, file, Home.from_env())
    if out is None:
        from pyarrow import csv

        csv.write_csv(scored, sys.stdout.buffer)
        return
    import pyarrow.csv
    import pyarrow.parquet

    write = pyarrow.parquet.write_table if out.suffix == ".parquet" else pyarrow.csv.write_csv
    with storage_errors(out):
        write(scored, str(out))
