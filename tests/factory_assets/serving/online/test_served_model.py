"""Rows of requests get bit for bit what the same rows in a file get, for every kind of model."""

import json
from contextlib import closing
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from factory_assets.serving.online import missing_inputs
from factory_assets.serving.online.answers import explanations
from factory_assets.serving.online.column_request import ColumnRequest
from factory_assets.serving.online.input_shift import InputShift
from factory_assets.serving.online.request_rows import CompiledRequest, ObjectRequest
from factory_assets.serving.online.served_model import ServedModel
from factory_assets.spec import Windows
from factory_resources.errors import ContractError, ExpressionError
from factory_resources.prediction_log.logged_rows import columns_logged
from factory_resources.sql.scalar.values import UndecidedError
from tests.factory_assets.ml.models.cases import KINDS, SEQUENCES, TASKS
from tests.factory_assets.ml.models.custom.test_estimator import OWN
from tests.factory_assets.serving.cases import Deployed, served_by
from tests.long_run import in_long

pytestmark = pytest.mark.slow

CONTRACT: list[dict[str, Any]] = [
    {"name": "heat", "from": "Heat [K]", "type": "float64", "range": [-1000, 1000]},
    {"name": "wear", "type": "float64", "nullable": False, "missing": "-1"},
    {"name": "steps", "type": "int64", "range": [0, 1_000_000]},
    {"name": "colour", "type": "string", "missing": "?"},
    {"name": "grade", "type": "string", "values": ["a", "b"]},
    {"name": "open", "type": "bool"},
    {"name": "label", "type": "string"},
]

SPEC: dict[str, Any] = {
    "purpose": "test",
    "ingest": {"source": {"files": "rows.jsonl"}, "contract": CONTRACT},
    "clean": {
        "where": {"worn": "wear >= 0 OR heat > 0", "known": "colour <> 'void'"},
        "derive": {"power": "heat * steps / 7", "hot": "heat > 50 AND wear > 1"},
    },
    "train": {"target": "label", "seed": 3},
}


def records(count: int, seed: int, task: str = "binary") -> list[dict[str, Any]]:
    """Return rows as a caller would send them, with gaps."""
    chance = np.random.default_rng(seed)
    found = []
    for i in range(count):
        heat, wear = float(chance.normal(50, 10)), float(chance.exponential(2))
        colour = str(chance.choice(["red", "green", "blue", "?"]))
        score = (heat - 50) / 10 + wear * (colour == "red") - 1
        target: Any = {
            "binary": str(int(score > 0)),
            "multiclass": ["low", "mid", "top"][int(np.digitize(score, [-0.5, 0.5]))],
            "regression": score * 100,
        }[task]
        found.append(
            {
                "Heat [K]": None if i % 11 == 3 else round(heat, 4),
                "wear": wear,
                "steps": int(chance.integers(0, 1000)),
                "colour": None if i % 13 == 5 else colour,
                "grade": "ab"[i % 2],
                "open": bool(chance.integers(0, 2)),
                "label": target,
            }
        )
    return found


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def deploy(folder: Path, model: dict[str, Any], task: str = "binary", **spec: Any) -> Deployed:
    folder.mkdir()
    (folder / "mine.py").write_text(OWN)
    rows = records(300, 1, task)
    (folder / "rows.jsonl").write_text(lines(rows))
    contract = [
        {**column, "type": "float64"}
        if column["name"] == "label" and task == "regression"
        else column
        for column in CONTRACT
    ]
    ingest = {**SPEC["ingest"], "contract": contract}
    train = {**SPEC["train"], "model": model}
    return Deployed(folder, {**SPEC, "ingest": ingest, "train": train, **spec})


def expected(deployed: Deployed, rows: list[dict[str, Any]]) -> Any:
    """Return the outputs that the rows get in a file."""
    scored = deployed.predict("new.jsonl", lines(rows))
    names = [name for name in scored[0] if name.startswith("p_")] or ["prediction"]
    assert all(row["reason"] is None for row in scored)
    return np.array([[row[name] for name in names] for row in scored])


