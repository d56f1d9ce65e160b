"""Errors that a user can act on: what is wrong, where, and what to do about it.

Every boundary raises one of these for a user's mistake or a fault of the machine. The command line
prints `str(error)` as one line and exits with `exit_code`; the Dagster asset fails with that line.
A bug of the factory is any other exception: the command line writes its traceback to a file.
"""

from errno import EMFILE, ENFILE

OUTPUT_REMEDY = "free space there or make the folder writable, or name another file"
"""What to do if something cannot be written where a user said."""

NO_MORE_FILES = frozenset({EMFILE, ENFILE})
"""What the operating system tells if a process, or the machine, may open no further file."""

FILES_REMEDY = "let fewer be open at once, or allow more: ulimit -n, or LimitNOFILE= of a service"
"""What to do then."""


class FactoryError(Exception):
    """An error with a remedy.

    Args:
        what: what is wrong, with the offending value.
        where: file, line, column, pipeline or stage; empty if there is none.
        remedy: what to do, with the valid values if they are known.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str = "", remedy: str) -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(what)

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        line = " ".join(f"{line}; {self.remedy}".split())
        # Names and values come from data: escape what could control a terminal or reverse the text.
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


class QuotedData(Exception):  # noqa: N818 - the name says what it is
    """What a message quotes of the data: the cause of its error, which is hidden with it where a
    column is sensitive."""


class DeclarationError(FactoryError):
    """A `defs.yaml` that is not valid."""


class SourceError(FactoryError):
    """Source data that cannot be read."""


class EncodingError(SourceError):
    """A text that does not have the declared encoding."""


class ContractError(FactoryError):
    """A source table that breaks the contract as a whole."""


class JoinError(ContractError):
    """A table that cannot be joined to the rows, whatever they are."""


class JoinedTableError(FactoryError):
    """Rows of a request to which no table can be joined; its cause is for the operator alone."""


class ExpressionError(FactoryError):
    """A declared SQL expression that is wrong or uses something that is not allowed."""


class DataError(FactoryError):
    """Data that cannot be split, used for training or scored."""


class ModelError(FactoryError):
    """A model that cannot be built, stored, found or trusted."""


class StorageError(FactoryError):
    """The factory's home cannot be read or written."""


class DatabaseAwayError(StorageError):
    """The database server of the factory cannot be used; later it may."""


class BoundaryError(FactoryError):
    """A boundary that cannot be set up, or not be tried."""


class WorkerError(FactoryError):
    """Processes that worked on the same request and ended without an answer."""


class ClusterError(FactoryError):
    """A cluster that is away, is open to everybody, or has nodes that are not like this machine."""


class AlertError(FactoryError):
    """An alert that was not taken."""


class IdentityProviderError(FactoryError):
    """An identity provider that cannot be asked, or answers what no provider may."""


class SettingError(FactoryError):
    """An environment variable of the factory whose value is not valid."""


class UnknownNameError(FactoryError):
    """A name of a model version, snapshot or source that matches nothing, or several."""


class LimitError(FactoryError):
    """Memory, threads or files of which the machine, or a limit of the process, allows no more."""


class UnexpectedError(FactoryError):
    """A fault of the factory itself, whose traceback was written to a file."""

    exit_code = 70


class KeyFileError(FactoryError):
    """A person's key that cannot be made or used."""


class RefusedError(FactoryError):
    """A valid request that is not allowed: gates did not pass, or an approval does not count."""

    exit_code = 1
