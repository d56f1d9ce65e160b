"""The tree of a block is that of RFC 6962, over ids and digests of records."""

from hashlib import sha256

import pytest

from factory_resources.ledger.factory_verify import leaf_hash
from factory_resources.prediction_log.blocks import PredictionBlock
from factory_resources.prediction_log.ids import PredictionIds
from tests.factory_resources.ledger import trees
from tests.factory_resources.prediction_log.samples import payload


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 255, 256, 257, 700])
def test_the_root_is_that_of_another_implementation(count: int) -> None:
    ids = PredictionIds()
    block = PredictionBlock("b", [(ids.take(), payload(number)) for number in range(count)])
    leaves = [leaf_hash(one + sha256(content).digest()) for one, content in block.records]
    assert block.leaves == leaves
    assert block.root == trees.root(leaves)
    assert b"".join(block.tiles) == b"".join(leaves)
    assert {len(tile) for tile in block.tiles[:-1]} <= {256 * 32}
