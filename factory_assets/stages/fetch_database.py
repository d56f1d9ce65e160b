"""Tables and queries of databases as sources."""

from factory_assets.spec import DatabaseSource
from factory_assets.stages.found import Found, Place
from factory_resources.sources.databases.query import Question
from factory_resources.sources.databases.reader import read_database
from factory_resources.sources.files.discovery import expand_all


def found_database(source: DatabaseSource, place: Place) -> Found:
    """Known by what it answers: a database tells of no change in any cheaper way that is sure.

    Raises:
        SourceError: whatever the database says, in one line.
    """
    question = Question(
        database=source.database,
        table=source.table,
        query=source.query,
        key=source.key,
        parameters=expand_all(source.parameters),
        timeout=source.timeout,
    )
    raw = read_database(question, place.folder, place.home, place.scratch)
    return Found(raw.sha256, {}, lambda own: raw)
