"""Split: assign each clean row to exactly one of train, validation and test, reproducibly.

The random order is the MD5 of the seed and the row's position in its source, so that neither the
order in which the engine reads rows nor its number of threads matters. The search for leaks belongs
in `data.leakage`, the parts of a split by time in `data.time_split`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from factory_assets.data.given_split import unmarked_part
from factory_assets.data.leakage.detection import find_leaks
from factory_assets.data.profiling.spellings import find_spellings
from factory_assets.data.text_order import ordering_texts, require_sortable_texts
from factory_assets.data.time_split import latest_moments
from factory_assets.data.transforms.column_lineage import inputs_of_other_rows
from factory_assets.ml.features.columns import input_columns, read_columns
from factory_assets.results.data import CleanResult, SplitResult
from factory_assets.spec import Pipeline, SplitRule
from factory_resources.errors import DataError
from factory_resources.home.home import Home
from factory_resources.sources.files.reader import numbered
from factory_resources.sql.engine import engine_errors, identifier, literal, sealed
from factory_resources.sql.expressions import suggestion
from factory_resources.tables.snapshot import fetched_paths, require_unchanged
from factory_resources.tables.writer import StagedTable, keep, prepare

if TYPE_CHECKING:
    import duckdb

PARTS = ("train", "validation", "test")

_LARGEST = 1e150
"""Largest absolute value of a number to predict: the squares of larger ones are infinite, or their
sum is."""


def split(pipeline: Pipeline, cleaned: CleanResult, home: Home) -> SplitResult:
    """Store the three parts, each in the order of the clean rows.

    Raises:
        DataError: the target is missing, constant, too large or a date, a named column is missing
            or has missing values, rows are ordered by texts that letters do not order, a part is
            empty, or a class occurs in no training row.
        StorageError: the disk refuses to write, or a file of the clean rows was changed.
    """
    rule, target = pipeline.spec.split, pipeline.spec.training.target
    where = f"{pipeline.name}/split"
    _require_columns(rule, target, tuple(cleaned.snapshot.columns), where)
    source = fetched_paths(cleaned.snapshot, home)
    require_unchanged(source)
    with (
        home.scratch() as scratch,
        sealed(read=source, write=scratch) as connection,
        engine_errors(where, DataError, "correct the split"),
    ):
        numbers = numbered(source, [file.rows for file in cleaned.snapshot.files])
        connection.execute(f"CREATE TEMP VIEW source AS {numbers}")
        _require_type(connection, pipeline, cleaned.snapshot.columns[target], where)
        _require_target(connection, target, cleaned.snapshot.columns[target], where)
        _require_finite_loss(connection, pipeline, cleaned.snapshot.columns[target], where)
        _require_values(connection, rule, cleaned.snapshot.columns, where)
        ordering = ordering_texts(pipeline)
        require_sortable_texts(connection, ordering, cleaned.snapshot.columns, where)
        connection.execute(f"CREATE TEMP TABLE parts AS {_assignment(rule)}")
        prepared = {
            part: prepare(
                connection,
                "SELECT source.* EXCLUDE (_order) FROM source JOIN parts USING (_order) "
                f"WHERE _part = {literal(part)} ORDER BY _order",
                table=f"{where}_{part}",
                folder=scratch,
            )
            for part in PARTS
        }
        _require_parts(connection, prepared, pipeline, cleaned.snapshot.rows, where)
        _require_classes(connection, rule, target, cleaned.snapshot.columns[target], where)
        counts = {part: prepared[part].rows for part in PARTS}
        inputs = input_columns(pipeline, cleaned.snapshot.columns)
        place = f"{pipeline.name}/clean: derive"
        for _, error in inputs_of_other_rows(pipeline.spec.clean, inputs, place):
            raise error
        read = read_columns(pipeline, cleaned.snapshot.columns)
        leaks = find_leaks(connection, pipeline, cleaned.snapshot.columns, read, counts)
        spellings = find_spellings(connection, pipeline, cleaned.snapshot.columns, inputs)
        parts = {part: keep(prepared[part], home, f"{where}_{part}") for part in PARTS}
        return SplitResult(**parts, leaks=leaks, spellings=spellings)


def _assignment(rule: SplitRule) -> str:
    """Return SQL for (_order, _part) of every row; no data column starts with an underscore."""
    test, validation = _share(rule.test), _share(rule.validation)
    if rule.given:
        return _given(rule, validation)
    if rule.group:
        return _by_group(rule, "true", test, validation)
    if rule.time:
        return latest_moments(rule.time, test, validation)
    return _cut(_ranked(rule.seed, rule.stratify, "true"), test, validation)


def _share(share: float) -> str:
    return f"CAST(floor({share!r} * n + 0.5) AS BIGINT)"


def _cut(ranked: str, test: str, validation: str) -> str:
    return (
        f"SELECT _order, CASE WHEN rank <= {test} THEN 'test' "
        f"WHEN rank <= {test} + {validation} THEN 'validation' ELSE 'train' END AS _part "
        f"FROM ({ranked})"
    )


def _ranked(seed: int, stratify: str | None, where: str) -> str:
    """Return SQL that ranks the rows in random order, within each value of a column if given."""
    chance = f"md5(concat_ws(':', {seed}, _place, _row))"
    strata = f"PARTITION BY {identifier(stratify)}" if stratify else ""
    # A window over all rows only to count them would take a fifth of the time.
    count = (
        f"count(*) OVER ({strata})" if strata else f"(SELECT count(*) FROM source WHERE {where})"
    )
    return (
        f"SELECT _order, row_number() OVER ({strata} ORDER BY {chance}, _order) AS rank, "
        f"{count} AS n FROM (SELECT source.*, _place FROM source JOIN ("
        # The position of the file, not its digest: edits in it must not move other rows.
        "SELECT _file, row_number() OVER (ORDER BY min(_order)) AS _place "
        f"FROM source GROUP BY _file) USING (_file) WHERE {where})"
    )


def _by_group(rule: SplitRule, where: str, test: str, validation: str) -> str:
    """Return SQL that keeps groups whole; rows without a group form one group."""
    group = identifier(rule.group or "")
    key = f"coalesce('=' || CAST({group} AS VARCHAR), '')"
    ranked = (
        # `_cut` keeps what is called _order: here, groups in place of rows.
        "SELECT key AS _order, "
        f"row_number() OVER (ORDER BY md5('{rule.seed}:' || key), key) AS rank, "
        f"count(*) OVER () AS n FROM (SELECT DISTINCT {key} AS key FROM source WHERE {where})"
    )
    cut = _cut(ranked, test, validation)
    return (
        f"SELECT source._order, _part FROM source JOIN ({cut}) AS groups "
        f"ON groups._order = {key} WHERE {where}"
    )


def _given(rule: SplitRule, validation: str) -> str:
    assert rule.given is not None
    column = f"CAST({identifier(rule.given.column)} AS VARCHAR)"
    test = f"coalesce({column} IN ({_texts(rule.given.test)}), false)"
    tests = f"SELECT _order, 'test' AS _part FROM source WHERE {test}"
    rest = f"NOT {test}"
    if rule.given.validation:
        named = f"coalesce({column} IN ({_texts(rule.given.validation)}), false)"
        others = (
            f"SELECT _order, CASE WHEN {named} THEN 'validation' ELSE 'train' END "
            f"FROM source WHERE {rest}"
        )
    elif rule.group:
        others = _by_group(rule, rest, "0", validation)
    else:
        others = _cut(_ranked(rule.seed, None, rest), "0", validation)
    return f"{tests} UNION ALL {others}"


def _texts(values: tuple[str, ...]) -> str:
    return ", ".join(literal(value) for value in values)


def _require_columns(rule: SplitRule, target: str, columns: tuple[str, ...], where: str) -> None:
    given = rule.given.column if rule.given else None
    named = {
        "train.target": target,
        "split.stratify": rule.stratify,
        "split.group": rule.group,
        "split.time": rule.time,
        "split.given.column": given,
    }
    for place, name in named.items():
        if name is not None and name not in columns:
            shown = tuple(column for column in columns if not column.startswith("_"))
            raise DataError(
                f"{place}: there is no column {name!r}",
                where=where,
                remedy=suggestion(name, shown),
            )


def _require_type(
    connection: "duckdb.DuckDBPyConnection", pipeline: Pipeline, kind: str, where: str
) -> None:
    """Require a target that can be predicted: no date, and no text where numbers are declared."""
    target, task = pipeline.spec.training.target, pipeline.spec.training.task
    name = identifier(target)
    if kind in ("DATE", "TIMESTAMP"):
        raise DataError(
            f"target {target!r} is a {kind.lower()}, not a number or a class",
            where=where,
            remedy="predict a number that clean.derive makes of it, such as "
            f"`days: date_diff('day', DATE '2024-01-01', {name})`, and exclude it",
        )
    if kind != "VARCHAR" or task != "regression":
        return
    row = connection.execute(
        f"SELECT any_value({name}) FROM source WHERE TRY_CAST({name} AS DOUBLE) IS NULL"
    ).fetchone()
    if row and row[0] is not None:
        raise DataError(
            f"target {target!r} has texts such as {row[0]!r}, which are not numbers",
            where=where,
            remedy="set train.task to binary or multiclass, or name a numeric target",
        )


def _require_target(
    connection: "duckdb.DuckDBPyConnection", target: str, kind: str, where: str
) -> None:
    name = identifier(target)
    unknown = f"{name} IS NULL" + (f" OR NOT isfinite({name})" if kind == "DOUBLE" else "")
    row = connection.execute(
        f"SELECT count(*) FILTER (WHERE {unknown}), count(*), "
        f"count(DISTINCT {name}) FILTER (WHERE NOT ({unknown})), any_value({name}) FROM source"
    ).fetchone()
    missing, rows, values, example = row or (0, 0, 0, None)
    if missing:
        raise DataError(
            f"target {target!r} is missing, NaN or infinite in {missing} of {rows} rows",
            where=where,
            remedy="send such rows to quarantine: `nullable: false` in the contract, or a rule in "
            f"clean.where such as `{name} IS NOT NULL`",
        )
    if values == 1:
        raise DataError(
            f"target {target!r} is {str(example)!r} in every row",
            where=where,
            remedy="a model needs at least two values; check the target, the source and the rules",
        )


def _predicts_numbers(pipeline: Pipeline, kind: str) -> bool:
    """Whether a target of this type is surely a number; only the data tells of whole numbers."""
    task = pipeline.spec.training.task
    return task == "regression" or (task is None and kind == "DOUBLE")


def _require_finite_loss(
    connection: "duckdb.DuckDBPyConnection", pipeline: Pipeline, kind: str, where: str
) -> None:
    """Require that the squared errors of a number to predict can be summed, in every part."""
    target = pipeline.spec.training.target
    if kind != "DOUBLE" or not _predicts_numbers(pipeline, kind):
        return
    name = identifier(target)
    row = connection.execute(
        f"SELECT count(*), max(abs({name})) FROM source WHERE abs({name}) > {_LARGEST!r}"
    ).fetchone()
    if row and row[0]:
        raise DataError(
            f"target {target!r} is as large as {row[1]:g} ({row[0]} row{'s' * (row[0] != 1)} above "
            f"{_LARGEST:g}), so that the loss of every model would be infinite",
            where=where,
            remedy="send such rows to quarantine: a `range` in the contract, or a rule in "
            f"clean.where such as `abs({name}) < 1e9`; or predict a logarithm from clean.derive",
        )


def _require_values(
    connection: "duckdb.DuckDBPyConnection",
    rule: SplitRule,
    columns: Mapping[str, str],
    where: str,
) -> None:
    if not rule.time:
        return
    name = identifier(rule.time)
    # The engine sorts NaN behind all numbers, as if it were the latest moment.
    unknown = f"{name} IS NULL" + f" OR isnan({name})" * (columns[rule.time] == "DOUBLE")
    row = connection.execute(f"SELECT count(*) FROM source WHERE {unknown}").fetchone()
    if row and row[0]:
        raise DataError(
            f"split.time {rule.time!r} is missing in {row[0]} row{'s' * (row[0] != 1)}",
            where=where,
            remedy="add a rule in clean.where, or `nullable: false` in the contract",
        )


def _require_parts(
    connection: "duckdb.DuckDBPyConnection",
    prepared: dict[str, StagedTable],
    pipeline: Pipeline,
    rows: int,
    where: str,
) -> None:
    rule = pipeline.spec.split
    counts = {part: prepared[part].rows for part in PARTS}
    if sum(counts.values()) != rows:
        raise RuntimeError(f"{where}: rows were lost or added between clean and split")
    for part, count in counts.items():
        if not count:
            if rule.given and getattr(rule.given, part, None):
                raise unmarked_part(connection, pipeline, part, where)
            largest = _largest_stratum(connection, rule)
            strata = f", at most {largest} in each of split.stratify {rule.stratify!r}"
            target = pipeline.spec.training.target
            is_number = _predicts_numbers(pipeline, prepared[part].columns[target])
            classes = None if is_number else target
            raise DataError(
                f"no row is left for {part} ({rows} rows in all{strata if largest else ''})",
                where=where,
                remedy=rule.remedy_for_parts(classes, largest),
            )


def _largest_stratum(connection: "duckdb.DuckDBPyConnection", rule: SplitRule) -> int | None:
    """Return how many rows have the most frequent value of `stratify`; None without it.

    Shares of fewer than half a row are none, and all values may be so rare.
    """
    if not rule.stratify:
        return None
    row = connection.execute(
        f"SELECT count(*) FROM source GROUP BY {identifier(rule.stratify)} ORDER BY 1 DESC LIMIT 1"
    ).fetchone()
    return int(row[0]) if row else None


def _require_classes(
    connection: "duckdb.DuckDBPyConnection", rule: SplitRule, target: str, kind: str, where: str
) -> None:
    """Require every class in training: of text always, of numbers if there are only two."""
    name = identifier(target)
    rows = connection.execute(
        f"SELECT CAST({name} AS VARCHAR), count(*) FILTER (WHERE _part = 'train'), count(*) "
        f"FROM source JOIN parts USING (_order) GROUP BY 1 ORDER BY 1 LIMIT 1001"
    ).fetchall()
    if kind not in {"VARCHAR", "BOOLEAN"} and len(rows) > 2:
        return
    largest = max(everywhere for _, _, everywhere in rows)
    for value, training, everywhere in rows:
        if not training:
            raise DataError(
                f"class {value!r} of target {target!r} ({everywhere} "
                f"row{'s' * (everywhere != 1)}) is in no training row",
                where=where,
                remedy=rule.remedy_for_classes(target, largest),
            )
