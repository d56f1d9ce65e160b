"""Each mistake in a declaration is reported with its line and remedy; valid declarations load."""

import copy
import json
import os
import re
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from factory_assets.declarations import loader
from factory_assets.declarations.loader import (
    is_pipeline_name,
    load_pipeline,
    pipeline_folders,
)
from factory_assets.spec import PipelineSpec
from factory_resources.errors import DeclarationError
from tests.factory_assets.declarations.cases import FULL, SHOWN_DIGITS, declare, line_of
from tests.pipelines import problems


def test_short_declaration_loads_with_defaults(tmp_path: Path) -> None:
    pipeline = load_pipeline(declare(tmp_path, SHOWN_DIGITS, "apples"))
    assert pipeline.name == "apples"
    assert pipeline.folder == tmp_path / "apples"
    spec = pipeline.spec
    assert spec.ingest.source.files == ("apples.csv",)  # type: ignore[union-attr]
    assert (spec.split.test, spec.split.validation) == (0.2, 0.1)
    assert spec.schedule is None
    assert spec.risk.tier == "minimal"


def test_a_folder_that_is_a_link_names_its_pipeline(tmp_path: Path) -> None:
    folder = declare(tmp_path, SHOWN_DIGITS, "apples")
    (tmp_path / "pears").symlink_to(folder)
    pipeline = load_pipeline(tmp_path / "pears")
    assert (pipeline.name, pipeline.folder) == ("pears", folder)


def test_full_declaration_loads(tmp_path: Path) -> None:
    spec = load_pipeline(declare(tmp_path, FULL)).spec
    assert spec.clean.deduplicate == ("speed",)
    assert spec.training.model.learning_rate == 0.001  # type: ignore[union-attr]
    assert spec.ingest.contract.columns[0].source_name == "Torque [Nm]"


