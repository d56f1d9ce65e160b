"""The nodes of a served graph that read times: the arithmetic of `ml/features/times.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from factory_assets.ml.features.times import DAY, HOUR, TimeNumber


def time_nodes(
    numbers: Sequence[TimeNumber],
    columns: Mapping[str, str],
    nodes: list[Any],
    constants: list[Any],
) -> list[str]:
    """Add the nodes that compute numbers of times; return the names of the results, float [N, 1].

    Args:
        columns: the input of each column of times, double [N, 1]: seconds since 1970, NaN if
            missing.
    """
    from onnx import TensorProto

    graph = _TimeGraph(nodes, constants)
    results = []
    parts: dict[str, dict[str, str]] = {}
    for number in numbers:
        own = columns[number.column]
        if number.since:
            apart = graph.add("Sub", own, columns[number.since])
            found = graph.add("Div", apart, float(DAY))
        else:
            if number.column not in parts:
                parts[number.column] = _parts(graph, own)
            of_column = parts[number.column]
            found = graph.add(
                "Where", of_column["absent"], float("nan"), of_column[str(number.part)]
            )
        results.append(graph.add("Cast", found, to=TensorProto.FLOAT))
    return results


def _parts(graph: _TimeGraph, given: str) -> dict[str, str]:
    """Add all parts of a column; return their names, double [N, 1], and that of `absent`."""
    absent = graph.add("Or", graph.add("IsNaN", given), graph.add("IsInf", given))
    seconds = graph.add("Where", absent, 0.0, given)
    days = graph.add("Floor", graph.add("Div", seconds, float(DAY)))
    of_day = graph.add("Sub", seconds, graph.add("Mul", days, float(DAY)))
    whole = graph.whole(days)
    weekday = graph.add("Add", graph.add("Mod", graph.add("Add", whole, 3), 7), 1)
    year, month = _year_and_month(graph, whole)
    return {
        "absent": absent,
        "days": days,
        "year": graph.double(year),
        "month": graph.double(month),
        "weekday": graph.double(weekday),
        "hour": graph.add("Floor", graph.add("Div", of_day, float(HOUR))),
    }


def _year_and_month(graph: _TimeGraph, days: str) -> tuple[str, str]:
    shifted = graph.add("Add", days, 719_468)
    era = graph.add("Div", shifted, 146_097)
    of_era = graph.add("Sub", shifted, graph.add("Mul", era, 146_097))
    leaps = graph.add("Sub", of_era, graph.add("Div", of_era, 1_460))
    leaps = graph.add("Add", leaps, graph.add("Div", of_era, 36_524))
    leaps = graph.add("Sub", leaps, graph.add("Div", of_era, 146_096))
    year = graph.add("Div", leaps, 365)
    before = graph.add("Add", graph.add("Mul", year, 365), graph.add("Div", year, 4))
    before = graph.add("Sub", before, graph.add("Div", year, 100))
    of_year = graph.add("Sub", of_era, before)
    from_march = graph.add("Div", graph.add("Add", graph.add("Mul", of_year, 5), 2), 153)
    late = graph.add("GreaterOrEqual", from_march, 10)
    month = graph.add("Add", from_march, graph.add("Where", late, -9, 3))
    whole_year = graph.add("Add", year, graph.add("Mul", era, 400))
    return graph.add("Add", whole_year, graph.whole(late)), month


class _TimeGraph:
    """Adds nodes and the constants that they read."""

    def __init__(self, nodes: list[Any], constants: list[Any]) -> None:
        self._nodes, self._constants = nodes, constants
        self._known: set[str] = set()

    def add(self, operator: str, *operands: str | float, **attributes: Any) -> str:
        """Add a node; return the name of its result. Numbers become constants."""
        from onnx import helper

        names = [one if isinstance(one, str) else self._constant(one) for one in operands]
        result = f"time_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, names, [result], **attributes))
        return result

    def whole(self, name: str) -> str:
        from onnx import TensorProto

        return self.add("Cast", name, to=TensorProto.INT64)

    def double(self, name: str) -> str:
        from onnx import TensorProto

        return self.add("Cast", name, to=TensorProto.DOUBLE)

    def _constant(self, value: float) -> str:
        import numpy as np
        from onnx import numpy_helper

        kind = np.int64 if isinstance(value, int) else np.float64
        name = f"time_{'whole' if isinstance(value, int) else 'number'}_{value}"
        if name not in self._known:
            self._known.add(name)
            self._constants.append(numpy_helper.from_array(np.array(value, kind), name))
        return name
