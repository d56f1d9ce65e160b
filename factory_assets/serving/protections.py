"""What hides the sensitive values of a pipeline in the prediction log, as it is declared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from factory_assets.serving.online.served_model import ServedModel
from factory_assets.spec import Column
from factory_assets.spec.deploy import AnswerLog
from factory_resources.errors import FactoryError
from factory_resources.home.home import Home

if TYPE_CHECKING:
    from factory_resources.prediction_log.protection import Protection


class Protections:
    """The protection of each pipeline of a home; made when it is first needed."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._made: dict[tuple[str, int], Protection | None] = {}

    def of(self, served: ServedModel) -> Protection | None:
        """Return what hides sensitive values; None if no column of the model is sensitive.

        Raises:
            StorageError: the key cannot be read or written.
        """
        key = served.pipeline, served.version
        if key not in self._made:
            self._made[key] = protection_of(served.pipeline, served.columns, self._home)
        return self._made[key]


def protection_of(pipeline: str, columns: Sequence[Column], home: Home) -> Protection | None:
    """Return what hides the sensitive values of these columns; None if none of them is sensitive.

    Raises:
        StorageError: the key cannot be read or written.
    """
    if not any(column.sensitive for column in columns):
        return None
    from factory_resources.prediction_log.protection import Protection

    return Protection(home, pipeline, declared_log(pipeline).sensitive)


def declared_log(pipeline: str) -> AnswerLog:
    """Return what the pipeline declares for its log; the default if it is not declared any more."""
    from factory_assets.declarations.loader import load_pipeline, pipeline_folders

    folders = {folder.name: folder for folder in pipeline_folders()}
    try:
        return load_pipeline(folders[pipeline]).spec.deploy.log
    except (KeyError, FactoryError):
        return AnswerLog()
