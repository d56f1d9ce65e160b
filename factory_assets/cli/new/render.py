"""Write a profile and the recommendations for it as the text of a `defs.yaml`, with comments."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import yaml

from factory_assets.cli.new.column_summary import ColumnSummary
from factory_assets.cli.new.derived import sql_name
from factory_assets.cli.new.header import MISSING_TOKENS
from factory_assets.cli.new.oddities import AMOUNT
from factory_assets.cli.new.profile import FileProfile
from factory_assets.cli.new.recommend import Recommendation
from factory_assets.cli.new.roles import TIMES, is_dispensable, personal_data_reason
from factory_assets.cli.new.yaml_text import comment, gates, heading, printable, yaml_string
from factory_assets.declarations.yaml_document import scalar
from factory_assets.ml.features.times import LONG
from factory_resources.sql.engine import literal

_ASKED = 10
"""How many columns that may reveal the target get a comment of their own: a spectrum has many."""

_LINES, _LINE = 3, 60
"""How many lines or files that are not read are shown, and how many characters of each."""

_PERSONAL_INPUT = " It is an input: add it to train.exclude if it only tells who somebody is"


def render(table: FileProfile, choices: Recommendation, *, file: str, schema: str) -> str:
    """Return the text of the whole file.

    Args:
        table: the profile of the data file.
        choices: the decisions for it.
        file: the path of the data file as the declaration names it.
        schema: the comment that names the schema to editors; may be empty.
    """
    target = choices.target_name
    lines = [
        *heading(target),
        *_source(table, file),
        *_missing(table, choices),
        "    contract:  # columns as found in the file; add range and values that you know",
        *_contract(table, choices),
        "",
        *_clean(choices),
        *_split(choices, target),
        "",
        *_train(choices, target),
        "",
        *_evaluate(choices),
    ]
    return schema + "\n".join(lines) + "\n"


def _source(table: FileProfile, file: str) -> Iterator[str]:
    parts = [f"files: {yaml_string(file)}"]
    if table.member:
        parts.append(f"member: {yaml_string(table.member)}")
    if table.rules.delimiter:
        parts.append(f"delimiter: {yaml_string(table.rules.delimiter)}")
    if table.rules.encoding != "utf-8":
        parts.append(f"encoding: {table.rules.encoding}")
    note = ""
    if table.rules.skip:
        parts.append(f"skip: {table.rules.skip}")
    if not table.rules.header:
        parts.append("header: false")
        note = "  # line 1 is a row; give each column a name below, and keep its `from`"
    if table.rules.columns:
        parts.append(f"columns: {_listed(table.rules.columns)}")
        note = "  # as the lines above the first row name them"
    if table.rules.until:
        parts.append(f"until: {yaml_string(table.rules.until)}")
    if table.other_members:
        yield f"    {comment(_other_members(table.other_members))}"
    if table.unread:
        yield f"    {comment(_unread(table.unread))}"
    for name, why in table.unread_columns.items():
        yield f"    {comment(f'column {name} is not read: {why}')}"
    if table.headers:
        lines = "1 line repeats" if table.headers == 1 else f"{table.headers} lines repeat"
        yield f"    # {lines} the column names among the rows, for the quarantine"
    yield f"    source: {{{', '.join(parts)}}}{note}"


def _unread(lines: Sequence[str]) -> str:
    """Describe the lines below the rows, so that whoever knows the file sees if they are rows."""
    shown = [_short(line, _LINE) for line in lines[:_LINES]]
    more = [f"and {len(lines) - _LINES} more"] * (len(lines) > _LINES)
    count = (
        "1 line below the rows is" if len(lines) == 1 else f"{len(lines)} lines below the rows are"
    )
    return f"{count} not read: {' | '.join([*shown, *more])}"


def _other_members(names: Sequence[str]) -> str:
    """Tell which files of the zip are not read, and how all of them are."""
    shown = [_short(name, _LINE) for name in names[:_LINES]]
    more = [f"and {len(names) - _LINES} more"] * (len(names) > _LINES)
    every = f'files: "FOLDER/*{PurePath(names[0]).suffix}"'
    return (
        f"not read, though in the zip: {', '.join([*shown, *more])}; if they are rows of the same "
        f"table, unpack the zip and declare {every}"
    )


def _missing(table: FileProfile, choices: Recommendation) -> Iterator[str]:
    used = {token for column in table.columns for token in column.tokens}
    common = [token for token in MISSING_TOKENS if token in used]
    if common:
        tokens = ", ".join(['""', *(yaml_string(token) for token in common)])
        yield f'    missing: [{tokens}]  # tokens that mean "no value"'
    column = choices.target.column
    share = 1 - column.present / table.rows if column else 0.0
    if share > 0.45:
        why = f"{share:.0%} of the rows have no target"
        yield f"    max_quarantine: {min(1.0, share + 0.05):.2f}  {comment(why)}"


def _contract(table: FileProfile, choices: Recommendation) -> Iterator[str]:
    entries = []
    for column in table.columns:
        name = choices.texts.get(column.source, choices.names[column.source])
        parts = [f"name: {yaml_string(name)}"]
        if name != column.source or not table.rules.header:
            parts.append(f"from: {yaml_string(column.source)}")
        parts.append(f"type: {'string' if column.written else column.type}")
        if column.pattern:
            parts.append(f"pattern: {yaml_string(column.pattern)}")
        if unit := choices.units.get(column.source):
            parts.append(f"unit: {yaml_string(unit)}")
        if own := [token for token in column.tokens if token not in MISSING_TOKENS]:
            parts.append(f"missing: [{', '.join(yaml_string(token) for token in own)}]")
        splits = column in (choices.split.time, choices.split.group)
        if column is choices.target.column or (splits and is_dispensable(column, table.rows)):
            parts.append("nullable: false")
        odd = column.oddity or _codes(column) or _in_units(column, name)
        said = "; ".join(filter(None, (_values(column, table.rows), odd)))
        if why := personal_data_reason(column, table.examples(column)):
            said = f"{why}: personal data?"
            if column is not choices.target.column:
                parts.append("sensitive: personal")
                said += _PERSONAL_INPUT * (name not in choices.exclude)
        said = "; ".join(filter(None, (said, column.note)))
        entries.append((f"      - {{{', '.join(parts)}}}", said))
    width = min(88, max(len(entry) for entry, _ in entries))
    for entry, said in entries:
        yield f"{entry:<{width}}  {comment(said)}"


def _codes(column: ColumnSummary) -> str:
    """Tell which few texts keep numbers from being read as such."""
    if column.numbers is None:
        return ""
    texts = ", ".join(repr(text[:20]) for text in column.numbers.no_numbers)
    return (
        f"numbers, but also {texts}: if these are no codes, write numbers alone, and nothing where "
        "there is none, to get a column of numbers"
    )


def _in_units(column: ColumnSummary, name: str) -> str:
    """Tell how numbers with units become one column of numbers and, of several, one of units."""
    if column.in_units is None:
        return ""
    text, amount = sql_name(name), literal(AMOUNT)
    number = column.in_units.written or "TRY_CAST({} AS DOUBLE)"
    number = number.replace("{}", f"regexp_extract({text}, {amount})")
    units, derived = column.in_units.tokens, f"{name}_number: {_sql(number)}"
    several = "several units, " * (len(units) > 1)
    if several:
        unit = f"trim(regexp_replace({text}, {amount}, ''))"
        derived += f" and {name}_unit: {_sql(unit)}"
    told = (
        f"numbers in {several}{', '.join(map(repr, units))}: add {derived} to clean.derive, and "
        f"{name} to train.exclude"
    )
    return "; ".join(filter(None, (told, column.in_units.note)))


def _clean(choices: Recommendation) -> Iterator[str]:
    windows = choices.windows
    if not (choices.unify or choices.deduplicate or choices.derive or windows):
        return
    yield "  clean:"
    if choices.where:
        yield "    where:  # no date is a 31st of February"
        for rule in choices.where:
            yield f"      {rule.name}: {_sql(rule.sql)}"
    if choices.unify:
        yield "    # Some of their values differ only in case, blanks or Unicode form."
        yield f"    unify: {_listed(choices.unify)}"
    if choices.deduplicate:
        yield "    # Some rows are repeated in full; the first of each is kept."
        yield f"    deduplicate: {_listed(choices.deduplicate)}"
    if choices.derive:
        yield "    derive:"
        for column in choices.derive:
            said = f"  {comment(column.comment)}" if column.comment else ""
            yield f"      {yaml_string(column.name)}: {_sql(column.sql)}{said}"
    if windows:
        yield "    windows:  # recent level, spread and trend of each column"
        yield f"      by: {yaml_string(windows.by)}"
        yield f"      order: {yaml_string(windows.order)}"
        yield f"      size: [{', '.join(map(str, windows.size))}]"
        yield f"      columns: {_listed(windows.columns)}"
        yield f"      statistics: {_listed(windows.statistics)}"
    yield ""


def _sql(expression: str) -> str:
    """Return an expression as YAML, without quotes if it is read back unchanged."""
    is_plain = expression[:1].isalpha() and scalar(expression) == expression
    if is_plain and yaml.safe_load(f"sql: {expression}") == {"sql": expression}:
        return expression
    return yaml_string(expression)


def _listed(names: Iterable[str]) -> str:
    return f"[{', '.join(yaml_string(name) for name in names)}]"


def _values(column: ColumnSummary, rows: int) -> str:
    """Summarise the values of a column in a few words."""
    absent = rows - column.present
    missing = f", {max(absent / rows, 0.001):.1%} missing" if absent else ""
    if not column.present:
        return "no values"
    if column.type == "string" and not 0 < len(column.values) <= 8:
        return f"{column.distinct} different values{missing}"
    if column.type in ("string", "bool") or len(column.values) == 2:
        return ", ".join(_short(value) for value in column.values) + missing
    return f"{_short(column.low)} to {_short(column.high)}{missing}"


def _short(value: Any, most: int = 20) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    full = _rounded(value) if isinstance(value, float) else str(value)
    safe = printable(full)
    return safe if len(safe) <= most else f"{safe[: most - 3]}..."


def _rounded(number: float) -> str:
    # Six digits of larger ones would hide in what two numbers differ.
    return f"{number:.0f}" if 1e6 <= abs(number) < 1e15 else f"{number:.6g}"


def _split(choices: Recommendation, target: str) -> Iterator[str]:
    parts, why = ["test: 0.2", "validation: 0.1"], choices.split.why
    if choices.group:
        parts.append(f"group: {yaml_string(choices.group)}")
        if not choices.split.group:
            why = "rows with the same inputs stay in one part"
    elif choices.split.time:
        parts.append(f"time: {yaml_string(choices.names[choices.split.time.source])}")
    elif choices.split.stratified:
        parts.append(f"stratify: {yaml_string(target)}")
    yield f"  split: {{{', '.join(parts)}}}{f'  {comment(why)}' if why else ''}"


def _train(choices: Recommendation, target: str) -> Iterator[str]:
    why = choices.target.guessed
    guessed = f"  {comment(f'guessed: {why}')}" if why else ""
    yield "  train:"
    yield f"    target: {yaml_string(target)}{guessed}"
    numbers = "  # whole numbers, unlike class codes; if they are classes: multiclass"
    yield f"    task: {choices.target.task}{numbers * choices.target.no_code}"
    yield from (f"    {comment(doubt)}" for doubt in choices.target.doubts)
    if choices.target.positive:
        positive = yaml_string(choices.target.positive)
        yield f"    positive: {positive}  # the class that metrics refer to"
    if choices.exclude:
        yield "    exclude:  # not inputs; add every column that is known only after the outcome"
        yield from (
            f"      - {yaml_string(name)}  {comment(why)}" for name, why in choices.exclude.items()
        )
    else:
        yield "    exclude: []  # add every column that is known only after the outcome: it leaks"
    yield from (f"    {comment(asked)}" for asked in _suspected(choices.suspected))
    if choices.categorical:
        names = ", ".join(yaml_string(name) for name in choices.categorical)
        yield f"    categorical: [{names}]  # numbers that stand for categories"
    if (time := choices.split.time) and time.type in TIMES and not _is_long(time):
        days = "how many days have passed is an input: a trend goes on in later rows"
        yield f"    trend: [{yaml_string(choices.names[time.source])}]  # {days}"
    if choices.text:
        texts = ", ".join(f"{yaml_string(name)}: {of}" for name, of in choices.text.items())
        yield f"    text: {{{texts}}}  # sentences, read by an encoder on this machine"
    if choices.allowed:
        allowed = choices.allowed.items()
        reasons = ", ".join(f"{yaml_string(name)}: {yaml_string(why)}" for name, why in allowed)
        yield f"    leaks: {{allow: {{{reasons}}}}}"
    # No single kind suits every table: `auto` compares several on folds of the rows.
    yield "    model: {kind: auto}  # or linear, random_forest, gradient_boosting, tabm"


def _is_long(times: ColumnSummary) -> bool:
    """Whether models read years, and no days."""
    return bool((times.high - times.low).total_seconds() > LONG)


def _suspected(columns: Mapping[str, str]) -> Iterator[str]:
    """Ask about each column that may reveal the target; of many, about all others at once."""
    for name, why in [*columns.items()][:_ASKED]:
        yield f"{name}: {why}. Is it known only after the outcome? Then exclude it."
    if others := [*columns][_ASKED:]:
        asked = "Are they known only after the outcome? Then exclude them."
        yield f"suspected as well: {_listed(others)}. {asked}"


def _evaluate(choices: Recommendation) -> Iterator[str]:
    yield "  evaluate:"
    few = "  # 1 % of the rows, with the largest numbers, would decide the rmse"
    yield f"    metric: {choices.metric}{few * (choices.metric == 'mae')}"
    yield from gates(choices.metric)
    if choices.slices:
        yield f"    slices: [{', '.join(yaml_string(name) for name in choices.slices)}]"
