"""What an input's name, description or formula says of it: whether it is an outcome. No data.

Words are a hint, not a proof: they only warn, unless the input tells the target well.

The words by which a column's name or description says what it is: an outcome, or somebody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from factory_assets.spec import Pipeline
from factory_resources.sql.expressions import parse

_LETTERS = 4
"""A word of fewer letters is found in too many others."""


def meanings(pipeline: Pipeline, inputs: Iterable[str]) -> dict[str, str]:
    """The inputs that say that they are an outcome, each with how it says so."""
    target = pipeline.spec.training.target
    told = {c.name: c.description or "" for c in pipeline.spec.ingest.contract.columns}
    parents = _made_of(pipeline, target)
    found = {}
    for name in inputs:
        by_name = _outcome(words_of(name), target, "its name", OUTCOMES)
        description = words_of(told.get(name, ""))
        by_description = _outcome(description, target, "its description", TOLD_OUTCOMES)
        why = "the target is made of it" if name in parents else None
        if why := why or next(by_name, None) or next(by_description, None):
            found[name] = why
    return found


def _outcome(words: list[str], target: str, where: str, outcomes: frozenset[str]) -> Iterator[str]:
    own = words_of(target)
    last = own[-1] if own else ""
    joined = "".join(own)
    if len(joined) >= _LETTERS and joined not in VAGUE and joined in "".join(words):
        yield f"{where} holds the target's name"
    if len(last) >= _LETTERS and last not in VAGUE and last in words:
        yield f"{last!r} is in {where}, and in the target's"
    for word in words:
        if word in outcomes:
            yield f"{word!r} is in {where}"


def made_of_target(pipeline: Pipeline, inputs: Iterable[str]) -> list[str]:
    """The inputs in whose formula, or in that of a column in it, the target stands."""
    target = pipeline.spec.training.target
    spec = pipeline.spec.clean
    windowed = spec.windows.columns if spec.windows else ()
    # Reading formulas costs more than seeing that none names the target.
    if not any(target.casefold() in text.casefold() for text in (*spec.derive.values(), *windowed)):
        return []
    return [name for name in inputs if target in _made_of(pipeline, name)]


def _made_of(pipeline: Pipeline, made: str) -> set[str]:
    """The columns that a column of the clean table is made of, directly or not."""
    derived, windows = pipeline.spec.clean.derive, pipeline.spec.clean.windows
    over = {
        f"{column}_{statistic}": column
        for column in (windows.columns if windows else ())
        for statistic in (windows.statistics if windows else ())
    }
    found: set[str] = set()
    waiting = [made]
    while waiting:
        name = waiting.pop()
        of: tuple[str, ...] = (over[name],) if name in over else ()
        if name in derived:
            of += parse(derived[name], f"{pipeline.name}/clean: derive.{name}").columns
        waiting += (column for column in of if column not in found)
        found.update(of)
    return found - {made}


_OUTCOMES = {
    "what came out": """
        outcome outcomes result results label target truth actual prediction predicted
        ergebnis ausgang befund diagnose diagnosis
        """,
    "when it was over": """
        after afterwards post final finally resolution resolved closed closure discharge discharged
        """,
    "what went wrong": """
        failure failures failed defect defects fault faults cause churned cancelled canceled
        defaulted repaid ausfall ausfallgrund fehlerursache
        """,
    "who did not live": "death died deceased survived todesursache",
}

_NAMES = {
    "numbers": "id ids nr nbr no num number key uuid guid serial nummer kennung",
    "people": """
        patient person subject member customer client user account household employee student
        driver policy patienten kunde kunden konto vertrag
        """,
    "things": """
        machine unit engine device asset vehicle battery session visit encounter maschine anlage
        """,
}

_VAGUE = {
    "ends of names": """
        class code count date flag group id index kind level name number rate score state status
        time type value year
        """
}

_BIRTHS = {"days": "birth born dob birthday birthdate geburtsdatum geburtstag expiry expires"}


def _all(words: dict[str, str]) -> frozenset[str]:
    return frozenset(word for some in words.values() for word in some.split())


OUTCOMES = _all(_OUTCOMES)
"""Words for what is known only afterwards."""

TOLD_OUTCOMES = frozenset({"outcome", "outcomes", "afterwards", "ergebnis"})
"""Those that a description has only of such columns: a test before has results and defects too."""

NAMES = _all(_NAMES)
"""Words that the name of a column ends in whose values name somebody or something."""

VAGUE = _all(_VAGUE)
"""Words that a target may end in, and that say nothing of it."""

BIRTHS = _all(_BIRTHS)
"""Words for a date that is no time of the row."""


def words_of(text: str) -> list[str]:
    """In lower case: of `patient_nbr`, `patientNbr` and `Patient nbr` the same two."""
    parted = re.sub(r"([a-zß-ÿ0-9])([A-ZÀ-Þ])", r"\1 \2", text)
    return re.findall(r"[^\W\d_]+", parted.casefold())
