"""A model that is trained anew differs from the old one by the erased row alone."""

from pathlib import Path

import numpy as np
import pytest

from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.ml.artifacts.trained_model import TrainedModel, load_trained
from factory_assets.results.data import IngestResult, SplitResult
from factory_assets.results.model import Candidate
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import read_arrow
from tests.erasures import PEOPLE, PERSON, ROW, note_erased, people_rows, write_people
from tests.pipelines import declare

pytestmark = pytest.mark.slow


def _trained(folder: Path, home: Home) -> tuple[IngestResult, SplitResult, TrainedModel]:
    attributes = {**PEOPLE, "train": {**PEOPLE["train"], "exclude": ["nbr", "name", "double"]}}
    pipeline = declare(folder, attributes)
    ingested, _, split, candidate = (
        run_stage(StageRequest(pipeline, stage, home, "run")).value
        for stage in ("ingest", "clean", "split", "train")
    )
    assert isinstance(ingested, IngestResult)
    assert isinstance(split, SplitResult)
    assert isinstance(candidate, Candidate)
    return ingested, split, load_trained(candidate, home, folder)


def test_it_equals_a_model_of_a_file_that_never_had_the_row(tmp_path: Path) -> None:
    """The row is the last one, so that the others have the same numbers without it."""
    rows = people_rows()
    rows.append(rows.pop(ROW - 1))
    write_people(tmp_path / "people", rows)
    home, other = Home(tmp_path / "home"), Home(tmp_path / "other")
    ingested, split, before = _trained(tmp_path / "people", home)
    names = read_arrow(split.train, home)["nbr"].to_pylist()
    assert PERSON in names
    note_erased(home, {ingested.sources[0].sha256: [len(rows)]}, pipeline="people")
    _, after_split, after = _trained(tmp_path / "people", home)
    write_people(tmp_path / "people", rows[:-1])
    _, other_split, by_hand = _trained(tmp_path / "people", other)
    for part in ("train", "validation", "test"):
        parts = [
            read_arrow(getattr(one, part), where)["nbr"].to_pylist()
            for one, where in ((after_split, home), (other_split, other))
        ]
        assert parts[0] == parts[1]
    test = read_arrow(after_split.test, home)
    outputs = [
        one.model.outputs(one.features.arrays(test, scaled=one.model.scaled))
        for one in (before, after, by_hand)
    ]
    assert np.array_equal(outputs[1], outputs[2])
    assert not np.array_equal(outputs[0], outputs[1])
    # The city that only the person lived in is no category any more.
    assert "Xyzzyville" in str(before.features)
    assert after.features == by_hand.features
    assert "Xyzzyville" not in str(after.features)
