"""The benchmark of hashed categories: what a network reads, and the figures."""

import pandas as pd
import pytest

from benchmarks.hashed_categories import READINGS, as_read, bucket, measured, simulated


def test_only_words_without_a_code_have_a_bucket_and_unseen_ones_have_none() -> None:
    training = pd.DataFrame({"word": ["a", "a", "b", "b", "c"], "y": 0})
    test = pd.DataFrame({"word": ["a", "c", "never seen", None], "y": 0})
    read = {
        reading: as_read((training, test), reading, 8, codes=2)[1].drop(columns="y").fillna("")
        for reading in READINGS
    }
    words = ["a", "c", "never seen", ""]
    coded = ["a", "", "", ""]
    buckets = ["", f"bucket {bucket('c', 8)}", "", ""]
    assert read["statistics"].to_dict("list") == {"word": words}
    assert read["neither"].to_dict("list") == {"word": coded}
    assert read["buckets"].to_dict("list") == {"word": coded, "word bucket": buckets}
    assert read["both"].to_dict("list") == {"word": words, "word bucket": buckets}


def test_a_word_has_the_same_bucket_in_every_process() -> None:
    assert [bucket(word, 64) for word in ("N14228", "münchen", "")] == [24, 32, 52]


@pytest.mark.slow
def test_buckets_say_something_of_words_and_every_reading_is_judged() -> None:
    found = measured(simulated(500, "shift", 0, rows=2_000), "mlp", 0, 16, epochs=1)
    assert found.keys() == set(READINGS)
    assert found["buckets"] != found["neither"]
    assert all(0.5 < auc < 1 and 0 < loss < 1 for auc, loss in found.values())