def as_columns(rows: list[dict[str, Any]]) -> ColumnRequest:
    columns: dict[str, Any] = {}
    for name in ("Heat [K]", "wear"):
        columns[name] = np.array([np.nan if r[name] is None else r[name] for r in rows])
    columns["steps"] = np.array([r["steps"] for r in rows], dtype=np.int32)
    columns["open"] = np.array([r["open"] for r in rows])
    for name in ("colour", "grade"):
        columns[name] = [r[name] for r in rows]
    return ColumnRequest(columns, len(rows))


CUSTOM: dict[str, dict[str, Any]] = {
    "scikit-learn": {
        "python": "sklearn.ensemble:ExtraTreesClassifier",
        "args": {"n_estimators": 9},
    },
    "own class": {"python": "mine:Bushes"},
    "own function": {"python": "mine:curved"},
}

EACH_ITS_WAY = ("linear", "gradient_boosting", "mlp", "auto", "own class")
"""Kinds that are computed in different ways; the others are served by the same code."""

CASES = [
    *((kind, "binary") for kind in EACH_ITS_WAY),
    *(("gradient_boosting", task) for task in TASKS if task != "binary"),
]
OTHERS = [
    *((kind, "binary") for kind in (*KINDS, *CUSTOM) if kind not in EACH_ITS_WAY),
    *(("linear", task) for task in TASKS if task != "binary"),
]


@pytest.mark.parametrize(("kind", "task"), [*CASES, *in_long(OTHERS)])
def test_every_form_of_request_gets_what_the_file_gets(
    kind: str, task: str, tmp_path: Path
) -> None:
    # A product of many numbers is summed in another order for one row than for many.
    precision = 1e-6 if kind in ("tabm", "auto") else 0.0
    require_same_outputs(deploy(tmp_path / "p", {**KINDS, **CUSTOM}[kind], task), task, precision)


def test_rules_and_derived_columns_are_computed_over_whole_columns(tmp_path: Path) -> None:
    derive = SPEC["clean"]["derive"]
    clean = {"where": {"worn": "wear >= 0 OR heat > 0"}, "derive": derive}
    deployed = deploy(tmp_path / "p", KINDS["linear"], clean=clean)
    served = require_same_outputs(deployed, "binary")
    assert served.compiled is not None
    assert served.compiled.takes_columns
    broken = as_columns([GOOD, {**GOOD, "wear": -5.0, "Heat [K]": -1.0}])
    with pytest.raises(UndecidedError):
        broken.score(served)
    without = as_columns([{**GOOD, "Heat [K]": None, "wear": 0.0}])
    assert without.score(served).rows == range(1)


def test_inputs_are_counted_whether_or_not_the_engine_reads_them(tmp_path: Path) -> None:
    deployed = deploy(tmp_path / "p", KINDS["linear"])
    found = []
    for reads_by_engine in (False, True):
        served = served_by(deployed)
        served.shift = InputShift({"heat": (50.0, 10.0), "hot": (0.5, 0.5)})
        assert served.decoder is not None
        if reads_by_engine:
            served.score(records(60, 2))
        else:
            CompiledRequest(served.decoder.decode(json.dumps(records(60, 2)))).score(served)
        found.append(served.shift.values())
        served.close()
    compiled, engine = found
    assert compiled.keys() == {"heat", "hot"}
    assert engine == pytest.approx(compiled)


@pytest.mark.parametrize("kinds", [{}, {"made": "date", "sold": "timestamp"}])
def test_times_are_read_as_in_a_file(kinds: dict[str, str], tmp_path: Path) -> None:
    declared = [{"name": name, "type": kind} for name, kind in kinds.items()]
    contract = [*CONTRACT, *declared] if declared else []
    source = {"source": {"files": "rows.jsonl"}, "contract": contract}
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "rows.jsonl").write_text(lines(dated(records(300, 1), 1)))
    train = {**SPEC["train"], "model": KINDS["linear"]}
    clean = {} if kinds else {"derive": {}}
    deployed = Deployed(
        tmp_path / "p", {"purpose": "test", "ingest": source, "train": train, "clean": clean}
    )
    rows = dated(records(60, 2), 2)
    served = served_by(deployed)
    assert {served.model.inputs[name] for name in ("made", "sold")} == {"tensor(double)"}
    scored = served.score(rows)
    np.testing.assert_array_equal(scored.outputs, expected(deployed, rows))
    [(as_is, without)] = scored.without(["sold"])
    np.testing.assert_array_equal(as_is, scored.outputs)
    assert not np.array_equal(without, as_is)
    assert served.decoder is not None
    typed = CompiledRequest(served.decoder.decode(json.dumps(rows)))
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
    for name in ("Heat [K]", "wear", "steps", "open"):
        columns[name] = np.array([np.nan if cell is None else cell for cell in columns[name]])
    compiled = {
        "many": typed.score(served),
        "few": CompiledRequest(typed.rows[:3]).score(served),
        "columns": ColumnRequest(columns, len(rows)).score(served),
    }
    for form, one in compiled.items():
        truth = scored.outputs[: len(one.outputs)]
        np.testing.assert_array_equal(one.outputs, truth, err_msg=form)
        [(as_is, without)] = one.without(["sold"])
        assert not np.array_equal(without, as_is)
    require_same_times(served, rows[0])
    served.close()


