"""What hides sensitive values of each served model in the log.

What is declared is read in `serving.declared_log`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from factory_assets.serving.declared_log import protection_of
from factory_assets.serving.online.served_model import ServedModel
from factory_resources.home.home import Home

if TYPE_CHECKING:
    from factory_resources.prediction_log.protection import Protection


class Protections:
    """The protection of each pipeline of a home; made when it is first needed."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._made: dict[tuple[str, int], Protection | None] = {}

    def of(self, served: ServedModel) -> Protection | None:
        """Return what hides sensitive values; None if no logged column is sensitive.

        Raises:
            StorageError: the key cannot be read or written.
        """
        key = served.pipeline, served.version
        if key not in self._made:
            self._made[key] = protection_of(served.pipeline, served.logged_columns, self._home)
        return self._made[key]
