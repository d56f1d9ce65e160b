"""Load NASA's C-MAPSS engine files as one table of measurements and remaining cycles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "unit",
    "cycle",
    *(f"setting_{i}" for i in range(1, 4)),
    *(f"sensor_{i}" for i in range(1, 22)),
)


def load(folder: str, subset: str = "FD001") -> pd.DataFrame:
    """Return one row per cycle of an engine.

    The column `part` is train or test, `remaining` the number of cycles until failure. Training
    engines run until they fail. Test engines are cut off earlier; a separate file contains how many
    cycles were left then, one line per engine.
    """
    import pandas as pd

    left = pd.read_csv(Path(folder) / f"RUL_{subset}.txt", sep=r"\s+", names=["left"])["left"]
    left.index += 1  # engines count from 1
    train = _read(Path(folder), "train", subset)
    test = _read(Path(folder), "test", subset)
    train["remaining"] = _last_cycle(train) - train["cycle"]
    test["remaining"] = _last_cycle(test) - test["cycle"] + test["unit"].map(left)
    both = pd.concat([train, test], ignore_index=True)
    # Both files number their engines from 1, so engine 7 of one is not engine 7 of the other.
    both["unit"] = both["part"] + "-" + both["unit"].astype(str)
    return both


def _read(folder: Path, part: str, subset: str) -> pd.DataFrame:
    import pandas as pd

    rows = pd.read_csv(folder / f"{part}_{subset}.txt", sep=r"\s+", names=list(COLUMNS))
    return rows.assign(part=part)


def _last_cycle(rows: pd.DataFrame) -> pd.Series[int]:
    return rows.groupby("unit")["cycle"].transform("max")
