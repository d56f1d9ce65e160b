"""Recognise columns by their names, descriptions and formulas: outcomes, people, dates of birth.

Words are a hint, not a proof: they only cause a warning, unless the input also predicts the target
well. No data is read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile

from factory_assets.results.data import InputPair
from factory_assets.spec import Pipeline
from factory_resources.sql.expressions import parse

_LETTERS = 4
"""Fewest letters of a word that is searched: shorter ones are part of too many others."""


def outcome_reasons(pipeline: Pipeline, inputs: Iterable[str]) -> dict[str, str]:
    """Return the inputs that seem to be an outcome, each with the reason in words."""
    target = pipeline.spec.training.target
    descriptions = {c.name: c.description or "" for c in pipeline.spec.ingest.contract.columns}
    parents = _origins(pipeline, target)
    reasons = {}
    for name in inputs:
        by_name = _outcome(words_of(name), target, "its name", OUTCOMES)
        description = words_of(descriptions.get(name, ""))
        by_description = _outcome(description, target, "its description", DESCRIBED_OUTCOMES)
        why = "the target is computed from it" if name.casefold() in parents else None
        if why := why or next(by_name, None) or next(by_description, None):
            reasons[name] = why
    return reasons


def outcome_words(name: str, target: str) -> str:
    """Return why a column seems to be an outcome by its name alone; empty if it does not."""
    return next(_outcome(words_of(name), target, "its name", OUTCOMES), "")


def _outcome(words: list[str], target: str, where: str, outcomes: frozenset[str]) -> Iterator[str]:
    own = words_of(target)
    last = (before_per(own) or [""])[-1]
    joined = "".join(own)
    if len(joined) >= _LETTERS and joined not in VAGUE and joined in "".join(words):
        yield f"{where} contains the target's name"
    if len(last) >= _LETTERS and last not in VAGUE and last in words:
        yield f"{last!r} is in {where}, and in the target's"
    for word in words:
        if word in outcomes:
            yield f"{word!r} is in {where}"


def computed_from_target(pipeline: Pipeline, inputs: Iterable[str]) -> list[str]:
    """Return the inputs that are computed from the target, directly or through other columns."""
    target = pipeline.spec.training.target.casefold()
    spec = pipeline.spec.clean
    windowed = spec.windows.columns if spec.windows else ()
    # Searching the text for the target's name is cheaper than parsing the formulas.
    if not any(target in text.casefold() for text in (*spec.derive.values(), *windowed)):
        return []
    return [name for name in inputs if target in _origins(pipeline, name)]


def afterwards(pair: InputPair, power: Mapping[str, float]) -> tuple[str, ...]:
    """Return which columns of a pair seem to be known only afterwards.

    Both parts of a sum do; otherwise the one that is not named like a plan, or else that which
    tells more about the target by itself.
    """
    if pair.relation == "sum":
        return pair.columns
    name = unplanned(pair)
    return (name or max(pair.columns, key=lambda name: power.get(name, 0.0)),)


def unplanned(pair: InputPair) -> str | None:
    """Return the only column of a pair that is not named like a plan; None if names do not tell."""
    names = [name for name in pair.columns if not PLANS & set(words_of(name))]
    return names[0] if len(names) == 1 else None


def _origins(pipeline: Pipeline, derived_column: str) -> set[str]:
    """Return the columns that a clean column is computed from, directly or indirectly.

    Names are folded, because SQL ignores their case.
    """
    windows = pipeline.spec.clean.windows
    derived = {name.casefold(): (name, sql) for name, sql in pipeline.spec.clean.derive.items()}
    over = {
        name.casefold(): column.casefold()
        for column in (windows.columns if windows else ())
        for name in (windows.of(column) if windows else ())
    }
    own = derived_column.casefold()
    origins: set[str] = set()
    waiting = [own]
    while waiting:
        name = waiting.pop()
        of = [over[name]] if name in over else []
        if name in derived:
            declared, sql = derived[name]
            columns = parse(sql, f"{pipeline.name}/clean: derive.{declared}").columns
            of += [column.casefold() for column in columns]
        waiting += (column for column in of if column not in origins)
        origins.update(of)
    return origins - {own}


_OUTCOMES = {
    "results": """
        outcome outcomes result results label target truth actual prediction predicted
        ergebnis ausgang befund diagnose diagnosis
        """,
    "after the event": """
        after afterwards post final finally resolution resolved closed closure discharge discharged
        """,
    "failures": """
        failure failures failed defect defects fault faults cause churned cancelled canceled
        defaulted repaid ausfall ausfallgrund fehlerursache
        """,
    "deaths": "death died deceased survived todesursache",
}

_NAMES = {
    "numbers": "id ids nr nbr no num number key uuid guid serial nummer kennung",
    "people": """
        patient person subject member customer client user account household employee student
        driver policy patienten kunde kunden konto vertrag vertrags versicherten mitarbeiter
        mandanten probanden teilnehmer
        """,
    "things": """
        machine unit engine device asset vehicle battery session visit encounter maschine maschinen
        anlage anlagen fahrzeug gerät geräte
        """,
}

_VAGUE = {
    "ends of names": """
        attribute attributes class code col column count date feature field flag group id index kind
        level name number rate score state status time type value variable year
        """
}

_PLANS = {
    "plans": """
        scheduled schedule sched planned plan expected estimated estimate promised due budget
        budgeted forecast start started begin opened created geplant soll erwartet fällig faellig
        """
}

_BIRTHS = {
    "days": """
        birth born dob birthday birthdate geburtsdatum geburtstag geburt geb gebdat gebdatum
        naissance nacimiento nascita nascimento geboortedatum expiry expires
        """
}


def _all(words: dict[str, str]) -> frozenset[str]:
    return frozenset(word for some in words.values() for word in some.split())


OUTCOMES = _all(_OUTCOMES)
"""Words in the names of columns that are known only afterwards."""

DESCRIBED_OUTCOMES = frozenset({"outcome", "outcomes", "afterwards", "ergebnis"})
"""Outcome words in descriptions; the others also describe what is known before, such as the result
of an earlier test."""

NAMES = _all(_NAMES)
"""Last words in the names of columns whose values identify somebody or something."""

_COUNTS = frozenset(("anzahl", "anz", "zahl", "count"))
"""Words before such a one if a column says how many there are, and not which."""

_SEVERAL = frozenset(
    ("anlagen", "geräte", "kunden", "mandanten", "maschinen", "patienten", "probanden")
)
"""Such words that name several: numbers below them say how many there are."""

SUBJECTS = frozenset(f"{_NAMES['people']} {_NAMES['things']}".split())
"""Words for people and things of which there are several rows."""

VAGUE = _all(_VAGUE)
"""Last words in the name of a target that say nothing about it."""

PER = frozenset(("per", "je", "pro"))
"""Words before that for which something is measured."""

BIRTHS = _all(_BIRTHS)
"""Words for a date that does not say when the row happened."""


PLANS = _all(_PLANS)
"""Words in the names of columns that are known beforehand."""


SHORTENED = frozenset(
    (
        *("cust", "emp", "acct", "stud", "subj", "usubj", "hh"),
        *("pat", "kd", "masch", "mitgl", "pers", "vers"),
    )
)
"""Words for people that are shortened before a number, as in `custid`; alone they say nothing."""

_COUNTED = frozenset(
    (
        *("booking", "case", "claim", "item", "loan", "order", "product", "school", "shop"),
        *("store", "child", "company", "family", "firm", "hospital", "mother"),
        *("participant", "pupil"),
    )
)
"""Words that name something only before a number."""

_JOINED = re.compile(
    rf"(?<![^\W\d_])({'|'.join(sorted(SUBJECTS | SHORTENED | _COUNTED))})"
    r"(ids?|no|num|number|key)(?![^\W\d_])"
)
"""What is counted and its number, written as one word."""


def words_of(text: str) -> list[str]:
    """Return the words in lower case: the same for `patient_id`, `patientId` and `patientid`.

    A German compound such as `Kundennummer` has two. NO2 is no number.
    """
    return re.findall(r"[^\W\d_]+", re.sub(r"(?<![^\W\d_])no(?=\d)", "", parted(text)))


def is_count(words: list[str], *, whole: bool) -> bool:
    """Whether the words in the name of a column say how many there are, and not which.

    Args:
        whole: whether its values are whole numbers.
    """
    named = _COUNTS.intersection(words[:-1])
    return bool(named) or (whole and bool(_SEVERAL.intersection(words[-1:])))


def before_per(words: list[str]) -> list[str]:
    """Return the words that say what is measured: a price per night is a price."""
    return [*takewhile(lambda word: word not in PER, words)]


def parted(text: str) -> str:
    """Return the text in lower case, with a blank between words that are written as one."""
    apart = re.sub(r"([a-zß-ÿ0-9])([A-ZÀ-Þ])", r"\1 \2", text).casefold()
    apart = re.sub(r"([^\W\d_]{4,})(nummer|kennung|nr)(?![^\W\d_])", r"\1 \2", apart)
    return _JOINED.sub(r"\1 \2", apart)
