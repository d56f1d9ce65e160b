"""The preview: what is listed of a plan, and that it names no value."""

from pathlib import Path

from factory_assets.erasure.plan import ErasurePlan, LearnedVersion, SourceRows, make_plan
from factory_assets.erasure.preview import champion_lines, preview_lines
from factory_assets.erasure.table_rows import PersonalRows
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_resources.home.home import Home
from tests.pipelines import declare


def _plan(**changed: object) -> ErasurePlan:
    parts: dict[str, object] = {
        "where": "name = 'Qwertz Uiopasdf'",
        "paths": frozenset[Path](),
        "rows": PersonalRows({"1" * 64: frozenset(range(1, 31))}),
        "rules": {},
        "sources": (SourceRows("data.csv", tuple(range(1, 31))),),
        "tables": {"people/clean": (1, 30)},
        "versions": (),
        "values": {"people": frozenset({"Qwertz Uiopasdf"})},
        "not_searched": 0,
        "matched": {"name": frozenset({"Qwertz Uiopasdf"})},
        "answers": {},
        "answered_rows": {},
        "unasked": {},
        "held": frozenset[str](),
        "partitions": {},
        "emptied": (),
        "backups": (),
    }
    return ErasurePlan(**{**parts, **changed})  # type: ignore[arg-type]


def _version(serves: bool = True, remembers: bool = False) -> LearnedVersion:
    return LearnedVersion("people", 3, 2, 1, 96, serves, remembers)


def test_it_says_nothing_of_nobody() -> None:
    [line] = preview_lines(_plan(tables={}))
    assert line.startswith("nothing satisfies the expression")


def test_it_says_which_answers_cannot_be_compared() -> None:
    hidden = {"people": ("name", "nbr")}
    told = "answers of people have protected values of name, nbr, which cannot be compared: "
    for plan in (_plan(tables={}, hidden=hidden), _plan(hidden=hidden)):
        assert any(line.startswith(told) for line in preview_lines(plan))


def test_long_lists_are_cut() -> None:
    lines = [*preview_lines(_plan())]
    assert "rows of sources: 30" in lines
    [listed] = [line for line in lines if line.startswith("  data.csv: ")]
    assert listed.endswith("19, 20 and 10 more")


def test_of_many_backups_the_newest_are_listed() -> None:
    made = tuple((number, f"2026-01-{number:02}") for number in range(25, 0, -1))
    lines = [*preview_lines(_plan(backups=made))]
    assert lines[-21:] == [
        *(f"  made 2026-01-{n:02} (entry {n})" for n in range(25, 5, -1)),
        "  and 5 before",
    ]


def test_no_value_is_named() -> None:
    plan = _plan(
        versions=(_version(remembers=True),),
        answers={"people": ("f" * 32,)},
        answered_rows={"people": 4},
        unasked={"people": ("name",)},
        backups=((7, "2026-01-01T00:00:00Z"),),
        not_searched=3,
    )
    text = "\n".join(preview_lines(plan))
    assert "Qwertz" not in text
    for part in (
        "people@3: 2 of 96 rows that it learned from, 1 that it was evaluated on; it serves",
        "its files contain values of them and are removed",
        "values that only these rows have: 1",
        "3 more are too short",
        "in whole requests with 4 rows",
        "made 2026-01-01T00:00:00Z (entry 7)",
    ):
        assert part in text


def test_only_of_a_version_that_serves_it_says_what_becomes_of_it() -> None:
    versions = (_version(), _version(serves=False))
    [line] = champion_lines(_plan(versions=versions), [])
    assert line == "people@3 serves until a new version does; people is trained again"


def _with_joined_names(root: Path) -> Home:
    """Make `people`, `visits` that joins their names by a number that it does not keep, and
    `letters` from elsewhere, which have names alone."""
    _write(root / "people.csv", ["nbr,name", "17,Qwertz Uiopasdf", "18,Yxcvbn Mlkjhg"])
    _write(root / "visits.csv", ["nbr,pulse", "17,60.5", "18,70.5", "17,80.5"])
    _write(root / "letters.csv", ["name,town", "Qwertz Uiopasdf,Ulm-Donau", "A. Other,Ulm-Donau"])
    columns = {name: {"name": name, "type": "string"} for name in ("nbr", "name", "pulse")}
    people = {"files": "../../people.csv"}
    ingests = {
        "people": {"source": people, "contract": [columns["nbr"], columns["name"]]},
        "visits": {
            "source": {"files": "../../visits.csv"},
            "joins": {"people": {"source": people, "on": "nbr"}},
            "contract": [columns["name"], columns["pulse"]],
        },
        "letters": {"source": {"files": "../../letters.csv"}},
    }
    home = Home(root / "home")
    for name, ingest in ingests.items():
        pipeline = declare(root / "defs" / name, {"purpose": "Beats", "ingest": ingest})
        run_stage(StageRequest(pipeline, "ingest", home, "run"))
    return home


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join([*lines, ""]))


def test_a_pipeline_that_has_such_values_is_named_if_it_cannot_be_asked(
    tmp_path: Path,
) -> None:
    home = _with_joined_names(tmp_path)

    def plan(where: str) -> ErasurePlan:
        with home.scratch() as scratch:
            return make_plan(where, [], home, scratch)

    by_number, by_name = plan("nbr = '17'"), plan("name LIKE 'Qwertz%'")
    told = (
        "visits joins ../../people.csv: values that its rows got there are not found; "
        "erase them, too, by a command with columns of visits"
    )
    assert any(line.startswith(told) for line in preview_lines(by_number))
    alike = [line for line in preview_lines(by_number) if "texts of these rows" in line]
    assert [line.partition(" ")[0] for line in alike] == ["letters"]
    assert by_number.tables == {"people/ingest": (1, 1)}
    assert not any("joins" in line or "texts of" in line for line in preview_lines(by_name))
    found = {"letters/ingest": (1, 1), "people/ingest": (1, 1), "visits/ingest": (1, 2)}
    assert by_name.tables == found
