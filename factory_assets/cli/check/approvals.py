"""Find the pipelines whose versions cannot be approved, since too few people may do it."""

from collections.abc import Sequence

from factory_assets.declarations.loader import Problem, valid_pipelines
from factory_assets.declarations.people import FILE as PEOPLE
from factory_assets.declarations.people import load_people
from factory_assets.spec import Approval


def approval_warnings(pipelines: Sequence[str] = ()) -> list[Problem]:
    """Return the pipelines that ask for more approvals than people in `people.yaml` could give.

    While it has nobody, whoever may approve is still to be named, and none is returned.

    Args:
        pipelines: their names; empty for all.

    Raises:
        DeclarationError: `people.yaml` is wrong.
    """
    people, warnings = load_people().values(), []
    for folder, pipeline, document in valid_pipelines(pipelines) if people else ():
        rule = pipeline.spec.deploy.approval
        if rule is None:
            continue
        able = sum(
            rule.by in one.roles and bool(one.keys and (one.account or not rule.four_eyes))
            for one in people
        )
        if able < rule.signatures:
            line = document.key_line(("attributes", "deploy", "approval"))
            message = (
                f"no version can be approved: it takes {_needed(rule)}, and {PEOPLE} has {able}"
            )
            warnings.append(Problem(folder / "defs.yaml", line, "", message))
    return sorted(warnings)


def _needed(rule: Approval) -> str:
    many = f"{rule.signatures} {'person' if rule.signatures == 1 else 'people'}"
    if rule.four_eyes:
        return f"{many} with the role {rule.by}, a key and, for four_eyes, an `account`"
    return f"{many} with the role {rule.by} and a key"
