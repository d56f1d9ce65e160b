"""Statistics of the target: which words have them, their values, where they stand in the arrays."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.ml.features import target_statistics
from factory_assets.ml.features.columns import read_categories, read_words
from factory_assets.ml.features.features import Features, fit_features
from factory_assets.ml.features.fold_statistics import target_columns, with_statistics
from factory_assets.ml.features.target import fit_target
from factory_assets.ml.features.target_statistics import (
    MIN_ROWS,
    TargetStatistics,
    fit_statistics,
    word_places,
)
from tests.factory_assets.ml.models.cases import TASKS, pipeline, rows, towns

VOCABULARY = 50


def fitted(table: pa.Table, vocabulary: int = VOCABULARY, **train: Any) -> Features:
    declared = pipeline(Path(), {"kind": "linear"}, **{"categorical": ("town",), **train})
    features = fit_features(declared, table, vocabulary=vocabulary)
    folds = np.random.default_rng(99).integers(0, 5, table.num_rows)
    return with_statistics(features, table, fit_target(declared, table), folds)


def statistics_of(features: Features) -> TargetStatistics:
    [(category, statistics, _)] = features.statistics_places()
    assert category.name == "town"
    return statistics


@pytest.mark.parametrize("task", TASKS)
def test_a_word_without_a_code_has_its_smoothed_mean(task: str) -> None:
    table = towns(3000, 1, task)
    target = fit_target(pipeline(Path(), {"kind": "linear"}), table)
    features = fitted(table)
    found = statistics_of(features)
    learned = target_columns(target, target.values(table))
    assert learned is not None
    coded = {c.name: c for c in features.categorical}["town"].vocabulary
    words = read_words(table, "town")
    other = ~np.isin(words, coded)
    names, counts = np.unique(words[other].astype(str), return_counts=True)
    assert set(found.words) == set(names[(counts >= MIN_ROWS) & (names != "")])
    prior = learned[other].mean(axis=0)
    for word, mean in zip(found.words, found.means, strict=True):
        own = learned[words == word]
        m = 1 / np.array(found.shares)
        np.testing.assert_allclose(mean, (own.sum(axis=0) + m * prior) / (len(own) + m))
    assert found.columns == (2 if task == "multiclass" else 1)


@pytest.mark.parametrize("scaled", [False, True])
def test_statistics_stand_between_numbers_and_indicators(*, scaled: bool) -> None:
    table = towns(3000, 1)
    features = fitted(table)
    found = statistics_of(features)
    assert [n.name for n in features.numeric] == ["heat", "wear", "open"]
    coded = {c.name: c for c in features.categorical}["town"].vocabulary[0]
    words = [found.words[0], coded, None, "77", "never seen"]
    probe = rows(5, 1).append_column("town", pa.array([*words[:3], "99999999", words[4]]))
    arrays = features.arrays(probe, scaled=scaled)
    mean, sd = found.scales[0] if scaled else (0, 1)
    prior = (found.prior[0] - mean) / sd
    expected = [(found.means[0][0] - mean) / sd, *[prior] * 4]
    np.testing.assert_allclose(arrays.numbers[:, 3], expected, rtol=1e-4)
    assert set(arrays.numbers[:, 4]) <= {0, 1}
    assert arrays.numbers.shape[1] == features.width == 5
    assert arrays.codes[:, 1].tolist() == [0, 1, 0, 0, 0]


def test_standardised_statistics_have_mean_0_and_sd_1() -> None:
    table = towns(3000, 1, "multiclass")
    features = fitted(table)
    found = statistics_of(features)
    numbers = features.arrays(table, scaled=True).numbers[:, 3:5]
    has_word = word_places(read_categories(table, "town"), found.words) > 0
    np.testing.assert_allclose(numbers[has_word].mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(numbers[has_word].std(axis=0), 1, atol=1e-4)


def test_words_that_differ_by_chance_have_no_statistics() -> None:
    features = [fitted(towns(3000, seed, effect=0)) for seed in range(20)]
    assert sum(any(one.statistics_places()) for one in features) <= 1


@pytest.mark.parametrize("words", [30, 600])
def test_few_words_and_rare_words_have_no_statistics(words: int) -> None:
    count = 1800
    town = np.arange(count) % words
    table = rows(count, 1).append_column("town", pa.array(town))
    table = table.set_column(table.column_names.index("y"), "y", pa.array((town % 7 > 3) * 1))
    features = fitted(table)
    assert not any(features.statistics_places())
    assert "statistics" not in features.model_dump_json()


def test_a_target_of_many_classes_has_no_statistics() -> None:
    table = towns(3000, 1, "regression")
    ranks = np.argsort(np.argsort(table["y"].to_numpy()))
    for classes, has in ((11, True), (12, False)):
        of_rank = pa.array([f"c{rank * classes // 3000}" for rank in ranks])
        split = table.set_column(table.column_names.index("y"), "y", of_rank)
        assert any(fitted(split).statistics_places()) == has


@pytest.mark.parametrize(("between", "within"), [(1.0, 1.0), (0.3, 1.0)])
def test_smoothing_is_the_quotient_of_the_variances(between: float, within: float) -> None:
    chance = np.random.default_rng(1)
    word = np.repeat(np.arange(800), chance.integers(5, 30, 800))
    learned = chance.normal(0, between, 800)[word] + chance.normal(0, within, len(word))
    column = pa.array([f"w{i}" for i in word]).cast(pa.large_string()).dictionary_encode()
    found = fit_statistics(column, [], learned[:, None], np.arange(len(word)) % 5)
    assert found is not None
    assert found.shares[0] == pytest.approx((between / within) ** 2, rel=0.15)


def test_rows_of_one_word_may_all_have_the_same_target() -> None:
    word = np.repeat(np.arange(10), 6)
    column = pa.array([f"w{i}" for i in word]).cast(pa.large_string()).dictionary_encode()
    learned = (word % 2).astype(np.float64)[:, None]
    found = fit_statistics(column, ["w0"], learned, np.arange(60) % 5)
    assert found is not None
    assert sorted({round(mean, 3) for [mean] in found.means}) == [0, 1]


def test_a_column_in_which_words_do_not_differ_has_the_prior_for_all() -> None:
    word = np.repeat(np.arange(10), 60)
    column = pa.array([f"w{i}" for i in word]).cast(pa.large_string()).dictionary_encode()
    learned = np.stack([word % 2, np.arange(600) % 2], axis=1).astype(np.float64)
    found = fit_statistics(column, [], learned, np.arange(600) % 5)
    assert found is not None
    assert found.shares[1] == 0
    assert not found.table(scaled=True)[:, 1].any()


def test_the_most_frequent_words_have_statistics_and_the_empty_one_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(target_statistics, "MOST_WORDS", 3)
    word = [name for i, name in enumerate(("", "a", "b", "c", "d")) for _ in range(20 - i)]
    column = pa.array(word).cast(pa.large_string()).dictionary_encode()
    learned = np.array([[float(name in {"a", "c"})] for name in word])
    found = fit_statistics(column, [], learned, np.arange(len(word)) % 5)
    assert found is not None
    assert found.words == ("a", "b", "c")


def test_a_word_of_one_fold_has_no_statistics() -> None:
    word = np.repeat(np.arange(10), 6)
    column = pa.array([f"w{i}" for i in word]).cast(pa.large_string()).dictionary_encode()
    folds = np.where(word == 3, 2, np.arange(60) % 5)
    found = fit_statistics(column, ["w0"], (word % 2).astype(np.float64)[:, None], folds)
    assert found is not None
    assert set(found.words) == {f"w{i}" for i in range(1, 10)} - {"w3"}


def test_features_that_were_stored_without_statistics_are_read(tmp_path: Path) -> None:
    features = fitted(towns(3000, 1))
    assert Features.model_validate_json(features.model_dump_json()) == features
    stored = json.loads(features.model_dump_json())
    for category in stored["categorical"]:
        category.pop("statistics", None)
    read = Features.model_validate(stored)
    assert not any(read.statistics_places())
    probe = towns(50, 2)
    now, before = (one.arrays(probe, scaled=True) for one in (features, read))
    np.testing.assert_array_equal(now.codes, before.codes)
    np.testing.assert_array_equal(np.delete(now.numbers, 3, axis=1), before.numbers)