# The text to replace in FULL, its replacement, text on the problem's line, part of the message.
MISTAKES = [
    ("  purpose: Tell which machines will fail\n", "", "attributes:", "'purpose' is missing"),
    ("purpose:", "purpos:", "purpos:", "unknown key 'purpos'; did you mean 'purpose'?"),
    ("purpose: Tell which", "purpose: 5 #", "purpose", "5 is not valid; must be text; put it in"),
    ("team:maintenance", "maintenance", "owners", "'maintenance' is neither an e-mail"),
    ("[team:maintenance, jane@example.org]", "jane@example.org", "owners", "must be a list"),
    ("tier: high", "tier: hihg", "tier", "did you mean 'high'? valid: minimal, limited, high"),
    ("tier: high", "tier: prohibited", "risk:", "prohibited practice"),
    (", area: safety of machinery", "", "risk:", "needs `area`"),
    ('{files: machines.csv, delimiter: ";"}', "machines.csv", "source:", "{files: data.csv}"),
    ("files: machines.csv", "file: machines.csv", "file:", "did you mean 'files'?"),
    ("files: machines.csv", "files: [machines.csv, 3]", "files:", "source.files.1: 3 is not valid"),
    ("files: machines.csv", "files: {a: machines.csv}", "files:", "need `label`"),
    ("name: torque", "name: _torque", "_torque", "leading underscore"),
    ("name: torque", "nam: torque", "nam:", "unknown key 'nam'; did you mean 'name'?"),
    ("type: float64", "type: float", "float,", "did you mean 'float64'?"),
    ("range: [0, null]", "range: [9, 1]", "[9, 1]", "is reversed"),
    ("range: [0, null]", "range: [0]", "[0]", "too short"),
    ("range: [0, null]", "range: [0, 1, 2]", "[0, 1, 2]", "at most 2"),
    (
        "range: [0, null]",
        "range: [0, high]",
        "range: [0, high]",
        "range of column 'torque' needs numbers, not 'high'",
    ),
    ("nullable: false", "nullable: no", "nullable", "'no' is not valid; must be true or false"),
    ("        type: string\n", "        type: text\n", "type: text", "contract.2.type: 'text'"),
    ("values: [L, M, H]", "values: [L, [M]]", "[M]", "values.1: ['M'] is not valid"),
    ("name: failed", "name: speed", "contract:", "twice"),
    ("turning: speed", "Turning-on: speed", "Turning-on", "lower case letters"),
    ("{turning: speed > 0}", "speed > 0", "where:", "must be a mapping"),
    ("deduplicate: speed", "deduplicate: sped", "sped", "no column 'sped'; did you mean 'speed'?"),
    ("test: 0.25", "test: 0.95", "split:", "leave no row"),
    ("test: 0.25", "test: 25", "split:", "25 is not valid; must be less than 1"),
    ("test: 0.25", "test: 25%", "split:", "'25%' is not valid; must be a number"),
    ("stratify: failed", "stratify: failed, time: speed", "split:", "cannot be combined"),
    ("seed: 3", "seed: 3.5", "split:", "3.5 is not valid; must be a whole number"),
    ("target: failed", "target: faild", "faild", "train.target: no column 'faild'; did you mean"),
    ("exclude: [kind]", "exclude: [speed,\n     knd]", "knd", "exclude.1: no column 'knd'"),
    ("target: failed", "target: failed\n    stratify: x", "stratify: x", "it belongs in split"),
    ("kind: mlp", "kind: mpl", "kind: mpl", "model.kind: 'mpl' is not valid; did you mean 'mlp'?"),
    ("{kind: mlp, hidden: [8, 4], learning_rate: 1e-3}", "mlp", "model:", "write {kind: mlp}"),
    ("{kind: mlp, hidden", "{hidden", "model:", "'kind' is missing; valid: mlp, tabm, cnn"),
    *(
        (
            "{kind: mlp, hidden: [8, 4], learning_rate: 1e-3}",
            f"{{kind: auto, members: [{member}]}}",
            "model:",
            f"members.0{message}",
        )
        for member, message in {
            "{kind: linaer}": ".kind: 'linaer' is not valid; did you mean 'linear'?",
            "{trees: 9}": ": 'kind' is missing; valid: linear, random_forest, extra_trees, grad",
            "tabm": ": 'tabm' is not valid; write {kind: tabm}",
            "{kind: linear, weight: 1}": ".weight: unknown key 'weight'; valid: kind, regularis",
        }.items()
    ),
    ("hidden: [8, 4]", "hiden: [8, 4]", "hiden", "did you mean 'hidden'?"),
    ("hidden: [8, 4]", "hidden: 8", "hidden", "8 is not valid; must be a list, such as [8]"),
    ("hidden: [8, 4]", "hidden: [8, 0]", "hidden", "hidden.1: 0 is not valid"),
    ("learning_rate: 1e-3", "learning_rate: .nan", "rate", "must be a finite number"),
    ("metric: roc_auc\n", "metric: auc\n", "metric: auc", "did you mean 'roc_auc'?"),
    ("at_least: 0.6", "at_lest: 0.6", "at_lest", "did you mean 'at_least'?"),
    ("at_least: 0.6", "at_least: 0.6, at_most: 1", "at_most", "exactly one of"),
    (
        "at_least: 0.6",
        "at_least: much",
        "much",
        "gates.0.at_least: 'much' is not valid; must be a n",
    ),
    (
        "exclude: [kind]",
        "threshold: 1.5",
        "1.5",
        "threshold: 1.5 is not valid; must be less than 1",
    ),
    ("exclude: [kind]", "threshold: half", "half", "threshold: 'half' is not valid; must be a num"),
    ("exclude: [kind]", "threshold: {maximize: f1}", "maximize", "did you mean 'maximise'?"),
    (
        "exclude: [kind]",
        "threshold: {maximise: f2}",
        "f2",
        "maximise: 'f2' is not valid; valid: f1",
    ),
    (
        "exclude: [kind]",
        "threshold: {recall: 1.5}",
        "1.5",
        "threshold.recall: 1.5 is not valid; must be",
    ),
    ("exclude: [kind]", "threshold: {recall: 0.9, precision: 0.8}", "threshold", "give one of"),
    ("exclude: [kind]", "threshold: f1", "threshold", "write {maximise: f1}"),
    ("exclude: [kind]", "uncertainty: {covrage: 0.9}", "covrage", "did you mean 'coverage'?"),
    ("exclude: [kind]", "threshold: {false_positive: 1}", "threshold", "'false_negative' is miss"),
    ("exclude: [kind]", "threshold: 0.5\n    task: regression", "threshold", "the task is regres"),
    ("{metric: roc_auc, at_least: 0.6}", "{champion: on}", "on}", "'on' is not valid; valid: off"),
    ("{metric: roc_auc, at_least: 0.6}", "{champion: off}", "gates:", "keep one"),
    ("{metric: roc_auc, at_least: 0.6}", "{champoin: off}", "champoin", "unknown key 'champoin'"),
    ("no_worse_than: champion", "no_worse_than: champ", "champ,", "did you mean 'champion'?"),
    ("slices: kind", "slices: [[kind]]", "slices", "slices.0: ['kind'] is not valid; must be text"),
    (", approval: {valid: 7d}", "", "risk:", "tier high needs an approval by a person"),
    ("valid: 7d", "valid: 7days", "7days", "'7days' is not valid"),
    ("valid: 7d", "by: boss", "boss", "valid: engineer, approver, auditor"),
    ("max_difference: 1e-5", "max_difference: 0", "max_diff", "must be greater than 0"),
    (
        "{max_difference: 1e-5, approval: {valid: 7d}}",
        "",
        "deploy:",
        "an empty value is not valid; must be a mapping",
    ),
    ('"0 2 * * *"', '"0 25 * * *"', "cron", "hour '25' must lie between 0 and 23"),
    ('"0 2 * * *"', "* * * * *", "cron", "put the value in quotes"),
    ("Europe/Berlin", "Europe/Berln", "Berln", "unknown time zone 'Europe/Berln'"),
    ("  evaluate:\n", "  train: {}\n  evaluate:\n", "  train: {}", "'train' repeats line 22"),
    (
        "speed, type: int64",
        "speed, type: int64, type: bool",
        "type: bool",
        "'type' repeats line 11",
    ),
    (
        "type: factory_assets.ModelPipeline",
        "type: ModelPipeline",
        "type:",
        "write factory_assets.M",
    ),
    ("type: factory_assets.ModelPipeline\n", "", "attributes:", "'type' is missing"),
    ("attributes:", "attribute:", "attribute:", "did you mean 'attributes'?"),
    ("type: factory", "requirements: {}\ntype: factory", "requirements", "valid: type, attributes"),
]


