"""The words by which a column's name or description says what it is: an outcome, or somebody."""

import re

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
