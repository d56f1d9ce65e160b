"""How long answers are kept: old ones move to the archive, and those past their time are removed.

How they are moved and removed belongs in `factory_resources.prediction_log`.
"""

from __future__ import annotations

from datetime import date, timedelta

from factory_assets.serving.declared_log import kept_days
from factory_resources.home.home import Home
from factory_resources.prediction_log.archiving import RECENT, SHORTEST
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.tracking.registry import Registry


def apply_retention(log: PredictionLog, home: Home, today: date) -> int:
    """Archive answers that are older than a month, and remove what need not be kept any more.

    Returns:
        How many answers were removed.

    Raises:
        StorageError: the log cannot be written.
    """
    log.archive(today - RECENT)
    removed = 0
    for pipeline in Registry(home).versions():
        days = kept_days(pipeline)
        # Six months may be declared as 180 days, and have up to 184. Some keep answers for 9999
        # years, which is before the first date that there is.
        kept = min(max(days, SHORTEST.days), (today - date.min).days)
        before = today - timedelta(days=kept)
        removed += log.remove(pipeline, before, f"kept for {days} days, as declared")
    return removed
