"""What a look found. How it is found belongs in `look.py`."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class DriftFinding:
    """A change for which there is evidence."""

    column: str
    """Empty if it is the joint distribution that changed."""
    what: Literal["values", "missing", "joint"]
    evidence: float
    """In days: without any change it reaches D days within T days with a probability of at most
    T / D, over all columns and looks together."""
    effect: float
    """Between 0 and 1: the largest difference of distribution functions of a number, the total
    variation of a category, the difference of shares of missing values, |2 AUC - 1| of a joint
    shift; of the rows since the change, compared with the reference."""
    words: str
    """The effect, such as "median 310.1 → 312.4"."""
    since: int
    """How many looks ago it began; 0 is this one."""


@dataclass(frozen=True)
class DriftReport:
    """What a look found in all columns."""

    evidence: float
    """The largest evidence of all tests, in days."""
    findings: tuple[DriftFinding, ...]
    """Those with an evidence of at least 30 days, the strongest first."""

    def alarm(self, period: float, effect: float) -> tuple[DriftFinding, ...]:
        """Return the findings that are an alarm; none if there is no alarm.

        Args:
            period: days between false alarms, at least 30.
            effect: the smallest effect of which anybody wants to know, between 0 and 1.
        """
        return tuple(
            one for one in self.findings if one.evidence >= period and one.effect >= effect
        )
