"""Packages that the process of the front door does without, for they would take 70 MB of it.

MLflow and pandas import them where they are installed, and work without: the distribution
`mlflow-skinny` requires none of them. The front door shows what was recorded and computes nothing.
What a process may reach over the network belongs in `factory_resources.security.offline`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

WITHOUT = frozenset(
    {
        "numpy",
        "pandas",
        "pyarrow",
        "scipy",
        # MLflow's own logins, which a search of runs asks for. The front door lets people in.
        "mlflow.server.auth",
    }
)
"""Modules, each with everything in it."""


def refuse_imports() -> None:
    """Let the modules of `WITHOUT` be missing in this process from now on.

    Importing one raises ModuleNotFoundError, as if it were not installed.
    """
    sys.meta_path.insert(0, _Refusal())


class _Refusal(MetaPathFinder):
    """Is asked before the finders that would find the modules."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in WITHOUT:
            raise ModuleNotFoundError(
                f"the front door does without {fullname}: see {__name__}", name=fullname
            )
        return None