@pytest.mark.parametrize(("old", "new", "on_line", "message"), MISTAKES)
def test_mistake_is_reported_with_its_line(
    tmp_path: Path, old: str, new: str, on_line: str, message: str
) -> None:
    assert old in FULL
    text = FULL.replace(old, new, 1)
    reported = problems(declare(tmp_path, text))
    matching = [problem for problem in reported if message in problem.what]
    assert matching, [str(problem) for problem in reported]
    assert matching[0].line == line_of(text, on_line)
    assert matching[0].file == tmp_path / "machines" / "defs.yaml"


def test_one_slip_is_one_problem(tmp_path: Path) -> None:
    """Report neither a missing `purpose` beside `purpos`, nor every type that a number may have."""
    text = FULL.replace("purpose:", "purpos:").replace("at_least: 0.6", "at_least: much")
    text = text.replace("files: machines.csv", "files: [3]")
    assert len(problems(declare(tmp_path, text))) == 3


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (
            "resources: {memory: 8 gigabytes}",
            "attributes.ingest.resources.memory: '8 gigabytes' is not valid; must be a whole "
            "number and MB, GB or TB, such as 8 GB",
        ),
        (
            f"carbon: {{source: a meter, timezone: UTC, daily: {[-1] + [300] * 23}}}",
            "carbon.daily.0: -1 is not valid; must be greater than or equal to 0",
        ),
        (
            "watch: {age: 1h}",
            "attributes.watch.age: '1h' is not valid; must be a whole number of at most four "
            "digits and d, w, m or y, such as 30d",
        ),
    ],
)
def test_one_wrong_value_is_one_message_in_words(tmp_path: Path, written: str, told: str) -> None:
    if written.startswith("carbon"):
        window = "within: '22:00-06:00', prefer: lowest_carbon, timezone: UTC"
        text = f"{SHOWN_DIGITS}  schedule: {{{window}, {written}}}\n"
    elif written.startswith("watch"):
        text = f"{SHOWN_DIGITS}  {written}\n"
    else:
        text = SHOWN_DIGITS.replace("  train:", f"    {written}\n  train:")
    [problem] = problems(declare(tmp_path, text))
    assert str(problem).endswith(told)


