"""What the runs of pipelines may reach: the boundary that the factory puts around them.

The boundary itself belongs in `factory_resources.boundary`, its reports in `boundary_reports`.
"""

import os
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from factory_assets.data.sources.local_paths import local_paths
from factory_assets.declarations.declared_paths import declared_paths
from factory_assets.declarations.folders import (
    defs_folders,
    folders_by_name,
    named_folders,
    settings_file,
)
from factory_assets.declarations.loader import load_pipeline
from factory_assets.declarations.settings import load_settings
from factory_assets.execution.boundary_level import declared_level
from factory_assets.execution.boundary_reports import reports_folder
from factory_assets.execution.cache_key import user_references
from factory_assets.execution.people import store_salts
from factory_assets.execution.workers.settings import cluster_of
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline
from factory_assets.spec.boundary import BoundaryRules
from factory_assets.spec.settings import AlertChannel
from factory_resources.boundary.addresses import join_address, split_address
from factory_resources.boundary.boundary import Boundary
from factory_resources.compute.ray_cluster import token_file
from factory_resources.encoders.sentence_encoder import DEFAULT_ENCODER, FILES, encoder_folder
from factory_resources.errors import FactoryError
from factory_resources.home.database import server_address
from factory_resources.home.database_client import client_files, client_hosts
from factory_resources.home.home import PROJECT, Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.security.secrets import folder as secrets_folder
from factory_resources.sources.files.discovery import expand
from factory_resources.store.location import declared_store

