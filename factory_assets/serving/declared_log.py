"""What a pipeline declares for the log of its answers.

It is read from today's declaration, not from that of the model: what is kept is decided now.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from factory_assets.serving.logged_keys import LoggedKey, declared_keys
from factory_assets.spec import Column, Pipeline
from factory_resources.home.home import Home

if TYPE_CHECKING:
    from factory_resources.prediction_log.protection import Protection


_LONG, _SHORT = 3_650, 730
"""Days that answers are kept by default: of the risk tier `high`, and of others."""

_MODES: dict[str, Literal["commitment", "encrypted"]] = {
    "commit": "commitment",
    "encrypt": "encrypted",
}


def protection_of(pipeline: str, columns: Sequence[Column], home: Home) -> Protection | None:
    """Return what hides the sensitive values of these columns; None if none of them is sensitive.

    Raises:
        StorageError: the key cannot be read or written.
    """
    if not any(column.sensitive for column in columns):
        return None
    from factory_resources.prediction_log.protection import Protection

    declared = _declared(pipeline)
    mode = declared.spec.deploy.log.sensitive if declared else "commit"
    return Protection(home, pipeline, _MODES[mode])


def as_sensitive_as_declared(pipeline: str, columns: Sequence[Column]) -> tuple[Column, ...]:
    """Return the columns that a model reads, each as sensitive as it is declared by now.

    It may be declared so since the model was trained. What was sensitive then stays so.
    """
    declared = _declared(pipeline)
    levels = {
        column.source_name: column.sensitive
        for column in (declared.spec.ingest.contract.columns if declared else ())
        if column.sensitive
    }
    return tuple(
        column.model_copy(update={"sensitive": levels[column.source_name]})
        if column.source_name in levels and not column.sensitive
        else column
        for column in columns
    )


def keys_of(pipeline: str) -> tuple[LoggedKey, ...]:
    """Return the keys of the answers of a pipeline; none if it is not declared now.

    Raises:
        DeclarationError: its declaration does not load.
    """
    from factory_assets.declarations.loader import folders_by_name, load_pipeline

    folder = folders_by_name().get(pipeline)
    return declared_keys(load_pipeline(folder).spec) if folder else ()


def kept_days(pipeline: str) -> int:
    """Return how many days the answers of a pipeline are kept; long if it is not declared now."""
    declared = _declared(pipeline)
    if declared is None:
        return _LONG
    default = _LONG if declared.spec.risk.tier == "high" else _SHORT
    return declared.spec.deploy.log.days or default


def _declared(pipeline: str) -> Pipeline | None:
    from factory_assets.declarations.loader import pipeline_named

    return pipeline_named(pipeline)