def test_all_problems_come_in_the_order_of_lines(tmp_path: Path) -> None:
    text = FULL.replace("tier: high", "tier: hi").replace("mlp", "mpl").replace("Berlin", "Bern")
    reported = problems(declare(tmp_path, text))
    assert [p.line for p in reported] == sorted(
        line_of(text, w) for w in ("tier", "kind: mpl", "Bern")
    )
    with pytest.raises(DeclarationError) as caught:
        load_pipeline(tmp_path / "machines")
    assert str(caught.value).startswith(
        f"{tmp_path}/machines/defs.yaml:5: attributes.risk.tier: 'hi'"
    )
    assert "2 more" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "line", "place"),
    [
        ("deploy: {approval: , canary: {share: 10%, for: 2h}}", 1, "deploy.approval"),
        ("deploy:\n    approval:   # {by: approver}", 2, "deploy.approval"),
        ("watch:", 1, "watch"),
        ("watch: {retrain}", 1, "watch.retrain"),
    ],
)
def test_a_section_that_is_left_empty_is_no_section_without_a_word(
    tmp_path: Path, written: str, line: int, place: str
) -> None:
    [problem] = problems(declare(tmp_path, f"{SHOWN_DIGITS}  {written}\n"))
    assert problem.line == len(SHOWN_DIGITS.splitlines()) + line
    assert str(problem).endswith(
        f"attributes.{place}: an empty value declares nothing; write one, such as {{}} for the "
        "defaults of a section, or remove the key"
    )


def test_null_is_no_section_and_is_not_left_empty(tmp_path: Path) -> None:
    folder = declare(tmp_path, f"{SHOWN_DIGITS}  watch: null\n  deploy: {{approval: ~}}\n")
    spec = load_pipeline(folder).spec
    assert (spec.watch, spec.deploy.approval) == (None, None)


def test_an_empty_value_where_there_must_be_one_is_told_once(tmp_path: Path) -> None:
    [problem] = problems(declare(tmp_path, f"{SHOWN_DIGITS}  deploy:\n"))
    assert problem.message == "an empty value is not valid; must be a mapping"


def test_every_unknown_column_is_reported(tmp_path: Path) -> None:
    text = FULL.replace("target: failed", "target: fail").replace("exclude: [kind]", "exclude: [k]")
    assert len(problems(declare(tmp_path, text))) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"# only a comment\n", "is empty"),
        (b"- a\n", "must be a mapping"),
        (b"just text\n", "must be a mapping"),
        (b"type: factory_assets.ModelPipeline\nattributes:\n", "must be a mapping"),
    ],
)
def test_file_of_the_wrong_shape_is_one_problem(
    tmp_path: Path, content: bytes, message: str
) -> None:
    [problem] = problems(declare(tmp_path, content))
    assert message in problem.message


@pytest.mark.parametrize(
    ("before", "after"),
    [("[8, 4]", r'"a\nb"'), ("kind: mlp", r'"ki\nnd": mlp'), ("[L, M, H]", f"{'L' * 9_000}")],
)
def test_a_problem_is_one_line_that_is_not_too_long(
    before: str, after: str, tmp_path: Path
) -> None:
    for problem in problems(declare(tmp_path, FULL.replace(before, after))):
        assert str(problem).isprintable()
        assert len(problem.what) < 500


def test_missing_file_is_a_problem(tmp_path: Path) -> None:
    assert "cannot be read" in problems(tmp_path / "nowhere")[0].message


@pytest.mark.parametrize("name", ["My-Model", "2nd", "größe", "a" * 65, "with blank"])
def test_folder_name_that_is_no_pipeline_name(tmp_path: Path, name: str) -> None:
    [problem] = problems(declare(tmp_path, FULL, name))
    assert "lower case letters" in problem.message


def _literals(model: type[BaseModel], seen: set[type]) -> set[str]:
    """Return every word that a model allows somewhere."""
    words: set[str] = set()

    def visit(annotation: Any) -> None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if annotation not in seen:
                seen.add(annotation)
                for field in annotation.model_fields.values():
                    visit(field.annotation)
        elif str(get_origin(annotation)) == "typing.Literal":
            words.update(word for word in get_args(annotation) if isinstance(word, str))
        else:
            for argument in get_args(annotation):
                visit(argument)

    visit(model)
    return words


