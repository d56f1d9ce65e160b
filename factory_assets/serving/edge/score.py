"""Score rows where there is no factory: with Python 3.9 or later, `onnxruntime` and `numpy`.

It lies in a folder that `factory pack --edge` wrote, beside `model.onnx` and `contract.json`.

    python score.py rows.jsonl          score JSON objects, one a line (`-`: standard input)
    python score.py --csv rows.csv      score a table with a header
    python score.py --sign              sign what was answered before a crash, and nothing else

    with Model("folder") as model:
        model.predict([{"size": 1.5, "colour": "red"}])

A row that breaks the contract gets its reasons instead of a prediction, as in the factory. A row
about which only the factory's SQL engine may decide gets the reason `undecided`, never a guess.
Every answer is in `log.jsonl` before it is returned; `factory ingest-log` brings that file home.
"""

from __future__ import annotations

import argparse
import base64
import bisect
import csv
import decimal
import fcntl
import hashlib
import hmac
import json
import math
import operator
import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

CONTRACT, GRAPH, KEY, LOG = "contract.json", "model.onnx", "key", "log.jsonl"

Row = Mapping[str, Any]
Function = Callable[[Row], Any]


class PackError(Exception):
    """The folder is not what was packed, or its log cannot be continued."""


class RequestError(ValueError):
    """What was asked cannot be read as rows of the model."""


class UncertainError(Exception):
    """Only the factory's SQL engine may decide about a value."""


# --- The model ------------------------------------------------------------------------------------


class Model:
    """A packed model and its log; one process at a time may open it.

    Args:
        folder: what `factory pack --edge` wrote.

    Raises:
        PackError: the folder was changed, another process has it open, or this machine computes
            differently.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        content = _read(folder, CONTRACT)
        self.pack = hashlib.sha256(content).hexdigest()
        self.contract: dict[str, Any] = json.loads(content)
        _require_same_functions(self.contract["library"])
        self._preparation = Preparation(self.contract)
        self._session, self._output = self._load_graph()
        self._log = LocalLog(folder, self.pack, self.contract["key"])

    def _load_graph(self) -> tuple[Any, str]:
        import onnxruntime

        graph = _read(self._folder, GRAPH)
        if hashlib.sha256(graph).hexdigest() != self.contract["graph"]:
            raise PackError(f"{GRAPH} is not the one that was packed; copy the folder again")
        options = onnxruntime.SessionOptions()
        # As in the factory: several threads add numbers in another order.
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        return session, session.get_outputs()[0].name

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Sign what was answered, and close the log."""
        self._log.close()

    def predict(self, rows: Sequence[Row], *, has: Iterable[str] = ()) -> list[dict[str, Any]]:
        """Return an answer for each row, each of them logged.

        Args:
            rows: JSON objects with the column names of the source; others are ignored.
            has: columns that may be missing in every row, such as those of earlier rows.

        Returns:
            Objects with `id`, `prediction` (the class, or the number) and, for classes,
            `probabilities`; or with `prediction` None and the `reasons` of the refusal.

        Raises:
            RequestError: a needed column is missing in every row.
            OSError: the log cannot be written; nothing was answered.
        """
        started = time.time_ns()
        if not rows:
            return []
        prepared = self._preparation.prepare(rows, {*has})
        outputs = self._run([values for values in prepared if isinstance(values, dict)])
        answers, records = [], []
        for row, values in zip(rows, prepared):
            output = next(outputs) if isinstance(values, dict) else []
            rules = values if isinstance(values, list) else []
            if not all(map(math.isfinite, output)):
                rules = ["overflow:prediction"]
            record: dict[str, Any] = {"input": self._logged(row)}
            if rules:
                reasons = [_explain(rule, row, self.contract) for rule in rules]
                answers.append({"prediction": None, "reasons": reasons})
                records.append({**record, "rules": rules})
            else:
                assert isinstance(values, dict)
                answer = self._answer(output, values)
                answers.append(answer)
                records.append({**record, **answer})
        ids = self._log.answer(records, started)
        return [{"id": name, **answer} for name, answer in zip(ids, answers)]

    def _run(self, rows: Sequence[Row]) -> Any:
        """Return an iterator over the outputs of the rows, each a list of numbers."""
        if not rows:
            return iter(())
        import numpy

        feed = {}
        for given in self.contract["inputs"]:
            cells = [[row[given["reads"]]] for row in rows]
            if given["kind"] == "float":
                wide = numpy.array(cells, dtype=numpy.float64)
                with numpy.errstate(over="ignore"):
                    feed[given["name"]] = wide.astype(numpy.float32)
            else:
                feed[given["name"]] = numpy.array(cells, dtype=object)
        [outputs] = self._session.run([self._output], feed)
        wide = numpy.asarray(outputs, dtype=numpy.float64)
        return iter(wide.reshape(len(rows), -1).tolist())

    def _answer(self, output: Sequence[float], values: Row) -> dict[str, Any]:
        classes, bounds = self.contract["classes"], self.contract.get("regions")
        region = _region(bounds, classes, output, self._group(bounds, values)) if bounds else {}
        if not classes:
            return {"prediction": output[0], **region}
        threshold = self.contract["threshold"]
        if threshold is None:
            code = max(range(len(output)), key=output.__getitem__)
        else:
            code = int(output[1] >= threshold)
        shares = dict(zip(classes, output))
        return {"prediction": classes[code], "probabilities": shares, **region}

    def _group(self, bounds: Mapping[str, Any], values: Row) -> str | None:
        """Return the value by which the sets or intervals differ; None if they do not."""
        if bounds["per_class"] or bounds["by"] is None:
            return None
        reads = {given["name"]: given["reads"] for given in self.contract["inputs"]}
        group: str = values[reads[bounds["by"]]]
        return group

    def _logged(self, row: Row) -> dict[str, Any]:
        """Return the needed cells; of a sensitive one, only that it cannot be changed later."""
        logged = {}
        for column in self.contract["columns"]:
            name = column["source"]
            if name in row:
                hidden = column["sensitive"] and row[name] is not None
                logged[name] = self._log.commitment(row[name]) if hidden else plain_value(row[name])
        return logged


