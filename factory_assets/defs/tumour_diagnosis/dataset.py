"""The Wisconsin breast cancer data set of scikit-learn (UCI 17, W. Wolberg; CC BY 4.0)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def load() -> pd.DataFrame:
    """Return 569 tumours: 30 measures of their cell nuclei and `diagnosis`, benign or malignant."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer(as_frame=True)
    frame: pd.DataFrame = data.frame.drop(columns="target")
    frame.columns = [name.replace(" ", "_").lower() for name in frame.columns]
    frame["diagnosis"] = data.target_names[data.target].astype(str)
    return frame
