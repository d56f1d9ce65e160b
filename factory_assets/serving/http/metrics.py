"""What the server counts, in the text format of Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    generate_latest,
)
from prometheus_client.registry import Collector

from factory_assets.serving.http.call import Call
from factory_assets.serving.http.errors import HttpError
from factory_assets.serving.online.served_model import ServedModel

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        labels = ("pipeline", "protocol", "version", "role")
        self._requests = Counter(
            "factory_requests", "Requests that were answered", labels, registry=self._registry
        )
        self._rows = Counter(
            "factory_rows", "Rows that were scored", labels, registry=self._registry
        )
        self._errors = Counter(
            "factory_errors",
            "Requests that were refused; or not answered by a new version, but by the champion",
            ("kind", "pipeline", "version", "role"),
            registry=self._registry,
        )
        self._shadows = Counter(
            "factory_shadows",
            "Answers of the champion that a new version computed too, or did not",
            ("pipeline", "result"),
            registry=self._registry,
        )
        self._feedback = Counter(
            "factory_feedback",
            "Outcomes that were sent, by what became of them; of no pipeline if the id is unknown",
            ("pipeline", "kind"),
            registry=self._registry,
        )
        self._latency = Histogram(
            "factory_request_seconds",
            "Seconds from the arrival of a request until its answer is durable",
            labels,
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._queue = Gauge(
            "factory_queue", "Requests that are being answered", registry=self._registry
        )
        self._version = Gauge(
            "factory_version", "The version that serves", ("pipeline",), registry=self._registry
        )
        self._shift = Gauge(
            "factory_input_shift",
            "Mean of about the last 1,000 rows, in standard deviations from that of training",
            ("pipeline", "input"),
            registry=self._registry,
        )
        self._cpu = Gauge("factory_cpu_seconds", "CPU time of the server", registry=self._registry)
        self._energy = Gauge(
            "factory_energy_joules",
            "Energy of the server, estimated from its CPU time",
            registry=self._registry,
        )
        self._children: dict[tuple[str, ...], tuple[Counter, Counter, Histogram]] = {}

    def answered(self, call: Call, rows: int) -> None:
        """Count an answer."""
        pipeline, version, role = call.about
        key = pipeline, call.protocol, version, role
        if key not in self._children:
            self._children[key] = (
                self._requests.labels(*key),
                self._rows.labels(*key),
                self._latency.labels(*key),
            )
        requests, scored, latency = self._children[key]
        requests.inc()
        scored.inc(rows)
        latency.observe(time.perf_counter() - call.started)

    def refused(self, error: HttpError) -> None:
        """Count an error."""
        self._errors.labels(error.kind, *error.about).inc()

    def shadowed(self, call: Call, result: Literal["compared", "failed", "dropped"]) -> None:
        """Count what became of an answer that a shadow was to compute too."""
        self._shadows.labels(call.served.pipeline, result).inc()

    def fed_back(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Count outcomes that were sent.

        Args:
            counts: pipeline, and what became of them, to their number.
        """
        for (pipeline, kind), number in counts.items():
            self._feedback.labels(pipeline, kind).inc(number)

    def text(
        self,
        *,
        queue: int,
        served: Mapping[str, ServedModel],
        watts: float,
        may: Callable[[str], bool],
    ) -> bytes:
        """Return the metrics in the text format.

        Args:
            queue: requests that are being answered now.
            served: the champions that serve.
            watts: what one busy core takes.
            may: whether the metrics of a pipeline are shown.
        """
        self._queue.set(queue)
        self._version.clear()
        self._shift.clear()
        for pipeline, model in served.items():
            self._version.labels(pipeline).set(model.version)
            for name, shift in model.shift.values().items() if model.shift else ():
                self._shift.labels(pipeline, name).set(shift)
        used = time.process_time()
        self._cpu.set(used)
        self._energy.set(used * watts)
        content: bytes = generate_latest(_Shown(self._registry, may))
        return content


class _Shown(Collector):
    """The metrics of some pipelines, and those that concern none."""

    def __init__(self, registry: CollectorRegistry, may: Callable[[str], bool]) -> None:
        self._registry, self._may = registry, may

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            # It is made anew for each call.
            metric.samples = [
                one
                for one in metric.samples
                if not (name := one.labels.get("pipeline")) or self._may(name)
            ]
            yield metric