def plain_value(value: Any) -> Any:
    """Return a value as every reader of JSON takes it; another one as the text that it is read as.

    That is what is nested, what is no number, and what is beyond float64. A question mark stands
    for half of a character.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        # Whatever is compared with NaN is false.
        return value if abs(value) <= sys.float_info.max else repr(value)
    return json_text(value).encode("utf-8", "replace").decode()


def _region(
    bounds: Mapping[str, Any], classes: Sequence[str], output: Sequence[float], group: str | None
) -> dict[str, Any]:
    """Return the set of classes and whether the model abstains, or the interval of the number.

    A bound that is not there is infinite.
    """
    whole = math.inf if bounds["bound"] is None else bounds["bound"]
    own: dict[str | None, float] = {
        one["group"]: whole if one["bound"] is None else one["bound"] for one in bounds["groups"]
    }
    if not classes:
        scale = bounds["scales"][bisect.bisect_right(bounds["edges"], output[0])]
        half = own.get(group, whole) * scale
        ends = [output[0] - half, output[0] + half]
        return {"interval": [end if math.isfinite(end) else None for end in ends]}
    limits = [*own.values()] if bounds["per_class"] else [own.get(group, whole)] * len(classes)
    chosen = [name for name, p, limit in zip(classes, output, limits) if 1 - p <= limit]
    return {"set": chosen, **({"abstained": len(chosen) != 1} if bounds["abstain"] else {})}


def _read(folder: str, name: str) -> bytes:
    try:
        with open(os.path.join(folder, name), "rb") as file:
            return file.read()
    except OSError as error:
        raise PackError(f"cannot read {name} in {folder}: {error.strerror}") from error


# --- The contract ---------------------------------------------------------------------------------


class Preparation:
    """Checks rows against the contract and computes what the graph reads."""

    def __init__(self, contract: Mapping[str, Any]) -> None:
        self._columns = [(column, _checks(column)) for column in contract["columns"]]
        self._missing = [
            _Missing(**column["missing"], is_text=column["type"] == "string")
            for column in contract["columns"]
        ]
        self._rules = [(one["name"], compile_node(one["expression"])) for one in contract["rules"]]
        self._derived = [
            (one["name"].lower(), compile_node(one["expression"])) for one in contract["derived"]
        ]
        self._inputs = contract["inputs"]

    def prepare(
        self, rows: Sequence[Row], has: Collection[str] = ()
    ) -> list[dict[str, Any] | list[str]]:
        """Return for each row the values that inputs read, or the rules that it breaks.

        Args:
            has: columns that may be missing in every row.

        Raises:
            RequestError: a needed column is missing in every row, or a row is not an object or is
                nested too deeply.
        """
        if not all(isinstance(row, Mapping) for row in rows):
            raise RequestError("every row must be an object")
        for column, _ in self._columns:
            name = column["source"]
            if name not in has and not any(name in row for row in rows):
                raise RequestError(f"there is no column {name!r}")
        try:
            return [self._prepare(row) for row in rows]
        except RecursionError as error:
            raise RequestError("a value is nested too deeply") from error

    def _prepare(self, row: Row) -> dict[str, Any] | list[str]:
        values, broken = {}, []
        for (column, checks), missing in zip(self._columns, self._missing):
            try:
                given = row.get(column["source"])
                text = missing.cell(given)
                if column["pattern"] and text is not None and isinstance(given, float):
                    # 1.234 may be a thousand and more where a pattern says how numbers are written.
                    value, rules = None, [f"pattern:{column['name']}"]
                else:
                    value, rules = checks(text)
            except UncertainError:
                value, rules = None, [f"undecided:{column['name']}"]
            values[column["name"].lower()] = value
            broken += rules
        return broken or self._computed(values)

    def _computed(self, values: dict[str, Any]) -> dict[str, Any] | list[str]:
        verdicts = [(name, _attempt(rule, values)) for name, rule in self._rules]
        # A rule that yields null is not broken.
        broken = [name for name, verdict in verdicts if verdict is False]
        if broken:
            return broken
        undecided = [name for name, verdict in verdicts if verdict is _UNDECIDED]
        for name, function in self._derived:
            values[name] = _attempt(function, values)
            if values[name] is _UNDECIDED:
                undecided.append(name)
        return [f"undecided:{name}" for name in undecided] or self._fed(values)

    def _fed(self, values: dict[str, Any]) -> dict[str, Any] | list[str]:
        overflowing = []
        for given in self._inputs:
            value = values[given["reads"]]
            if given["kind"] == "float":
                values[given["reads"]] = math.nan if value is None else float(value)
                if abs(values[given["reads"]]) >= _FLOAT32:
                    overflowing.append(f"overflow:{given['name']}")
            elif value is None or isinstance(value, bool):
                values[given["reads"]] = "" if value is None else _word(value)
            else:
                values[given["reads"]] = str(value)
        return overflowing or values


_UNDECIDED = object()


def _attempt(function: Function, values: Row) -> Any:
    """Return the result of an expression, or `_UNDECIDED`."""
    try:
        return function(values)
    except _UNCERTAIN:
        return _UNDECIDED


_FLOAT32 = float.fromhex("0x1.ffffffp+127")
"""From here on, a number is infinite in float32."""

_SIGN = r"(?:\+-|[+-])?"
_NUMBER = re.compile(_SIGN + r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DIGITS = re.compile(r"[+-]?[0-9]+")
_WHOLE = re.compile(r"([+-]?[0-9]+)(?:\.0*)?")
_SCIENTIFIC = re.compile(r"[+-]?[0-9]*\.?[0-9]*[eE]\+?([0-9]+)")
_EXPONENT = 32_767
"""The largest that the engine reads in a whole number."""


_CODE = re.compile(r"[+-]?(?:0[0-9]|[0-9]+E[0-9])")
"""How a text begins that is no other spelling of a number, such as 099."""

_DIGITS_READ = 1000
"""Texts of more digits are left to the engine."""


class _Missing:
    """Cells as text, without outer blanks; what means a missing value is None."""

    def __init__(self, tokens: Sequence[str], numbers: Sequence[float], is_text: bool) -> None:
        self._tokens, self._numbers, self._is_text = frozenset(tokens), frozenset(numbers), is_text

    def cell(self, value: Any) -> str | None:
        if value is None:
            return None
        text = _cell(value).strip(" \t\r\n")
        if len(text) > _DIGITS_READ and text.lstrip("+-")[:1].isdigit():
            raise UncertainError("a number of many digits")
        if text in self._tokens:
            return None
        if self._numbers:
            if "_" in text:
                raise UncertainError("perhaps the spelling of a missing value")
            if double(text) in self._numbers and not (self._is_text and _CODE.match(text)):
                return None
        return text


def _cell(value: Any) -> str:
    if isinstance(value, int) and abs(value) >= 10**_DIGITS_READ:
        raise UncertainError("a number of many digits")
    text = json_text(value)
    if not _is_unicode(text):
        raise UncertainError("half of a character")
    return text


def json_text(value: Any) -> str:
    """Return the text of a JSON value as it would be read from a file of JSON Lines."""
    return value if isinstance(value, str) else _nested_text(value)


def _nested_text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return _word(value)
    if isinstance(value, float):
        return _number_text(float(value))
    if isinstance(value, str):
        return f'"{value.translate(_ESCAPES)}"'
    if isinstance(value, Mapping):
        pairs = (f"{_nested_text(key)}:{_nested_text(one)}" for key, one in value.items())
        return f"{{{','.join(pairs)}}}"
    return f"[{','.join(map(_nested_text, value))}]" if isinstance(value, list) else str(value)


def _number_text(value: float) -> str:
    if not math.isfinite(value):
        return json.dumps(value)
    text = repr(value)
    mantissa, has_exponent, exponent = text.partition("e")
    if not has_exponent:
        return text
    if _LEAST_PLAIN <= abs(value) < _MOST_PLAIN:
        plain = f"{decimal.Decimal(text):f}"
        return plain if "." in plain else f"{plain}.0"
    return f"{mantissa}e{int(exponent)}"


_LEAST_PLAIN, _MOST_PLAIN = 1e-6, 1e21
"""Smaller and larger numbers are written with an exponent."""

_SHORT_ESCAPES = {"\b": "b", "\t": "t", "\n": "n", "\f": "f", "\r": "r", '"': '"', "\\": "\\"}
_ESCAPES = str.maketrans(
    {chr(code): f"\\u{code:04X}" for code in range(0x20)}
    | {letter: f"\\{short}" for letter, short in _SHORT_ESCAPES.items()}
)


def _word(value: bool) -> str:
    return "true" if value else "false"


def double(text: str) -> float | None:
    """Return the finite number that a text spells, or None."""
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text[1:] if text.startswith("+-") else text)
    return number if math.isfinite(number) else None


def _float64(text: str) -> float | None:
    number = double(text)
    # No digit of a whole number, such as an identifier, may be rounded away.
    if number is not None and len(text) > 15 and _DIGITS.fullmatch(text):
        exact = int(text)
        return number if int(number) == exact and -(2**127) <= exact < 2**127 else None
    return number


def _int64(text: str) -> int | None:
    plain = _WHOLE.fullmatch(text)
    if plain:
        return _within_int64(int(plain[1]))
    scientific = _SCIENTIFIC.fullmatch(text) if len(text) <= 15 else None
    if not scientific or int(scientific[1]) > _EXPONENT:
        return None
    number = double(text)
    return None if number is None or number % 1 else _within_int64(int(number))


def _within_int64(number: int) -> int | None:
    return number if -(2**63) <= number < 2**63 else None


def _bool(text: str) -> bool | None:
    lower = text.lower()
    return True if lower in _TRUE else False if lower in _FALSE else None


_TRUE, _FALSE = frozenset({"true", "1", "1.0"}), frozenset({"false", "0", "0.0"})

_TYPES: dict[str, Callable[[str], Any]] = {
    "float64": _float64,
    "int64": _int64,
    "bool": _bool,
    "string": lambda text: text,
}


def _checks(column: Mapping[str, Any]) -> Callable[[str | None], tuple[Any, list[str]]]:
    """Return a function from the text of a cell to its value, and the names of broken rules."""
    name, read = column["name"], _TYPES[column["type"]]
    rules = _value_rules(column, read)

    def check(text: str | None) -> tuple[Any, list[str]]:
        value = None if text is None else read(text)
        if value is None:
            if text is not None:
                return None, [f"type:{name}"]
            return None, [] if column["nullable"] else [f"null:{name}"]
        return value, [f"{rule}:{name}" for rule, holds in rules if not holds(value)]

    return check


def _value_rules(
    column: Mapping[str, Any], read: Callable[[str], Any]
) -> list[tuple[str, Callable[[Any], bool]]]:
    rules: list[tuple[str, Callable[[Any], bool]]] = []
    if column["range"]:
        rules.append(("range", _between(*column["range"])))
    if column["length"]:
        inside = _between(*column["length"])
        rules.append(("length", lambda text: inside(len(text))))
    if column["pattern"]:
        rules.append(("pattern", _fits(column["pattern"])))
    if column["values"] is not None:
        allowed = frozenset(
            read(_word(value) if isinstance(value, bool) else str(value))
            for value in column["values"]
        )
        rules.append(("values", lambda value: value in allowed))
    return rules


def _fits(pattern: str) -> Callable[[str], bool]:
    """Return whether a text matches, if that surely takes no more than a moment."""
    fits = re.compile(pattern, re.ASCII).fullmatch
    repeats = len(re.findall(r"[*+]|,[0-9]*\}", pattern))

    def check(text: str) -> bool:
        if math.comb(len(text) + repeats, repeats) > _PATTERN_STEPS:
            raise UncertainError("a text that may be compared in very many ways")
        return fits(text) is not None

    return check


def _between(low: Any, high: Any) -> Callable[[Any], bool]:
    return lambda value: (low is None or value >= low) and (high is None or value <= high)


def _explain(rule: str, row: Row, contract: Mapping[str, Any]) -> dict[str, Any]:
    """Say what is wrong with a row: rule, column, value unless sensitive, remedy."""
    kind, _, name = rule.partition(":")
    column = next((c for c in contract["columns"] if name and c["name"] == name), None)
    if kind == "overflow":
        what = "the prediction" if name == "prediction" else repr(name)
        return {"rule": rule, "remedy": f"{what} is beyond float32; send smaller numbers"}
    if kind == "undecided":
        return {"rule": rule, "remedy": "only the factory can decide; ask it, or correct the row"}
    if column is None:
        sql = next((one["sql"] for one in contract["rules"] if one["name"] == rule), None)
        return {"rule": rule, "remedy": f"every row must satisfy: {sql}" if sql else "correct it"}
    reason: dict[str, Any] = {"rule": rule, "column": column["source"]}
    if not column["sensitive"] and kind != "null":
        value = plain_value(row.get(column["source"]))
        reason["value"] = value[:60] if isinstance(value, str) else value
    return {**reason, "remedy": _remedy(kind, column)}


def _remedy(kind: str, column: Mapping[str, Any]) -> str:
    unit = f" {column['unit']}" if column["unit"] else ""
    if kind == "type":
        return f"send a value of type {column['type']}"
    if kind == "null":
        return "send a value"
    if kind in ("range", "length"):
        what = "a value" if kind == "range" else "as many characters as"
        low, high = column[kind]
        sides = [f"from {low}"] if low is not None else []
        sides += [f"up to {high}"] if high is not None else []
        return f"send {what} {' '.join(sides)}{unit}"
    if kind == "pattern":
        return f"send a text that matches {column['pattern']}"
    return f"send one of: {', '.join(map(str, column['values']))}"


# --- Expressions ----------------------------------------------------------------------------------

_UNCERTAIN = (UncertainError, ArithmeticError, ValueError)

_EXACT = 2**53

_LONGEST = 1_000_000

_PATTERN_STEPS = 10**8
"""Repetitions, such as `.*a.*b`, may be tried with all ways to divide a text."""

_BITS = {"BIGINT": 63, "INTEGER": 31}

Node = Mapping[str, Any]


def compile_node(node: Node) -> Function:
    """Return a bound expression as a function of a row, with the results of the SQL engine.

    The function raises UncertainError, ValueError or ArithmeticError if they are not certain.

    Raises:
        UncertainError: there is an operation that is not known here.
    """
    operation, parts = node["do"], [compile_node(part) for part in node.get("of", ())]
    kinds = [part["is"][0] for part in node.get("of", ())]
    if operation == "COLUMN":
        return _column(node["value"], node["is"][0])
    if operation == "CONSTANT":
        value = node["value"]
        return lambda row: value
    if operation in ("CAST", "TRY_CAST"):
        return _cast(node, parts[0])
    if operation in _FORMS:
        return _FORMS[operation](parts)
    if operation in _COMPARISONS:
        return _strict(_COMPARISONS[operation], parts)
    if operation in ("greatest", "least"):
        return _extreme(operator.gt if operation == "greatest" else operator.lt, parts)
    if operation in _LIKES and node["of"][1]["do"] == "CONSTANT":
        return _like(operation, parts[0], node["of"][1]["value"])
    if operation == "concat":
        return lambda row: _short("".join(text for p in parts if (text := p(row)) is not None))
    name = _ALIASES.get(str(operation), str(operation))
    result: list[Any] = node["is"]
    if name == "pi":
        return lambda row: math.pi
    if kinds and set(kinds) == {"DOUBLE"}:
        if name in _FINITE:
            answer = _FINITE[name]
            return _strict(lambda value: answer, parts)
        if result[0] == "DOUBLE" and (name, len(parts)) in _DOUBLES:
            return _finite(_DOUBLES[name, len(parts)], parts)
    if kinds and set(kinds) == {result[0]} <= {"BIGINT", "INTEGER", "DECIMAL"}:
        if len(parts) > 2 and name in _TOTALS:
            return _regroupable(name, parts, result)
        if (name, len(parts)) in _WHOLES:
            return _within(_WHOLES[name, len(parts)], parts, result)
    if (name, len(parts)) in _TEXTS and kinds[0] == "VARCHAR":
        return _strict(_TEXTS[name, len(parts)], parts)
    raise UncertainError(f"{operation} of {', '.join(kinds)}")


def _column(name: str, kind: str) -> Function:
    fits = _FITS[kind]

    def read(row: Row) -> Any:
        value = row[name]
        if value is None or fits(value):
            return value
        raise UncertainError(f"{name} has no value that is certain as {kind}")

    return read


def _is_int(bits: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and -(1 << bits) <= value < 1 << bits


_FITS: dict[str, Callable[[Any], bool]] = {
    "BOOLEAN": lambda value: type(value) is bool,
    "DOUBLE": lambda value: type(value) is float and math.isfinite(value),
    "VARCHAR": lambda value: type(value) is str and "\0" not in value,
    **{kind: _is_int(bits) for kind, bits in _BITS.items()},
}


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _bounds(kind: Sequence[Any]) -> tuple[int, int]:
    if kind[0] == "DECIMAL":
        return 1 - 10 ** kind[1], 10 ** kind[1] - 1
    return -(1 << _BITS[kind[0]]), (1 << _BITS[kind[0]]) - 1


def _strict(function: Callable[..., Any], parts: Sequence[Function]) -> Function:
    def evaluate(row: Row) -> Any:
        values = [part(row) for part in parts]
        return None if None in values else function(*values)

    return evaluate


def _finite(function: Callable[..., float], parts: Sequence[Function]) -> Function:
    def checked(*values: float) -> float:
        result = function(*values)
        if math.isfinite(result):
            return result
        raise UncertainError("the result is not finite")

    return _strict(checked, parts)


def _within(
    function: Callable[..., int], parts: Sequence[Function], kind: Sequence[Any]
) -> Function:
    low, high = _bounds(kind)

    def checked(*values: Any) -> int:
        result = function(*values)
        if low <= result <= high:
            return result
        raise UncertainError(f"the result overflows {kind[0]}")

    return _strict(checked, parts)


def _regroupable(name: str, parts: Sequence[Function], kind: Sequence[Any]) -> Function:
    """Return a sum or product of which the engine may compute any part first."""
    total, largest = _TOTALS[name]
    high = _bounds(kind)[1]

    def evaluate(row: Row) -> Any:
        values = [part(row) for part in parts]
        numbers = [value for value in values if value is not None]
        if largest(numbers) > high:
            raise UncertainError(f"a part of the result may overflow {kind[0]}")
        return total(numbers) if len(numbers) == len(values) else None

    return evaluate


def _cast(node: Node, part: Function) -> Function:
    inner: Node = node["of"][0]
    wanted: list[Any] = list(node["is"])
    given: list[Any] = list(inner["is"])
    if given == wanted or (inner["do"] == "CONSTANT" and inner["value"] is None):
        return part
    pair: tuple[str, str] = given[0], wanted[0]
    if pair in _CASTS:
        return _strict(_CASTS[pair], [part])
    if wanted[0] in _BITS and given[0] in ("INTEGER", "BIGINT", "BOOLEAN"):
        return _within(int, [part], wanted)
    if wanted[0] in _BITS and given[0] == "DOUBLE":
        return _within(round, [part], wanted)
    if given[0] == "VARCHAR" and wanted[0] in ("INTEGER", "BIGINT", "DOUBLE"):
        return _strict(_parser(wanted, attempt=node["do"] == "TRY_CAST"), [part])
    if wanted[0] == "DECIMAL" and given[0] in ("INTEGER", "BIGINT", "DECIMAL"):
        factor = 10 ** (wanted[2] - given[2])
        return _within(lambda number: number * factor, [part], wanted)
    if pair == ("DECIMAL", "DOUBLE"):
        power = 10.0 ** given[2]
        return _strict(lambda digits: _to_double(digits) / power, [part])
    raise UncertainError(f"a cast of {given[0]} to {wanted[0]}")


def _to_double(number: int) -> float:
    if -_EXACT <= number <= _EXACT:
        return float(number)
    raise UncertainError("no double equals the number")


_CASTS: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("INTEGER", "DOUBLE"): float,
    ("BIGINT", "DOUBLE"): _to_double,
    ("BOOLEAN", "DOUBLE"): float,
    ("INTEGER", "BOOLEAN"): bool,
    ("BIGINT", "BOOLEAN"): bool,
    ("DOUBLE", "BOOLEAN"): bool,
    ("INTEGER", "VARCHAR"): str,
    ("BIGINT", "VARCHAR"): str,
    ("BOOLEAN", "VARCHAR"): _word,
}

_PLAIN = {"DOUBLE": re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")}
_PLAIN_WHOLE = re.compile(r"-?[0-9]{1,18}")
# Not the beginnings of inf and nan.
_NO_NUMBER = re.compile(r"[A-HJ-MO-Za-hj-mo-z]", re.ASCII)


def _parser(kind: Sequence[Any], *, attempt: bool) -> Callable[[str], Any]:
    pattern = _PLAIN.get(kind[0], _PLAIN_WHOLE)
    low, high = (-math.inf, math.inf) if kind[0] == "DOUBLE" else _bounds(kind)
    read: Callable[[str], Any] = float if kind[0] == "DOUBLE" else int

    def parse(text: str) -> Any:
        if pattern.fullmatch(text) and low <= (number := read(text)) <= high:
            return number
        if attempt and _NO_NUMBER.match(text):
            return None
        raise UncertainError("not a plain number")

    return parse


def _conjunction(parts: Sequence[Function], *, decisive: bool) -> Function:
    # The engine chooses what it evaluates, and what fails may fail the row: all are evaluated.
    def evaluate(row: Row) -> Any:
        values = [part(row) for part in parts]
        if decisive in values:
            return decisive
        return None if None in values else not decisive

    return evaluate


def _case(parts: Sequence[Function]) -> Function:
    branches, otherwise = list(zip(parts[:-1:2], parts[1:-1:2])), parts[-1]

    def evaluate(row: Row) -> Any:
        for condition, result in branches:
            if condition(row):
                return result(row)
        return otherwise(row)

    return evaluate


def _coalesce(parts: Sequence[Function]) -> Function:
    def evaluate(row: Row) -> Any:
        values = [part(row) for part in parts]
        return next((value for value in values if value is not None), None)

    return evaluate


def _is_in(parts: Sequence[Function]) -> Function:
    def evaluate(row: Row) -> Any:
        value, *others = [part(row) for part in parts]
        if value is None:
            return None
        if value in others:
            return True
        return None if None in others else False

    return evaluate


def _between_parts(parts: Sequence[Function]) -> Function:
    value, low, high = parts
    ends = [_strict(operator.ge, [value, low]), _strict(operator.le, [value, high])]
    return _conjunction(ends, decisive=False)


def _extreme(beats: Callable[[Any, Any], bool], parts: Sequence[Function]) -> Function:
    def evaluate(row: Row) -> Any:
        best = None
        for part in parts:
            value = part(row)
            if value is not None and (best is None or beats(value, best)):
                best = value
        return best

    return evaluate


_FORMS: dict[str, Callable[[Sequence[Function]], Function]] = {
    "CASE": _case,
    "OPERATOR_COALESCE": _coalesce,
    "COMPARE_IN": _is_in,
    "OPERATOR_IS_NULL": lambda parts: lambda row: parts[0](row) is None,
    "OPERATOR_IS_NOT_NULL": lambda parts: lambda row: parts[0](row) is not None,
    "OPERATOR_NOT": lambda parts: _strict(operator.not_, parts),
    "CONJUNCTION_AND": lambda parts: _conjunction(parts, decisive=False),
    "CONJUNCTION_OR": lambda parts: _conjunction(parts, decisive=True),
    "__between": _between_parts,
    "is distinct from": lambda parts: lambda row: bool(parts[0](row) != parts[1](row)),
    "is not distinct from": lambda parts: lambda row: bool(parts[0](row) == parts[1](row)),
}

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_ALIASES = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "//",
    "mod": "%",
    "@": "abs",
    "^": "pow",
    "**": "pow",
    "power": "pow",
    "log": "log10",
    "ceiling": "ceil",
}


def _quotient(dividend: int, divisor: int) -> int:
    quotient = abs(dividend) // abs(divisor)
    return quotient if (dividend < 0) == (divisor < 0) else -quotient


def _remainder(dividend: int, divisor: int) -> int:
    remainder = abs(dividend) % abs(divisor)
    return -remainder if dividend < 0 else remainder


def _rounded(value: float) -> float:
    size = abs(value)
    whole = math.floor(size)
    return math.copysign(whole + (size - whole >= 0.5), value)


_WHOLES: dict[tuple[str, int], Callable[..., int]] = {
    ("+", 1): operator.pos,
    ("+", 2): operator.add,
    ("-", 1): operator.neg,
    ("-", 2): operator.sub,
    ("*", 2): operator.mul,
    ("//", 2): _quotient,
    ("%", 2): _remainder,
    ("abs", 1): abs,
}


_TOTALS: dict[str, tuple[Callable[..., int], Callable[..., int]]] = {
    "+": (sum, lambda numbers: sum(map(abs, numbers))),
    "*": (math.prod, lambda numbers: math.prod(max(1, abs(number)) for number in numbers)),
}

LIBRARY: dict[str, Callable[..., float]] = {
    "exp": math.exp,
    "ln": math.log,
    "log10": math.log10,
    "log2": math.log2,
    "pow": math.pow,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
    "atan2": math.atan2,
    "sinh": math.sinh,
    "cosh": math.cosh,
    "tanh": math.tanh,
}
"""Functions of the C library, which may round differently on another machine."""

_OF_TWO = frozenset({"pow", "atan2"})

_DOUBLES: dict[tuple[str, int], Callable[..., float]] = {
    ("+", 1): operator.pos,
    ("+", 2): operator.add,
    ("-", 1): operator.neg,
    ("-", 2): operator.sub,
    ("*", 2): operator.mul,
    ("/", 2): operator.truediv,
    ("%", 2): math.fmod,
    ("abs", 1): abs,
    ("sqrt", 1): math.sqrt,
    ("floor", 1): lambda value: math.copysign(math.floor(value), value),
    ("ceil", 1): lambda value: math.copysign(math.ceil(value), value),
    ("trunc", 1): lambda value: math.copysign(math.trunc(value), value),
    ("round", 1): _rounded,
    ("radians", 1): lambda degrees: degrees * (math.pi / 180),
    ("degrees", 1): lambda radians: radians * (180 / math.pi),
    **{(name, 1 + (name in _OF_TWO)): function for name, function in LIBRARY.items()},
}

_FINITE = {"isfinite": True, "isinf": False, "isnan": False}


def probe(name: str) -> list[float]:
    """Return what a function of the C library yields for numbers that use all bits."""
    small = [(i * 0.6180339887498949) % 1 for i in range(1, 65)]
    large = [math.ldexp(number, i % 12 - 5) for i, number in enumerate(reversed(small))]
    if name in _OF_TWO:
        return [LIBRARY[name](*pair) for pair in zip(large, small)]
    return [LIBRARY[name](number) for number in (small if name in ("asin", "acos") else large)]


def _require_same_functions(library: Mapping[str, Sequence[float]]) -> None:
    for name, expected in library.items():
        if probe(name) != list(expected):
            raise PackError(
                f"this machine's C library computes {name} differently than the factory's; score "
                "on a machine with the same C library"
            )


def _ascii(text: str) -> str:
    if text.isascii():
        return text
    raise UncertainError("a text beyond ASCII")


def _short(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    raise UncertainError("a long text")


def _natural(number: int) -> int:
    if number >= 0:
        return number
    raise UncertainError("counted from the end")


def _replaced(text: str, old: str, new: str) -> str:
    if not old:
        raise UncertainError("nothing to replace")
    return _short(text.replace(old, new))


def _substring(text: str, first: int, length: int) -> str:
    start = _natural(first - 1)
    return _ascii(text)[start : start + _natural(length)]


_TEXTS: dict[tuple[str, int], Callable[..., Any]] = {
    **{(name, 1): len for name in ("length", "len", "char_length")},
    ("strlen", 1): lambda text: len(text.encode()),
    **{(name, 1): lambda text: _ascii(text).lower() for name in ("lower", "lcase")},
    **{(name, 1): lambda text: _ascii(text).upper() for name in ("upper", "ucase")},
    ("trim", 1): lambda text: _ascii(text).strip(" "),
    ("ltrim", 1): lambda text: _ascii(text).lstrip(" "),
    ("rtrim", 1): lambda text: _ascii(text).rstrip(" "),
    ("contains", 2): lambda text, part: part in text,
    **{(name, 2): str.startswith for name in ("starts_with", "prefix", "^@")},
    **{(name, 2): str.endswith for name in ("ends_with", "suffix")},
    **{(n, 2): lambda text, part: text.find(part) + 1 for n in ("instr", "strpos", "position")},
    ("||", 2): lambda one, other: _short(one + other),
    ("replace", 3): _replaced,
    **{(name, 3): _substring for name in ("substring", "substr")},
    ("left", 2): lambda text, length: _ascii(text)[: _natural(length)],
    ("right", 2): lambda text, length: _ascii(text)[max(0, len(text) - _natural(length)) :],
}

_LIKES = {"~~": (False, True), "!~~": (False, False), "~~*": (True, True), "!~~*": (True, False)}
"""LIKE and ILIKE: whether case is ignored, and the answer if the text matches."""


def _like(name: str, part: Function, pattern: str) -> Function:
    folded, answer = _LIKES[name]
    matches = _matcher(_ascii(pattern).lower() if folded else pattern)
    if folded:
        return _strict(lambda text: matches(_ascii(text).lower()) == answer, [part])
    return _strict(lambda text: matches(text) == answer, [part])


def _matcher(pattern: str) -> Callable[[str], bool]:
    first, *others = pattern.split("%")
    if "_" in pattern:
        letters = [re.escape(c) if c not in "_%" else {"_": ".", "%": ".*"}[c] for c in pattern]
        fits = re.compile("".join(letters), re.DOTALL).fullmatch
        return lambda text: fits(_ascii(text)) is not None
    if not others:
        return lambda text: text == first
    *inner, last = others

    def matches(text: str) -> bool:
        if not text.startswith(first) or not text.endswith(last):
            return False
        start, end = len(first), len(text) - len(last)
        for part in inner:
            found = text.find(part, start, max(start, end))
            if found < 0:
                return False
            start = found + len(part)
        return start <= end

    return matches


# --- The log --------------------------------------------------------------------------------------
#
# One JSON object a line, numbered from 1. Each names the SHA-256 of the line before it; the first
# one that of the contract. A checkpoint signs the line before it, and with it all the others. Until
# then, a MAC tells this program its own lines from others.

_CHECKPOINT_LINES, _CHECKPOINT_SECONDS = 1000, 60

_TAIL = 1 << 16

_MAC_BYTES = 76
"""Of the end of a line: its MAC and what is around it."""


class LocalLog:
    """The log of a pack, to which one process appends.

    Raises:
        PackError: another process has it open, it was changed, or the key is not that of the pack.
    """

    def __init__(self, folder: str, pack: str, public: str) -> None:
        self._seed = _read(folder, KEY)
        self._public, self._pack = base64.b64decode(public), pack
        self._secrets = [
            hashlib.sha256(purpose + self._seed).digest() for purpose in (b"line", b"commitment")
        ]
        self._file = os.open(os.path.join(folder, LOG), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._lock(folder)
            self._number, self._head, self._end = 0, pack, 0
            self._unsigned, self._signed_at, self._last_id = 0, time.monotonic(), 0
            self._continue()
        except BaseException:
            os.close(self._file)
            raise

    def _lock(self, folder: str) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            what = f"another process has {folder} open"
            # Logs of two copies contradict each other.
            remedy = "wait until it ends, or make another pack: factory pack PIPELINE --edge"
            raise PackError(f"{what}; {remedy}") from error
        # The name of a new file must be as durable as what is written into it.
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _continue(self) -> None:
        """Find the end; cut what a crash left half written, and sign what it left unsigned."""
        size = os.fstat(self._file).st_size
        tail, start, step = b"", size, _TAIL
        lines: list[bytes] = []
        while start and not any(_is_checkpoint(line) for line in lines):
            # Twice as much each time: a batch may have left many lines unsigned.
            step = min(2 * step, start)
            start -= step
            tail = os.pread(self._file, step, start) + tail
            lines = tail.split(b"\n")[0 if start == 0 else 1 :]
        torn = lines.pop() if lines else b""
        self._end = size - len(torn)
        if lines:
            last = self._require_own(lines, whole=start == 0)
            self._number = last["seq"]
            self._head = hashlib.sha256(lines[-1]).hexdigest()
            identifier = next((i for i in map(_id, reversed(lines)) if i), 0)
            self._last_id = identifier
        if torn:
            self._truncate()
            digest = hashlib.sha256(torn).hexdigest()
            self._append([{"kind": "torn", "bytes": len(torn), "sha256": digest}])
        if self._unsigned:
            self._checkpoint()

    def _require_own(self, lines: Sequence[bytes], *, whole: bool) -> dict[str, Any]:
        """Check the lines since the last checkpoint; return the last one."""
        since = next((i for i in range(len(lines) - 1, -1, -1) if _is_checkpoint(lines[i])), None)
        if since is None and not whole:
            raise PackError(f"{LOG} cannot be read")
        try:
            for line in lines[0 if since is None else since :]:
                record, mac = json.loads(line), line[-66:-2]
                if not hmac.compare_digest(mac, self._mac(line[:-_MAC_BYTES] + b"}")):
                    raise PackError(
                        f"line {record['seq']} of {LOG} was not written here; bring the log home, "
                        "and pack anew"
                    )
                self._unsigned = 0 if record["kind"] == "checkpoint" else self._unsigned + 1
            last: dict[str, Any] = json.loads(lines[-1])
        except (ValueError, KeyError, TypeError) as error:
            raise PackError(f"{LOG} was changed; bring it home, and pack anew") from error
        return last

    def answer(self, records: Sequence[dict[str, Any]], started: int) -> list[str]:
        """Append records durably and return their ids."""
        ids = [self._take_id() for _ in records]
        duration = (time.time_ns() - started) // 1000
        head = {"kind": "answer", "time": started // 1000, "duration": duration}
        self._append([{**head, "id": name, **one} for name, one in zip(ids, records)])
        elapsed = time.monotonic() - self._signed_at
        if self._unsigned >= _CHECKPOINT_LINES or elapsed >= _CHECKPOINT_SECONDS:
            self._checkpoint()
        return ids

    def commitment(self, value: Any) -> dict[str, str]:
        """Return what stands for a sensitive value: only this program can tell whether it is it."""
        content = json.dumps(value, sort_keys=True).encode()
        digest = hmac.new(self._secrets[1], content, hashlib.sha256).hexdigest()
        return {"commitment": digest}

    def close(self) -> None:
        """Sign what is not signed yet."""
        if self._unsigned:
            self._checkpoint()
        os.close(self._file)

    def _take_id(self) -> str:
        """Return a UUID of version 7 that is larger than all before; its last 20 bits are 0."""
        now = max(time.time_ns() * 4096 // 1_000_000, self._last_id + 1)
        self._last_id = now
        high = now >> 12 << 16 | 0x7000 | now & 0xFFF
        low = 0b10 << 62 | int.from_bytes(os.urandom(8), "big") >> 22 << 20
        return str(uuid.UUID(int=high << 64 | low))

    def _mac(self, body: bytes) -> bytes:
        return hmac.new(self._secrets[0], body, hashlib.sha256).hexdigest().encode()

    def _append(self, records: Iterable[dict[str, Any]]) -> None:
        number, head, lines = self._number, self._head, []
        for record in records:
            number += 1
            named = {"kind": record["kind"], "seq": number, "prev": head, **record}
            body = json.dumps(named).encode()
            line = body[:-1] + b', "mac": "' + self._mac(body) + b'"}'
            head = hashlib.sha256(line).hexdigest()
            lines.append(line + b"\n")
        self._write(b"".join(lines))
        self._unsigned += number - self._number
        self._number, self._head = number, head

    def _checkpoint(self) -> None:
        number, now = self._number + 1, time.time_ns() // 1000
        message = checkpoint_message(self._pack, number, self._head, now)
        signature = base64.b64encode(sign(self._seed, self._public, message)).decode()
        self._append([{"kind": "checkpoint", "time": now, "signature": signature}])
        self._unsigned, self._signed_at = 0, time.monotonic()

    def _write(self, content: bytes) -> None:
        """Append bytes durably, all or none."""
        written = 0
        try:
            while written < len(content):
                written += os.write(self._file, content[written:])
            os.fsync(self._file)
        except BaseException:
            # After an interruption, too, the process may go on.
            self._truncate()
            raise
        self._end += written

    def _truncate(self) -> None:
        os.ftruncate(self._file, self._end)
        os.fsync(self._file)


def _is_checkpoint(line: bytes) -> bool:
    return line.startswith(b'{"kind": "checkpoint"')


def _id(line: bytes) -> int:
    """Return the time in the id of a line, in units of 1/4096 ms; 0 if it has none."""
    try:
        high = uuid.UUID(json.loads(line)["id"]).int >> 64
    except (ValueError, KeyError, TypeError, AttributeError):
        return 0
    return high >> 16 << 12 | high & 0xFFF


def checkpoint_message(pack: str, number: int, head: str, now: int) -> bytes:
    """Return what the checkpoint in line `number` signs, behind the line whose digest is `head`."""
    return f"sovereign-ai-factory edge log v1\n{pack}\n{number}\n{head}\n{now}\n".encode()


# --- Ed25519 (RFC 8032) ---------------------------------------------------------------------------

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P

Point = Any
"""Extended coordinates of a point: x, y, z and t, as whole numbers."""


def _base() -> Point:
    y = 4 * pow(5, _P - 2, _P) % _P
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    x = x if x % 2 == 0 else _P - x
    return x, y, 1, x * y % _P


def _add(one: Point, other: Point) -> Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c = 2 * one[3] * other[3] * _D % _P
    d = 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times_base(number: int) -> bytes:
    """Return the encoded multiple of the base point."""
    point, power = (0, 1, 1, 0), _base()
    while number:
        if number & 1:
            point = _add(point, power)
        power = _add(power, power)
        number >>= 1
    inverse = pow(point[2], _P - 2, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _secret(seed: bytes) -> tuple[int, bytes]:
    digest = hashlib.sha512(seed).digest()
    number = int.from_bytes(digest[:32], "little")
    return number & (1 << 254) - 8 | 1 << 254, digest[32:]


def public_key(seed: bytes) -> bytes:
    """Return the public key of a seed of 32 bytes."""
    return _times_base(_secret(seed)[0])


def sign(seed: bytes, public: bytes, message: bytes) -> bytes:
    """Return the signature of a message."""
    secret, prefix = _secret(seed)
    nonce = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % _ORDER
    commitment = _times_base(nonce)
    hashed = hashlib.sha512(commitment + public + message).digest()
    challenge = int.from_bytes(hashed, "little") % _ORDER
    return commitment + ((nonce + challenge * secret) % _ORDER).to_bytes(32, "little")


# --- The command line -----------------------------------------------------------------------------

_ROWS = 1000


def main(arguments: Sequence[str] | None = None) -> int:
    """Score a file; one JSON object a row goes to standard output."""
    parser = argparse.ArgumentParser(description="Score rows with the model in this folder.")
    parser.add_argument("file", nargs="?", help="JSON objects, one a line; - for standard input")
    parser.add_argument("--csv", metavar="FILE", help="a table with a header instead")
    parser.add_argument("--sign", action="store_true", help="only sign what is not signed yet")
    given = parser.parse_args(arguments)
    if sum((given.file is not None, given.csv is not None, given.sign)) != 1:
        parser.error("give a file, --csv FILE, or --sign")
    seen: set[str] = set()
    try:
        with Model(os.path.dirname(os.path.abspath(__file__))) as model:
            for rows in [] if given.sign else _batches(given.file, given.csv):
                for answer in model.predict(rows, has=seen):
                    sys.stdout.write(json.dumps(answer) + "\n")
                sys.stdout.flush()
                seen.update(*rows)
    except (PackError, RequestError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"{where}{error.strerror or error}\n")
        return 2
    return 0


def _batches(file: str | None, table: str | None) -> Iterable[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    try:
        for row in _table(table) if table else _objects(str(file)):
            rows.append(row)
            if len(rows) == _ROWS:
                yield rows
                rows = []
    except UnicodeDecodeError as error:
        raise RequestError(f"{table or file} is not text in UTF-8: {error}") from error
    if rows:
        yield rows


def _table(path: str) -> Iterable[dict[str, Any]]:
    csv.field_size_limit(sys.maxsize)
    with open(path, encoding="utf-8-sig", newline="") as file:
        separator = _separator(file.readline())
        file.seek(0)
        lines = csv.reader(file, delimiter=separator, strict=True)
        try:
            names = next(lines, [])
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise RequestError(f"{path} has two columns {twice!r}")
            for cells in filter(None, lines):
                if len(cells) != len(names):
                    what = f"{len(cells)} cells, the header {len(names)}"
                    raise RequestError(f"line {lines.line_num} of {path} has {what}")
                yield dict(zip(names, cells))
        except csv.Error as error:
            raise RequestError(f"line {lines.line_num} of {path} is not CSV: {error}") from error


def _separator(header: str) -> str:
    """Return what separates the names of columns: a comma, unless they have none."""
    names = {one: len(next(csv.reader([header], delimiter=one), [])) for one in ",;\t"}
    return "," if names[","] > 1 else max(names, key=names.__getitem__)


def _objects(path: str) -> Iterable[dict[str, Any]]:
    # Programs of Windows begin a file with a byte order mark.
    with sys.stdin if path == "-" else open(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    row = json.loads(line, object_pairs_hook=_distinct)
                except (ValueError, RecursionError) as error:
                    raise RequestError(f"line {number} is not a JSON object: {error}") from error
                if not isinstance(row, dict):
                    raise RequestError(f"line {number} is not a JSON object")
                yield row


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object, of which every reader takes the same values."""
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a key is there twice")
    return row


if __name__ == "__main__":
    sys.exit(main())
