"""What is removed is entered in the ledger, however much it is."""

import json

from factory_assets.execution.removals import removed_files
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger


def test_paths_as_long_as_they_get_have_room_in_their_entries(home: Home) -> None:
    longest = "tables/" + "/".join(("p" * 64, "q" * 64, f"{'0' * 64}-"))
    paths = [f"{longest}{number}.parquet" for number in range(10_000, 10_700)]
    Ledger(home).begin()
    Ledger(home).append(removed_files(paths, "nothing needs it any more"))
    with Ledger(home).reading() as log:
        entries = [json.loads(body) for _, body in log.bodies()]
    removed = [path for entry in entries for path in entry.get("paths", ())]
    assert removed == paths
