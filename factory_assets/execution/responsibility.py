"""Whether somebody is responsible for a pipeline of high risk, without which no version serves.

What `governance.yaml` may contain belongs in `spec.governance`.
"""

from factory_assets.declarations.governance import FILE, load_governance
from factory_assets.spec import Pipeline
from factory_resources.errors import DeclarationError, RefusedError

_NEEDED = {"owner": "no owner", "oversight": "no oversight", "risks": "no risk register"}


def missing_responsibility(pipeline: Pipeline) -> str | None:
    """Return what is missing before a version of the pipeline may serve; None if nothing is."""
    if pipeline.spec.risk.tier != "high" or pipeline.spec.train is None:
        return None
    try:
        declared = load_governance(pipeline.folder)
    except DeclarationError as error:
        return f"risk tier high, and {FILE} has a mistake ({error.where}: {error.what})"
    if declared is None:
        return f"risk tier high, and there is no {FILE}"
    missing = [words for key, words in _NEEDED.items() if not getattr(declared, key)]
    return f"risk tier high, and {FILE} has {' and '.join(missing)}" if missing else None


def require_responsibility(pipeline: Pipeline, where: str) -> None:
    """Require that a version of the pipeline may serve, as far as `governance.yaml` tells.

    Args:
        where: the name of the version.

    Raises:
        RefusedError: something is missing.
    """
    if missing := missing_responsibility(pipeline):
        raise RefusedError(missing, where=where, remedy=responsibility_remedy(pipeline))


def responsibility_remedy(pipeline: Pipeline) -> str:
    """Return what to do if something is missing."""
    if (pipeline.folder / FILE).exists():
        return f"complete {FILE}, beside defs.yaml"
    return f"write one: factory governance new {pipeline.name}"
