"""The table that a Dagster asset of the code location last yielded, as a source."""

from dataclasses import replace
from pathlib import Path

from factory_assets.spec import AssetSource
from factory_assets.stages.found import Found, Place
from factory_resources.errors import SourceError
from factory_resources.sources.digest_cache import Digests
from factory_resources.sources.files.delimited_text import TextRules
from factory_resources.sources.files.discovery import File
from factory_resources.sources.files.reader import Raw, read_file
from factory_resources.tables.asset_tables import path_of


def found_asset(source: AssetSource, place: Place) -> Found:
    """Known by the digest of the table's bytes.

    Raises:
        SourceError: the asset was not materialised yet.
    """
    path = path_of(place.home, source.asset.split("/"))
    if not path.is_file():
        raise SourceError(
            "has not been materialised yet",
            where=f"asset {source.asset}",
            remedy="materialise it in the UI, or with: dagster asset materialize",
        )
    [there] = Digests(place.home).of_files((File(path, f"asset {source.asset}"),))

    def read(own: Path) -> Raw:
        raw = read_file(
            there.file,
            own,
            declared="parquet",
            rules=TextRules(None, True, (), "utf-8"),
            digest=there.sha256,
        )
        return replace(raw, format=None)

    return Found(there.sha256, {}, read, there.bytes, require_unchanged=there.require_unchanged)
