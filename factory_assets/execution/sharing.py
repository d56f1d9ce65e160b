"""What of a pipeline's results is put into the factory's store, and what stays in the home.

What the store is belongs in `factory_resources.store`. Without one, nothing more is imported.
"""

from factory_assets.results.base import StageResult
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.model import Candidate, Champion
from factory_assets.results.record_graph import snapshots_in
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from factory_resources.store.location import declared_store


def is_shared(pipeline: Pipeline) -> bool:
    """Whether results of the pipeline go to the factory's store, if it has one."""
    if declared_store() is None:
        return True
    from factory_assets.execution.unshared_columns import unshared_columns

    return not unshared_columns(pipeline)


def is_in_place(pipeline: Pipeline, home: Home) -> bool:
    """Whether the results of the pipeline are in the store, or at home, as it declares now.

    The next run moves them otherwise, though nothing else may have changed.
    """
    if declared_store() is None:
        return True
    from factory_resources.tables.carrying_over import stays_at_home

    return is_shared(pipeline) != stays_at_home(home, pipeline.name)


def catch_up_pipeline(pipeline: Pipeline, home: Home, *, whole: bool) -> None:
    """Fetch what other homes have stored; what must stay at home is taken out of the store first.

    Args:
        whole: whether that of other pipelines is fetched too, which this one may read.

    Raises:
        StorageError: the store cannot be used.
    """
    if declared_store() is None:
        return
    from factory_resources.store.store import shared_store
    from factory_resources.tables.carrying_over import keep_pipeline, share_pipeline
    from factory_resources.tables.shared_log import catch_up

    store = shared_store(home)
    assert store is not None
    store.is_claimed()
    store.record()
    if is_shared(pipeline):
        share_pipeline(store, pipeline.name)
    else:
        keep_pipeline(store, pipeline.name)
    catch_up(home, None if whole else pipeline.name)


def share_files(pipeline: Pipeline, value: StageResult, home: Home) -> None:
    """Put the files that a result names into the factory's store, unless they stay at home.

    The log of a table names them afterwards: killed before, it leaves files that nothing needs.

    Raises:
        StorageError: the store cannot be used, or belongs to another factory.
    """
    if declared_store() is None:
        return
    from factory_assets.execution.ledger_entries import begin_ledger
    from factory_resources.store.store import shared_store

    store = shared_store(home)
    assert store is not None
    begin_ledger(home)
    # Also if all stays here: other homes know by it that this is the factory's store.
    store.claim()
    if not is_shared(pipeline):
        return
    paths = {
        path: None
        for snapshot in snapshots_in(value.model_dump(mode="json"))
        for path in snapshot.paths(home)
    }
    store.upload([*paths])
    if isinstance(value, Candidate | EvaluationResult | Champion):
        from factory_resources.tracking.registry import Registry

        about = value.candidate if isinstance(value, EvaluationResult) else value
        registry = Registry(home)
        version = registry.version(about.model, about.version)
        for folder in (registry.run_files(about.model, about.run_id), version.files):
            store.upload_folder(folder)
    if isinstance(value, EvaluationResult):
        for folder in {(home.pictures / name).parent for name in value.pictures.values()}:
            store.upload_folder(folder)
