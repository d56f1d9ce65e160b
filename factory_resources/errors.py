"""The errors that a person can act on: what is wrong, where, and what to do about it.

Every boundary raises one of these for a user's mistake or a fault of the machine; the command line
prints `str(error)` as one line and exits with `exit_code`, the Dagster asset fails with that line.
A fault of ours is any other exception and keeps its traceback.
"""


class FactoryError(Exception):
    """A fault with a remedy.

    Args:
        what: what is wrong, with the offending value.
        where: file, line, column, pipeline or stage; empty where there is none.
        remedy: what to do, listing the valid values where they are known.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str = "", remedy: str) -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(what)

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        line = " ".join(f"{line}; {self.remedy}".split())
        # Names and values come from data: none may command a terminal, or turn the line around.
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


class DeclarationError(FactoryError):
    """A `defs.yaml` that cannot be understood."""


class SourceError(FactoryError):
    """Source data that cannot be read."""


class ContractError(FactoryError):
    """Source data that breaks the contract as a whole table."""


class ExpressionError(FactoryError):
    """A declared SQL expression that is wrong or reaches for what it may not."""


class DataError(FactoryError):
    """Data that cannot be split, learned from or scored."""


class ModelError(FactoryError):
    """A model that cannot be built, stored, found or trusted."""


class StorageError(FactoryError):
    """The factory's home cannot be read or written."""


class SettingError(FactoryError):
    """A setting of the factory, in the environment, that makes no sense."""


class UnknownNameError(FactoryError):
    """A name of a model version, a snapshot or a source that names nothing, or several."""


class RefusedError(FactoryError):
    """What was asked is understood and not allowed: the gates have not passed."""

    exit_code = 1