@pytest.mark.parametrize("word", sorted(_literals(PipelineSpec, set())))
def test_a_typo_in_any_allowed_word_has_a_suggestion(word: str) -> None:
    from factory_assets.spec.base import nearest

    words = _literals(PipelineSpec, set())
    if len(word) > 3:
        assert nearest(word[:-1], words) in {word, word[:-1]}
    assert nearest(word.upper(), words) == word


_PIECES = [
    "",
    " ",
    "\t",
    "\n",
    ":",
    "-",
    "[",
    "]",
    "{",
    "}",
    '"',
    "'",
    "#",
    "*",
    "&x",
    "!",
    "?",
    "|",
]

_WORDS = ["null", "true", "1e9", "-5", "[]", "{}", "~", "speed", "name: x", "\x00", "\ufeff", "é"]


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    start=st.integers(0, len(FULL)),
    length=st.integers(0, 30),
    put=st.sampled_from(_PIECES + _WORDS) | st.text(max_size=5),
)
def test_any_change_loads_or_is_reported(tmp_path: Path, start: int, length: int, put: str) -> None:
    text = FULL[:start] + put + FULL[start + length :]
    folder = declare(tmp_path, text.encode("utf-8", "surrogatepass"))
    reported = problems(folder)
    lines = len(re.split(r"\r\n|[\n\r\x85\u2028\u2029]", text))
    for problem in reported:
        assert 1 <= problem.line <= lines, problem
        assert problem.message
        assert "\n" not in str(problem)
    if not reported:
        assert load_pipeline(folder).name == "machines"


def test_pipeline_folders_are_the_shipped_ones_and_those_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = [folder.name for folder in pipeline_folders()]
    assert {"machine_failure", "tumour_diagnosis"} <= set(shipped)
    first = declare(tmp_path / "one", SHOWN_DIGITS, "apples")
    declare(tmp_path / "two", SHOWN_DIGITS, "apples")
    pears = declare(tmp_path / "two", SHOWN_DIGITS, "pears")
    folders = [tmp_path / "one", tmp_path / "two", tmp_path / "not_there"]
    monkeypatch.setenv("FACTORY_DEFS", os.pathsep.join(map(str, folders)))
    assert pipeline_folders()[len(shipped) :] == [first, pears]
    assert loader.new_pipelines_folder() == tmp_path / "one"
    monkeypatch.delenv("FACTORY_DEFS")
    assert loader.new_pipelines_folder() == loader.DEFS


def test_paths_are_shown_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(tmp_path, b"")
    monkeypatch.chdir(tmp_path)
    assert str(problems(Path("machines"))[0]).startswith("machines/defs.yaml:1: is empty")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=5,
)


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the place of every value below."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    inner = [(*at, key) for key, _ in items]
    nested = [n for n in inner if isinstance(_get(value, n[-1]), dict | list)]
    return inner + [place for n in nested for place in _places(_get(value, n[-1]), n)]


def _get(value: Any, key: Any) -> Any:
    return value[key]


_DATA = yaml.safe_load(FULL)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(place=st.sampled_from(_places(_DATA)), value=_JSON)
def test_any_value_in_any_place_loads_or_is_reported(
    tmp_path: Path, place: tuple[Any, ...], value: Any
) -> None:
    data = copy.deepcopy(_DATA)
    inner = data
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    text = json.dumps(data, indent=1)
    folder = declare(tmp_path, text)
    for problem in problems(folder):
        assert 1 <= problem.line <= len(text.split("\n"))
        assert "\n" not in str(problem)
        assert "pydantic" not in problem.message.lower()
        assert "Input should" not in problem.message


def test_no_pipeline_has_a_name_that_dagster_lets_no_job_have() -> None:
    from dagster._core.definitions.utils import DISALLOWED_NAMES

    assert {"class", "type", "config"} <= DISALLOWED_NAMES
    assert [name for name in DISALLOWED_NAMES if is_pipeline_name(name)] == []
    assert is_pipeline_name("types")
    assert is_pipeline_name("a" * 64)