ODD_TIMES = (
    *("", None, "2024-02-29", "2023-02-29", "2024-13-01", "0000-01-01", "0999-12-31"),
    *("12024-01-01", "9999-12-31", "1969-12-31 23:59:59"),
    *("2024-1-5", " 2024-01-05", "2024-01-05 ", "05.01.2024", "20240105", "2024-W01-1", "today"),
    *("2024-01-05 06:07:08", "2024-01-05T06:07:08", "2024-01-05T06:07", "2024-01-05 24:00:00"),
    *("2024-01-05 23:59:60", "2024-01-05T06:07:08Z", "2024-01-05 06:07:08+02"),
    *("2024-01-05 06:07:08.9", "2024-01-05\t06:07:08", "\uff12024-01-05"),
)


def require_same_times(served: ServedModel, row: dict[str, Any]) -> None:
    """Require that a time is decided without the engine only as the engine decides."""
    assert served.decoder is not None
    decided = 0
    for name, time in product(("made", "sold"), ODD_TIMES):
        changed = {**row, name: time}
        try:
            typed = CompiledRequest([served.decoder.decode(json.dumps(changed))])
            outputs = typed.score(served).outputs
        except UndecidedError:
            continue
        decided += 1
        np.testing.assert_array_equal(outputs, served.score([changed]).outputs, err_msg=str(time))
    assert decided >= 9


