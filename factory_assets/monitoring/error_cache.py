"""The measured errors of estimates, kept beside the looks so that each look need not measure them.

They depend on the test rows of a version alone. What cannot be read is measured again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from factory_assets.ml.performance.estimation_error import EstimationErrors
from factory_assets.monitoring.looks import Looks
from factory_resources.home.home import storage_errors

_PREFIX = "errors-"


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    ratios: dict[str, list[float]]
    spreads: dict[str, float]


@dataclass(frozen=True)
class ErrorCache:
    """The errors of the version that was looked at last."""

    looks: Looks

    def recall(self, digest: bytes, measure: Callable[[], EstimationErrors]) -> EstimationErrors:
        """Return what was measured for the same digest before, or measure and keep it.

        Raises:
            StorageError: the disk cannot be written.
        """
        path = self.looks.folder / f"{_PREFIX}{digest.hex()}.json"
        found = _read(path) or self._keep(path, measure())
        return EstimationErrors(found.ratios, found.spreads)

    def _keep(self, path: Path, errors: EstimationErrors) -> _Stored:
        stored = _Stored(ratios=dict(errors.ratios), spreads=dict(errors.spreads))
        with self.looks.home.scratch() as scratch, storage_errors(path):
            made = scratch / path.name
            made.write_text(stored.model_dump_json(), encoding="utf-8")
            path.parent.mkdir(parents=True, exist_ok=True)
            for former in path.parent.glob(f"{_PREFIX}*.json"):
                former.unlink(missing_ok=True)
            made.rename(path)
        return stored


def _read(path: Path) -> _Stored | None:
    try:
        return _Stored.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
