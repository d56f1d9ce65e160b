"""`factory k8s render` and `factory k8s check`: manifests for a cluster of Kubernetes.

What they contain, and what is not accepted, belongs in `factory_resources.compute`. Nothing here
asks a cluster.
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from factory_assets.cli.gc import RETENTION_VARIABLE
from factory_assets.cli.service.install import AMOUNTS, named_by_declarations
from factory_assets.declarations.loader import load_pipeline, pipeline_folders
from factory_assets.declarations.people import has_people_file, people_file
from factory_assets.declarations.settings import FILE, load_settings
from factory_assets.execution.boundary_level import declared_level
from factory_assets.execution.run_boundary import channel_addresses
from factory_assets.execution.workers.settings import WORKERS_VARIABLE, cluster_of, workers_of
from factory_assets.spec import Pipeline
from factory_assets.spec.settings import FactorySettings
from factory_resources.boundary.addresses import join_address
from factory_resources.compute.cluster import (
    Cluster,
    PeerAddress,
    RunPlace,
    known_names,
    peer_addresses,
)
from factory_resources.compute.manifests import HEADER, KUSTOMIZATION, SHELL, render_files
from factory_resources.compute.pods import Manifest, variables_of
from factory_resources.compute.policy import policy_violations
from factory_resources.durations import seconds_of
from factory_resources.errors import OUTPUT_REMEDY, DeclarationError, SettingError
from factory_resources.home.database import DATABASE_VARIABLE
from factory_resources.home.disk_space import KEEP_VARIABLE, bytes_of
from factory_resources.home.home import storage_errors
from factory_resources.metering.meter import Rates
from factory_resources.store.location import (
    ENDPOINT_VARIABLE,
    REGION_VARIABLE,
    STORE_VARIABLE,
    declared_store,
)

_MEMORY = re.compile(r"\d+(\.\d+)?\s*[KMGT]i?B", re.IGNORECASE)


@dataclass(frozen=True)
class ClusterOptions:
    """The options of `factory k8s render`, as they were given."""

    image: str
    host: str
    namespace: str
    tls_secret: str
    runs: RunPlace
    storage: str
    storage_class: str | None
    shared: bool
    cores: str
    memory: str
    gpus: int
    database_secret: str | None
    database: str | None
    store_secret: str | None
    addresses: tuple[str, ...]
    """Each `NAME=IP`."""
    api_servers: tuple[str, ...]
    visitors: tuple[str, ...]


def chosen_cluster(options: ClusterOptions) -> Cluster:
    """Return what options, `factory.yaml`, declarations and the environment say of a cluster.

    Raises:
        SettingError: an option or a setting of the environment is wrong, or a name has no address.
        StorageError, UnknownNameError: so is FACTORY_DISK_KEEP, or FACTORY_KEEP.
        DeclarationError: a declaration or `factory.yaml` is wrong.
    """
    known = known_names(options.addresses)
    declared = load_settings()
    settings = declared.settings if declared else FactorySettings()
    database: tuple[PeerAddress, ...] = ()
    if options.database:
        database = peer_addresses([options.database], known, option="--database")
    return Cluster(
        image=options.image,
        host=options.host,
        namespace=options.namespace,
        tls_secret=options.tls_secret,
        runs=options.runs,
        storage=options.storage,
        storage_class=options.storage_class,
        shared=options.shared,
        cores=options.cores,
        memory=options.memory,
        gpus=options.gpus,
        database_secret=options.database_secret,
        database=database[0] if database else None,
        store_secret=options.store_secret,
        store=_storage(known),
        outgoing=_outgoing(settings, known),
        logins=peer_addresses(_logins(settings), known, option=f"{FILE}, login"),
        api_servers=peer_addresses(options.api_servers, known, option="--api-server"),
        visitors=options.visitors,
        variables={**_amounts(), **_store_variables()},
    )


def write_base(cluster: Cluster, folder: Path) -> Iterator[str]:
    """Write the manifests as a base for kustomize, and yield what to say about them.

    Raises:
        SettingError: a file of somebody else would be replaced.
        StorageError: the folder cannot be written.
    """
    files = render_files(cluster)
    for name in files:
        if (folder / name).exists() and not _is_ours(folder / name):
            raise SettingError(
                "factory k8s render did not write this file",
                where=str(folder / name),
                remedy="move it away, or name another folder with --out",
            )
    with storage_errors(folder, OUTPUT_REMEDY):
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("*.yaml"):
            if _is_ours(path):
                path.unlink()
        for name, content in files.items():
            (folder / name).write_text(content, encoding="utf-8")
    yield f"wrote {', '.join(files)} to {folder}"
    yield "no cluster has run them yet: try them in a namespace of their own"
    yield from _next(cluster, folder)


def base_text(cluster: Cluster) -> str:
    """Return the objects of the base as one text, for `kubectl apply -f -`."""
    files = render_files(cluster)
    return "---\n".join(files[name] for name in files if name not in (KUSTOMIZATION, SHELL))


def warnings(cluster: Cluster, options: ClusterOptions) -> Iterator[str]:
    """Yield what will not work as it is declared, or is of no use.

    Raises:
        DeclarationError: a declaration is wrong.
    """
    if not has_people_file():
        yield f"nobody can log in: there is no {people_file()}"
    required = [one.name for one in _pipelines() if declared_level([one]) == "required"]
    if required:
        yield (
            f"a boundary is required ({', '.join(required)}), and the usual filter of system calls "
            "in a pod allows no namespaces: these runs are refused; docs/kubernetes.md says what "
            "allows them"
        )
    if unused := _unused(options, cluster):
        yield f"no declaration names {', '.join(unused)}: leave out its --address"
    if unset := sorted({*named_by_declarations()} - {*variables_of(cluster)}):
        yield (
            f"pipelines name {', '.join(unset)}, which no pod has: add it to their variables in an "
            "overlay"
        )
    if os.environ.get(DATABASE_VARIABLE) and cluster.database_secret is None:
        yield (
            f"{DATABASE_VARIABLE} is set here, but without --database-secret the databases in the "
            "cluster are files of the volume"
        )
    if cluster.runs == "pods" and cluster.database is None:
        yield "all pods must be on the node that has the volume: there is no --database"


def _unused(options: ClusterOptions, cluster: Cluster) -> list[str]:
    """Return the names whose addresses no rule of the network needs."""
    peers = (*cluster.peers, *cluster.logins, *cluster.api_servers)
    return sorted({*known_names(options.addresses)} - {peer.host for peer in peers})


def violations(files: Iterable[Path]) -> list[str]:
    """Return what the factory does not accept of the objects in these files.

    Raises:
        DeclarationError: one of them is no YAML of Kubernetes.
    """
    return policy_violations([one for file in files for one in _objects(file)])


def _objects(file: Path) -> list[Manifest]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        found = [one for one in yaml.safe_load_all(text) if one is not None]
        return [single for one in found for single in _single_objects(one, file)]
    except OSError as error:
        raise _not_kubernetes(file, error.strerror or str(error)) from error
    except (ValueError, yaml.YAMLError) as error:
        # Not all that is no YAML is such an error: there is no day such as 2024-02-30.
        raise _not_kubernetes(file, str(error).splitlines()[0]) from error
    except RecursionError as error:
        raise _not_kubernetes(file, "it is nested too deeply") from error


def _single_objects(one: object, file: Path) -> Iterator[Manifest]:
    """Yield an object, or what a `List` has, such as one that `kubectl get -o yaml` prints."""
    if not isinstance(one, dict) or not isinstance(one.get("kind"), str):
        raise _not_kubernetes(file, "an object without kind")
    if one["kind"].endswith("List") and isinstance(one.get("items"), list):
        for item in one["items"]:
            yield from _single_objects(item, file)
    else:
        yield one


def _not_kubernetes(file: Path, why: str) -> DeclarationError:
    return DeclarationError(
        f"no manifests can be read from it ({why})",
        where=str(file),
        remedy="give what kubectl kustomize prints",
    )


def _amounts() -> dict[str, str]:
    """Return the settings of the environment for all pods; a wrong one would end them later."""
    chosen = {name: os.environ[name] for name in AMOUNTS if os.environ.get(name)}
    Rates.from_env()
    if cluster_of():
        raise SettingError(
            "the network policies let no pod reach a Ray cluster",
            where=WORKERS_VARIABLE,
            remedy="unset it, or set it to a number of processes",
        )
    workers_of()
    if KEEP_VARIABLE in chosen:
        bytes_of(chosen[KEEP_VARIABLE])
    if RETENTION_VARIABLE in chosen:
        seconds_of(chosen[RETENTION_VARIABLE], RETENTION_VARIABLE)
    if (memory := chosen.get("FACTORY_MEMORY")) and not _MEMORY.fullmatch(memory):
        raise SettingError(
            f"{memory!r} is not an amount of memory",
            where="FACTORY_MEMORY",
            remedy="set it to an amount such as 2GB",
        )
    return chosen


def _storage(known: dict[str, str]) -> PeerAddress | None:
    """Return where the storage of FACTORY_STORE answers; None without one."""
    store = declared_store()
    if store is None:
        return None
    address = join_address(store.host, store.port)
    [found] = peer_addresses([address], known, option=ENDPOINT_VARIABLE)
    return found


def _store_variables() -> dict[str, str]:
    """Return the settings by which all pods find the store."""
    store = declared_store()
    if store is None:
        return {}
    return {
        STORE_VARIABLE: store.address,
        ENDPOINT_VARIABLE: store.endpoint,
        REGION_VARIABLE: store.region,
    }


def _pipelines() -> list[Pipeline]:
    return [load_pipeline(folder) for folder in pipeline_folders()]


def _outgoing(settings: FactorySettings, known: dict[str, str]) -> tuple[PeerAddress, ...]:
    allowed = [*(settings.boundary.allow if settings.boundary else ())]
    found = [*peer_addresses(allowed, known, option=f"{FILE}, boundary")]
    found += peer_addresses(channel_addresses(settings.alerts), known, option=f"{FILE}, alerts")
    for pipeline in _pipelines():
        rules = pipeline.spec.boundary
        where = f"{pipeline.name}, boundary"
        found += peer_addresses(rules.allow if rules else (), known, option=where)
    return tuple(dict.fromkeys(found))


def _logins(settings: FactorySettings) -> Sequence[str]:
    provider = settings.login.oidc if settings.login else None
    if provider is None:
        return ()
    parts = urlsplit(provider.issuer)
    return (join_address(parts.hostname or "", parts.port or 443),)


def _is_ours(file: Path) -> bool:
    return file.read_text(encoding="utf-8", errors="replace").startswith(HEADER)


def _next(cluster: Cluster, folder: Path) -> Iterator[str]:
    control = f"kubectl -n {cluster.namespace}"
    yield "next:"
    yield f"  kubectl apply -f {folder}/namespace.yaml"
    yield f"  {control} create secret tls {cluster.tls_secret} --cert CERTIFICATE --key KEY"
    if cluster.database_secret:
        secret = f"secret generic {cluster.database_secret}"
        yield f"  {control} create {secret} --from-file url=FILE_WITH_THE_ADDRESS"
    if cluster.store_secret:
        secret = f"secret generic {cluster.store_secret}"
        yield f"  {control} create {secret} --from-file access-key=FILE --from-file secret-key=FILE"
    yield f"  kubectl apply -k {folder}"
    yield f"  kubectl apply -f {folder}/{SHELL}    # for the first password, and then remove it:"
    yield f"  {control} exec -it factory-shell -- python -m factory_assets.cli password NAME"
    yield f"  {control} delete pod factory-shell"
