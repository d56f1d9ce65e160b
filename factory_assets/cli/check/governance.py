"""Find the mistakes in the `governance.yaml` of a pipeline, and what it lacks.

Checks of the file by itself belong in `factory_assets.declarations.governance`.
"""

from collections.abc import Iterator, Sequence

from factory_assets.audit.requirements.catalogue import catalogue
from factory_assets.declarations.governance import in_governance, read_governance
from factory_assets.declarations.loader import Problem, valid_pipelines
from factory_assets.declarations.messages import Mistake
from factory_assets.declarations.people import FILE as PEOPLE
from factory_assets.declarations.people import load_people
from factory_assets.declarations.yaml_document import At
from factory_assets.execution.requests import stages_of
from factory_assets.execution.responsibility import missing_responsibility, responsibility_remedy
from factory_assets.execution.stage_checks import declared_stage_checks, gates_of
from factory_assets.spec import Pipeline
from factory_assets.spec.base import suggest
from factory_assets.spec.governance import Governance


def governance_problems(pipeline: Pipeline) -> list[Problem]:
    """Return every mistake in the file; none if there is no file.

    Raises:
        DeclarationError: `people.yaml` is wrong.
    """
    governance, document, problems = read_governance(pipeline.folder)
    if governance is None:
        return problems
    found = [
        *_unknown_requirements(governance),
        *_unknown_people(governance),
        *_unknown_tests(pipeline, governance),
    ]
    return sorted(in_governance(pipeline.folder, document, found))


def governance_warnings(pipelines: Sequence[str] = ()) -> list[Problem]:
    """Return the pipelines whose versions may not serve, by what their file lacks.

    Those whose file has mistakes are left out.

    Args:
        pipelines: their names; empty for all.
    """
    warnings = []
    for folder, pipeline, document in valid_pipelines(pipelines):
        if read_governance(folder)[2]:
            continue
        if missing := missing_responsibility(pipeline):
            line = document.key_line(("attributes", "risk"))
            message = f"no version may serve: {missing}; {responsibility_remedy(pipeline)}"
            warnings.append(Problem(folder / "defs.yaml", line, "", message))
    return sorted(warnings)


def tests_of(pipeline: Pipeline) -> list[str]:
    """Return what a risk may name: gates, slices, protected columns and checks."""
    evaluate = pipeline.spec.evaluate
    checks = (
        name
        for stage in stages_of(pipeline)
        if stage != "evaluate"
        for name in declared_stage_checks(pipeline, stage)
    )
    gates = gates_of(pipeline) if pipeline.spec.train else ()
    return [*dict.fromkeys((*gates, *evaluate.slices, *evaluate.protected, *checks))]


def _unknown_requirements(governance: Governance) -> Iterator[Mistake]:
    asked = [one.id for one in catalogue().requirements if one.person]
    for name in governance.statements:
        if name not in asked:
            message = f"no requirement {name!r} asks a person; {suggest(name, asked)}"
            yield Mistake(("statements", name), message, at_key=True)


def _unknown_people(governance: Governance) -> Iterator[Mistake]:
    people = load_people()
    named: list[tuple[At, str | None]] = [(("owner",), governance.owner)]
    named += [(("oversight", i, "who"), one.who) for i, one in enumerate(governance.oversight)]
    named += [
        (("risks", i, "accepted_by"), one.accepted_by) for i, one in enumerate(governance.risks)
    ]
    for at, name in named:
        if name and "@" not in name and name not in people:
            hint = suggest(name, people) if people else "or write an e-mail address"
            yield Mistake(at, f"nobody in {PEOPLE} is called {name!r}; {hint}")


def _unknown_tests(pipeline: Pipeline, governance: Governance) -> Iterator[Mistake]:
    known = tests_of(pipeline)
    for i, risk in enumerate(governance.risks):
        for j, name in enumerate(risk.tests):
            if name not in known:
                message = f"defs.yaml declares no gate, check or slice {name!r}"
                yield Mistake(("risks", i, "tests", j), f"{message}; {suggest(name, known)}")