_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables of the environment that say whose certificates are trusted."""

_DIAL_SECONDS = 10
"""Within which one of several database servers must accept a connection."""


def pipelines_of(names: Iterable[str]) -> list[Pipeline]:
    """Return the pipelines of these names; others are of assets that no pipeline declares.

    Raises:
        DeclarationError: one of them does not load.
    """
    folders = folders_by_name()
    return [load_pipeline(folders[name]) for name in sorted({*names} & {*folders})]


def run_boundary(
    pipelines: Sequence[Pipeline], home: Home, *, looks: bool = False, workers: str = ""
) -> Boundary:
    """Return the boundary of a run of these pipelines.

    Args:
        looks: whether the run looks at answers, and may have to tell people of alarms.
        workers: who works on partitions, as FACTORY_WORKERS says it; a cluster is reached.

    Raises:
        DeclarationError: `factory.yaml` is wrong.
    """
    declared = load_settings()
    settings = declared.settings if declared else None
    of_factory = settings.boundary if settings else None
    rules = [pipeline.spec.boundary for pipeline in pipelines]
    level = declared_level(pipelines)
    channels = settings.alerts if settings and looks else ()
    allow = [address for one in (of_factory, *rules) if one for address in one.allow]
    cluster = cluster_of(workers) if workers else ""
    allow += [*channel_addresses(channels), *_of_database(), *_of_store()]
    allow += [cluster] if cluster else []
    readable = [*_of_factory(home), *_of_commands(channels)]
    readable += _of_rules(of_factory, settings_file().parent)
    for pipeline in pipelines:
        readable += _of_rules(pipeline.spec.boundary, pipeline.folder)
        readable += [*_of_encoders(pipeline), *_of_packages(pipeline)]
    readable += [token_file()] if cluster and token_file().is_file() else []
    readable += [path for pipeline in pipelines for path in local_paths(pipeline, home)]
    return Boundary(
        allow=tuple(dict.fromkeys(allow)),
        writable=(home.path,),
        readable=tuple(_outermost(readable, home)),
        kept=tuple(_kept(home)),
        level="off" if level == "none" else level,
    )


def _outermost(paths: Iterable[Path], home: Home) -> Iterator[Path]:
    """Yield the paths that are in no other, nor in the home or with Python, in order."""
    shown = [home.path, Path(sys.prefix), Path(sys.base_prefix)]
    for path in sorted({name for given in paths for name in _names(given)}):
        if path != Path(path.anchor) and not any(path.is_relative_to(one) for one in shown):
            shown.append(path)
            yield path


def _names(path: Path) -> Iterator[Path]:
    """Yield a path without `..`, and what it is called behind each symbolic link on its way.

    `defs/apples/../../a.csv` is not in the folder `defs`, nor is what a link in there leads to.
    """
    at = Path(path.anchor)
    for number, part in enumerate(path.parts[1:], 2):
        at = at.parent if part == ".." else at / part
        if os.path.islink(at) and os.path.exists(path):
            rest = path.parts[number:]
            if ".." not in rest:
                yield at.joinpath(*rest)
            yield from _names(at.parent.joinpath(at.readlink(), *rest))
            return
    yield at


def _kept(home: Home) -> Iterator[Path]:
    """Yield what a run must not change: what somebody outside reads as settings or evidence."""
    folder = reports_folder(home)
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    kept = [home.dagster / "dagster.yaml", home.path / "workspace.yaml"]
    kept += [one for one in defs_folders() if one != home.path and one.is_relative_to(home.path)]
    if Ledger(home).exists:
        # Before, the first run makes the key of the ledger there.
        store_salts(home)
        kept.append(home.path / "secrets")
    yield from (path for path in kept if path.exists())


def _of_factory(home: Home) -> Iterator[Path]:
    """Yield where code, declarations and secrets are."""
    paths = [PROJECT, *named_folders(), *declared_paths(), settings_file().parent]
    paths += [secrets_folder(home)]
    paths += [Path(expand("${FACTORY_DATA}")), *_modules()]
    paths += [Path(os.environ[name]) for name in _CERTIFICATES if name in os.environ]
    if (address := server_address()) is not None:
        paths += [Path(host) for host, _ in client_hosts(address) if host.startswith("/")]
        paths += client_files(address)
    for path in paths:
        if path.is_absolute() and os.path.exists(path):
            yield path


def _modules() -> Iterator[Path]:
    """Yield where Python looks for modules; not the present folder, which `python -m` adds.

    Of a service, that is the home of its user, or the root of all folders.
    """
    try:
        present = os.getcwd()
    except FileNotFoundError:
        present = ""
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    yield from (Path(path) for path in sys.path if path and (path != present or path in named))


def _of_rules(rules: BoundaryRules | None, folder: Path) -> Iterator[Path]:
    for text in rules.readable if rules else ():
        yield folder / os.path.expanduser(expand(text))


def _of_encoders(pipeline: Pipeline) -> Iterator[Path]:
    """Yield the folders of the encoders that read texts for the model, and their files.

    A file may be a link, as in the cache of a hub.
    """
    declared = pipeline.spec.train.text if pipeline.spec.train else {}
    for name in [DEFAULT_ENCODER] if declared is None else declared.values():
        with suppress(FactoryError):
            folder = encoder_folder(name)
            yield from (folder, *(folder / file for file in FILES))


def _of_packages(pipeline: Pipeline) -> Iterator[Path]:
    """Yield where the packages are that a pipeline names.

    One that was installed to be edited may be in no folder in which Python looks for modules.
    """
    stages: tuple[Stage, ...] = ("ingest", "train") if pipeline.spec.train else ("ingest",)
    named = [one for stage in stages for one in user_references(pipeline, stage)]
    for package in sorted({one.partition(":")[0].partition(".")[0] for one in named}):
        with suppress(ImportError, ValueError):
            if spec := find_spec(package):
                paths = spec.submodule_search_locations or filter(None, [spec.origin])
                yield from (Path(path) for path in paths if os.path.isabs(path))


def _of_commands(channels: Sequence[AlertChannel]) -> Iterator[Path]:
    """Yield the programs that tell people of alarms, and the files that they are given."""
    words = (Path(word) for channel in channels for word in channel.command or ())
    yield from (path for path in words if path.is_absolute() and path.exists())


def _of_database() -> Sequence[str]:
    """Return the addresses of the factory's own database servers that are on a network.

    Of several, those that are away are left out: inside, a connection to an allowed address is
    accepted before anybody has dialled it, and the client library tries the next server only if
    the first one does not accept.
    """
    address = server_address()
    hosts = client_hosts(address) if address is not None else ()
    servers = [join_address(host, port) for host, port in hosts if not host.startswith("/")]
    if len(servers) == 1:
        return servers
    return [one for one in servers if _accepts(one)] or servers


def _accepts(server: str) -> bool:
    try:
        socket.create_connection(split_address(server), _DIAL_SECONDS).close()
    except (OSError, UnicodeError):
        return False
    return True


def _of_store() -> Iterator[str]:
    """Yield the address of the factory's own store, if it has one."""
    if store := declared_store():
        yield join_address(store.host, store.port)


def channel_addresses(channels: Sequence[AlertChannel]) -> Iterator[str]:
    """Yield the address of each webhook and mail server."""
    for channel in channels:
        if channel.webhook:
            parts = urlsplit(channel.webhook.url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
            yield join_address(parts.hostname or "", port)
        if channel.email:
            yield join_address(channel.email.host, channel.email.port)