def dated(rows: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Add two times; the label depends on how far they are apart."""
    chance = np.random.default_rng(seed)
    found = []
    for i, row in enumerate(rows):
        made = date(2024, 1, 1) + timedelta(days=int(chance.integers(0, 900)))
        hours = int(chance.integers(1, 400))
        sold = datetime(made.year, made.month, made.day) + timedelta(hours=hours)
        times = {"made": str(made), "sold": None if i % 10 == 7 else sold.isoformat()}
        found.append({**row, **times, "label": str(int(hours > 200 + chance.normal(0, 60)))})
    return found


def require_same_outputs(deployed: Deployed, task: str, precision: float = 0.0) -> ServedModel:
    rows = [{k: v for k, v in row.items() if k != "label"} for row in records(60, 2, task)]
    truth = expected(deployed, rows)
    served = served_by(deployed)
    assert served.compiled is not None
    assert served.decoder is not None
    typed = CompiledRequest(served.decoder.decode(json.dumps(rows)))
    for form, outputs in {
        "compiled": typed.score(served).outputs,
        "one by one": np.concatenate(
            [CompiledRequest([row]).score(served).outputs for row in typed.rows]
        ),
        "columns": as_columns(rows).score(served).outputs,
        "engine": served.score(rows).outputs,
    }.items():
        np.testing.assert_allclose(
            outputs.reshape(truth.shape), truth, rtol=0, atol=precision, err_msg=form
        )
    served.close()
    return served


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    return deploy(tmp_path_factory.mktemp("linear") / "p", KINDS["linear"])


GOOD: dict[str, Any] = {
    "Heat [K]": 51.5,
    "wear": 1.25,
    "steps": 10,
    "colour": "red",
    "grade": "a",
    "open": True,
}


@pytest.mark.parametrize(
    "changed",
    [
        {"Heat [K]": None},
        {"Heat [K]": 1e-320},
        {"wear": 2**60},
        {"steps": "10"},
        {"colour": " red "},
        {"colour": "straße"},
        {"open": "true"},
        {"grade": None},
        *in_long(
            [
                {"Heat [K]": 51},
                {"Heat [K]": "51.5"},
                {"Heat [K]": -0.0},
                {"wear": 0},
                {"steps": 10.0},
                {"steps": None},
                {"colour": ""},
                {"colour": "?"},
                {"colour": 7},
                {"colour": None},
                {"open": 0},
                {"open": None},
            ]
        ),
    ],
    ids=str,
)
def test_odd_but_valid_values_get_what_they_get_in_a_file(
    changed: dict[str, Any], linear: Deployed
) -> None:
    row = {**GOOD, **changed}
    served = served_by(linear)
    truth = expected(linear, [row])
    assert served.score([row]).outputs.tolist() == truth.tolist()
    try:
        assert served.decoder is not None
        compiled = CompiledRequest([served.decoder.decode(json.dumps(row))]).score(served)
    except (UndecidedError, ValueError):
        # Left to the engine.
        pass
    else:
        assert compiled.outputs.tolist() == truth.tolist()
    served.close()


@pytest.mark.parametrize(
    ("changed", "rules"),
    [
        ({"Heat [K]": 2000}, ("range:heat",)),
        ({"Heat [K]": "warm"}, ("type:heat",)),
        ({"wear": None}, ("null:wear",)),
        ({"steps": 1.5}, ("type:steps",)),
        ({"colour": "void"}, ("known",)),
        ({"wear": 1e300}, ("overflow:wear",)),
        *in_long(
            [
                ({"wear": -1}, ("null:wear",)),
                ({"steps": -1, "grade": "c"}, ("range:steps", "values:grade")),
                ({"wear": -5.0, "Heat [K]": -1}, ("worn",)),
                ({"wear": 2**60 + 1}, ("type:wear",)),
                ({"open": 2}, ("type:open",)),
                ({"open": [1]}, ("type:open",)),
            ]
        ),
    ],
    ids=str,
)
def test_a_wrong_row_is_refused_for_the_reasons_that_a_file_gives(
    changed: dict[str, Any], rules: tuple[str, ...], linear: Deployed
) -> None:
    rows = [GOOD, {**GOOD, **changed}]
    served = served_by(linear)
    scored = served.score(rows)
    assert [(one.row, one.rules) for one in scored.refusals] == [(1, rules)]
    assert [*scored.rows] == [0]
    in_file = linear.predict("wrong.jsonl", lines(rows))
    assert in_file[1]["reason"] == ",".join(rules)
    assert served.decoder is not None
    with pytest.raises((UndecidedError, ValueError)):
        CompiledRequest(served.decoder.decode(json.dumps(rows))).score(served)
    served.close()


def test_a_number_does_not_match_the_pattern_of_a_text(tmp_path: Path) -> None:
    """`1.234` is a thousand and more in the text of some countries, and never as a number."""
    decimal_comma = r"[1-9][0-9]{0,2}(\.[0-9]{3})+|[0-9]+(,[0-9]+)?"
    contract = [
        {"name": "length_text", "from": "length", "type": "string", "pattern": decimal_comma},
        {"name": "label", "type": "string"},
    ]
    read = "TRY_CAST(replace(replace(length_text, '.', ''), ',', '.') AS DOUBLE)"
    spec = {
        "ingest": {"source": {"files": "rows.jsonl"}, "contract": contract},
        "clean": {"derive": {"length": read}},
        "train": {"target": "label", "exclude": ["length_text"], "model": KINDS["linear"]},
    }
    folder = tmp_path / "p"
    folder.mkdir()
    training = [{"length": f"{i},{i % 10}", "label": str(int(i > 150))} for i in range(300)]
    (folder / "rows.jsonl").write_text(lines(training))
    served = served_by(Deployed(folder, {**SPEC, **spec}))
    assert [*served.score([{"length": "1.234"}, {"length": 7}]).rows] == [0, 1]
    scored = served.score([{"length": 1.234}, {"length": None}, {"length": 2.5}])
    wrong = [(0, ("pattern:length_text",)), (2, ("pattern:length_text",))]
    assert [(one.row, one.rules) for one in scored.refusals] == wrong
    assert served.score([{"length": 1.5}, {"length": 10**400}]).refusals
    served.close()


def test_a_row_without_a_needed_column_is_refused_as_a_whole(linear: Deployed) -> None:
    served = served_by(linear)
    with pytest.raises(ContractError, match="there is no column 'steps'"):
        served.score([{k: v for k, v in GOOD.items() if k != "steps"}])
    for wrapped in ({"rows": [GOOD]}, {}):
        with pytest.raises(ContractError, match=r'such as {"Heat .K.": …, "wear": …, '):
            served.score([wrapped])
    served.close()


@pytest.mark.parametrize(
    "columns",
    [
        {"wear": np.array([-1.0])},
        {"wear": np.array([np.nan])},
        {"wear": np.array([np.inf])},
        {"steps": np.array([-1])},
        {"steps": np.array([1.5])},
        {"steps": np.array([True])},
        {"open": np.array([1])},
        {"grade": ["c"]},
        {"colour": [" red"]},
        {"Heat [K]": np.array([1e6])},
        {"Heat [K]": ["warm"]},
    ],
    ids=str,
)
def test_columns_that_may_break_the_contract_are_left_to_the_engine(
    columns: dict[str, Any], linear: Deployed
) -> None:
    request = as_columns([GOOD])
    served = served_by(linear)
    assert request.score(served).rows == range(1)
    with pytest.raises(UndecidedError):
        ColumnRequest({**request.columns, **columns}, 1).score(served)
    served.close()


def test_what_is_logged_are_the_needed_columns(linear: Deployed) -> None:
    served = served_by(linear)
    logged = json.loads(ObjectRequest([{**GOOD, "secret": 1}]).logged(served))
    assert logged == [GOOD]
    assert served.decoder is not None
    typed = CompiledRequest(served.decoder.decode(json.dumps([{**GOOD, "secret": 1}])))
    assert json.loads(typed.logged(served)) == [GOOD]
    columns = as_columns([{**GOOD, "Heat [K]": None}])
    extra = ColumnRequest({**columns.columns, "secret": [1]}, 1)
    cells = {name: values[0] for name, values in columns_logged(extra.logged(served)).items()}
    assert cells == {**GOOD, "Heat [K]": None}


@pytest.mark.parametrize("at_once", [1, 5, 512])
def test_inputs_are_left_out_one_by_one_whatever_is_scored_at_once(
    at_once: int, linear: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missing_inputs, "_AT_ONCE", at_once)
    served = served_by(linear)
    rows = [GOOD, {**GOOD, "Heat [K]": 20.0}]
    by_engine = served.score(rows)
    assert served.decoder is not None
    compiled = CompiledRequest(served.decoder.decode(json.dumps(rows))).score(served)
    names = [*served.model.inputs]
    for scored in (by_engine, compiled):
        alone = [next(iter(scored.without([name]))) for name in names]
        together = [*scored.without(names)]
        np.testing.assert_allclose(together, alone, rtol=1e-5)
        for as_is, _ in together:
            np.testing.assert_allclose(as_is, scored.outputs, rtol=1e-5)
    served.close()


def test_an_explanation_is_the_change_without_the_input(linear: Deployed) -> None:
    served = served_by(linear)
    rows = [GOOD, {**GOOD, "Heat [K]": 20.0}]
    by_engine = explanations(served, served.score(rows))
    assert served.decoder is not None
    compiled = CompiledRequest(served.decoder.decode(json.dumps(rows))).score(served)
    assert explanations(served, compiled) == by_engine
    strongest = by_engine[1][0]
    assert strongest["input"] in {"heat", "power", "hot"}
    # A cold machine is less likely to fail than one of unknown heat.
    assert sum(one["change"] for one in by_engine[1] if one["input"] == "heat") < 0
    served.close()


_SLOWER = ("gru", "transformer")
"""Their export takes most of the time, and is tested with the other kinds of models."""


@pytest.mark.parametrize(
    "kind",
    [pytest.param(one, marks=[pytest.mark.long] * (one in _SLOWER)) for one in SEQUENCES],
)
@pytest.mark.long
def test_a_series_is_answered_for_its_last_row(kind: str, tmp_path: Path) -> None:
    chance = np.random.default_rng(3)
    (tmp_path / "p").mkdir()
    header = "unit,cycle,heat,colour,label"
    body = [
        f"u{u},{c},{chance.normal(50, 10):.3f},{'red' if c % 2 else 'green'},{int(c > 6)}"
        for u in range(60)
        for c in range(12)
    ]
    (tmp_path / "p" / "rows.csv").write_text("\n".join([header, *body]) + "\n")
    deployed = Deployed(
        tmp_path / "p",
        {
            "purpose": "test",
            "ingest": {"source": {"files": "rows.csv"}},
            "split": {"group": "unit"},
            "train": {"target": "label", "seed": 3, "model": SEQUENCES[kind]},
        },
    )
    new = [line.split(",") for line in body[:30]]
    rows = [{"unit": u, "cycle": int(c), "heat": float(h), "colour": k} for u, c, h, k, _ in new]
    in_file = deployed.predict("new.csv", "\n".join([header, *body[:30]]) + "\n")
    served = served_by(deployed)
    scored = served.score(rows)
    # Three units, the last of them cut off.
    assert [*scored.rows] == [11, 23, 29]
    for outputs, row in zip(scored.outputs.tolist(), scored.rows, strict=True):
        assert outputs == [in_file[row]["p_0"], in_file[row]["p_1"]]
    shuffled = [rows[i] for i in chance.permutation(30)]
    again = served.score(shuffled)
    assert sorted(again.outputs.tolist()) == sorted(scored.outputs.tolist())
    assert explanations(served, scored)[0]
    served.close()


def test_window_statistics_need_the_rows_before(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    chance = np.random.default_rng(3)
    body = [f"u{u},{c},{chance.normal(50, 10):.3f},{c % 4}" for u in range(40) for c in range(9)]
    (tmp_path / "p" / "rows.csv").write_text("\n".join(["unit,cycle,heat,label", *body]) + "\n")
    windows = {"by": "unit", "order": "cycle", "columns": ["heat"], "size": [3]}
    model = {"kind": "random_forest", "trees": 20}
    deployed = Deployed(
        tmp_path / "p",
        {
            "purpose": "test",
            "ingest": {"source": {"files": "rows.csv"}},
            "clean": {"windows": {**windows, "statistics": ["mean", "slope"]}},
            "split": {"group": "unit"},
            "train": {"target": "label", "exclude": ["unit"], "model": model},
        },
    )
    new = [line.split(",") for line in body[:18]]
    in_file = deployed.predict("new.csv", "\n".join(["unit,cycle,heat,label", *body[:18]]) + "\n")
    served = served_by(deployed)
    scored = served.score([{"unit": u, "cycle": int(c), "heat": float(h)} for u, c, h, _ in new])
    assert [*scored.rows] == [8, 17]
    names = [name for name in in_file[0] if name.startswith("p_")]
    for outputs, row in zip(scored.outputs.tolist(), scored.rows, strict=True):
        assert outputs == [in_file[row][name] for name in names]
    served.close()


def test_what_the_engine_says_of_a_value_is_hidden_if_a_column_is_sensitive(
    linear: Deployed,
) -> None:
    plain = served_by(linear)
    # What reads other rows fails for the whole request, in the words of the engine.
    derive = {**plain.model.clean.derive, "power": "max(steps * 9223372036854775807) OVER ()"}
    model = replace(plain.model, clean=plain.model.clean.model_copy(update={"derive": derive}))
    first, *others = plain.columns
    sensitive = [first.model_copy(update={"sensitive": "personal"}), *others]
    for columns, is_shown in ((plain.columns, True), (sensitive, False)):
        served = ServedModel("p", plain.version, model, linear.home, columns=columns)
        with closing(served), pytest.raises(ExpressionError) as error:
            served.score([{**GOOD, "steps": 77123}])
        assert ("77123" in str(error.value)) == is_shown
    plain.close()


def test_windows_that_the_model_does_not_read_need_no_rows_before(linear: Deployed) -> None:
    plain = served_by(linear)
    windows = Windows(by="unit", order="cycle", size=(3,), columns=("wear",))
    clean = plain.model.clean.model_copy(update={"windows": windows})
    served = ServedModel("p", plain.version, replace(plain.model, clean=clean), linear.home)
    assert served.looks_back is None
    found, same = (one.score([GOOD, {**GOOD, "wear": "much"}]) for one in (served, plain))
    assert [one.rules for one in found.refusals] == [("type:wear",)]
    assert (found.outputs == same.outputs).all()
    served.close()
    plain.close()
