"""Find values of an erased person in declarations, and in partition keys that Dagster stores."""

from collections.abc import Mapping, Sequence

from factory_assets.erasure.plan import ErasurePlan
from factory_assets.spec import Pipeline
from factory_assets.spec.partitions import ListedPartitions
from factory_resources.erasure.search_terms import search_terms
from factory_resources.errors import DeclarationError
from factory_resources.home.home import Home
from factory_resources.tracking.records import Records


def require_undeclared(plan: ErasurePlan, pipelines: Sequence[Pipeline]) -> None:
    """Require that no declaration has a value of the person: the next run would store it again.

    Raises:
        DeclarationError: one has, or lists a partition that goes.
    """
    matcher = search_terms(plan.searched).in_files
    for pipeline in pipelines:
        gone = {*plan.partitions.get(pipeline.name, ())}
        dimensions = pipeline.spec.partitions.values()
        listed = [one.values for one in dimensions if isinstance(one, ListedPartitions)]
        named = any(gone.intersection(values) for values in listed)
        if named or any(matcher.find(pipeline.spec.model_dump_json().encode())):
            raise DeclarationError(
                "the declaration has a value of the person, which every run stores again",
                where=str(pipeline.folder / "defs.yaml"),
                remedy="remove it there first",
            )


def drop_dynamic_keys(
    partitions: Mapping[str, tuple[str, ...]], pipelines: Sequence[Pipeline], home: Home
) -> None:
    """Let Dagster forget the keys of dynamic dimensions that only erased partitions have."""
    named = [one for one in pipelines if one.name in partitions]
    if not named or not (home.dagster / "dagster.yaml").is_file():
        return
    import dagster as dg

    from factory_assets.components.partitions import drop_keys
    from factory_resources.instance import prepare

    prepare(home)
    with dg.DagsterInstance.get() as instance:
        for pipeline in named:
            left = Records(home).partitions(pipeline.name, "ingest")
            drop_keys(pipeline, partitions[pipeline.name], left, instance)
