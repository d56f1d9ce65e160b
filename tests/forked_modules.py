"""What processes that tests fork begin with: imports that take seconds, and what is kept of them.

The garbage collector leaves all of it alone: to look through it in each process would copy the
memory that was forked.
"""

import gc
import importlib

from factory_assets.results.stages import STAGES
from factory_resources.dagster_databases import ask_less
from tests.kept_plots import keep_plots
from tests.library_tables import copy_tables, keep_migrations
from tests.quick_keys import make_keys_quickly
from tests.shared_homes import shared_folder

_IMPORTED = (
    "factory_assets.cli.dagster_run",
    "factory_assets.cli.main",
    "factory_assets.cli.predict",
    "factory_assets.cli.run",
    "factory_assets.definitions",
    "factory_assets.ml.models.trees.skops_io",
    "factory_resources.instance",
    *(f"factory_assets.stages.{stage}" for stage in STAGES),
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
    "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage",
    "deltalake",
    "duckdb",
    "matplotlib.pyplot",
    "mlflow.onnx",
    "mlflow.store.tracking.sqlalchemy_store",
    "onnxruntime",
    "pandas",
    "pytest",
    "rich.table",
    "scipy.stats",
    "skl2onnx",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "tests.pipelines",
)
"""What a run imports, and modules of tests whose functions are run."""

gc.disable()
for _name in _IMPORTED:
    importlib.import_module(_name)
ask_less()
keep_migrations()
copy_tables(shared_folder())
keep_plots(shared_folder())
make_keys_quickly()
gc.freeze()
gc.enable()
