"""What a model stores to say how sure it is of an answer: the bounds of its conformal regions.

Fitting them, and computing sets and intervals from them, belongs in `ml.artifacts.conformal`.
"""

from collections.abc import Iterator

from factory_assets.results.base import StageResult

_SHOWN = 3
"""How many groups with too few rows are named."""


class GroupBound(StageResult):
    """The bound of one group, or of one class."""

    group: str
    rows: int
    """The held-out rows of the group."""
    bound: float | None
    """None if there are too few rows; the bound of all rows then holds."""


class RegionBounds(StageResult):
    """How unusual the truth may be beside a prediction, at most, to be in its region.

    A region is a set of classes or an interval. Of a class, 1 minus its probability is compared
    with the bound; of a number, the distance to the prediction in units of the usual distance.
    """

    coverage: float
    """The share of regions that are to contain the truth."""
    abstain: bool = False
    by: str | None = None
    """The column of the groups, or the target if each class has its own bound."""
    rows: int
    """The held-out rows that the bounds are from."""
    fewest: int
    """How many it takes for this coverage."""
    bound: float | None
    """None if there are too few rows: every region then contains everything."""
    per_class: bool = False
    groups: tuple[GroupBound, ...] = ()
    """The groups; or the classes, in the order of the outputs."""
    edges: tuple[float, ...] = ()
    """Of numbers: the predictions at which another usual distance begins."""
    scales: tuple[float, ...] = ()
    """Of numbers: the usual distance, one more than `edges`; in the unit of the target."""

    @property
    def column(self) -> str | None:
        """The column that a row must have, besides the inputs of its prediction."""
        return None if self.per_class else self.by

    def problems(self) -> Iterator[str]:
        """Yield a line for all rows, or for each of some groups, too few for the coverage."""
        need = f"a coverage of {self.coverage:g} takes {self.fewest:,}"
        if self.bound is None:
            yield (
                f"uncertainty: {self.rows:,} held-out rows are too few ({need}): "
                "every set has all classes, every interval is infinite"
            )
            return
        few = [one for one in self.groups if one.bound is None]
        for one in few[:_SHOWN]:
            yield (
                f"uncertainty: {self.by} = {one.group} has {one.rows:,} held-out rows "
                f"({need}): the bound of all rows holds for it"
            )
        if more := len(few[_SHOWN:]):
            yield f"uncertainty: {more} more of {self.by} have too few, and the bound of all rows"

    def text(self) -> str:
        """Return what was promised, and from how many rows."""
        by = f", for each {self.by}" if self.by else ""
        return f"a coverage of {self.coverage:g}{by}, from {self.rows:,} held-out rows"
