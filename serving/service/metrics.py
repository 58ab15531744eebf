"""The metrics of `/metrics`. There is one HTTP process, so its counts are complete."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from serving.service.messages import Statistics

if TYPE_CHECKING:
    from serving.service.pool import Pool

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_TOKENS = (32, 64, 128, 256, 384, 512, 640, 768, 1024)


class Metrics:
    """The service's own registry of metrics."""

    def __init__(self) -> None:
        """Start everything from zero."""
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "rasd_requests",
            "Requests by route, status code and the name of the key",
            ("route", "code", "key"),
            registry=registry,
        )
        self.seconds = Histogram(
            "rasd_request_seconds",
            "From a request's headers to the end of its answer",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.queue_seconds = Histogram(
            "rasd_queue_seconds",
            "Time a request waited for a worker",
            buckets=_SECONDS,
            registry=registry,
        )
        self.model_seconds = Histogram(
            "rasd_model_seconds",
            "Time a worker took to score a request",
            buckets=_SECONDS,
            registry=registry,
        )
        self.batch_tokens = Histogram(
            "rasd_batch_tokens",
            "Tokens in a micro-batch, padding included",
            buckets=_TOKENS,
            registry=registry,
        )
        self.sentences = Counter("rasd_sentences", "Sentences answered", registry=registry)
        self.refused = Counter(
            "rasd_refused_sentences", "Sentences that could not be labelled", registry=registry
        )
        self.labels = Counter("rasd_labels", "Labels given", ("label",), registry=registry)
        self.uncertain = Counter(
            "rasd_uncertain_sentences",
            "Labels whose probability is under the model's threshold",
            registry=registry,
        )
        # Its sum over its count is the mean confidence.
        self.confidence = Counter(
            "rasd_confidence_sum", "Sum of the probabilities of the labels given", registry=registry
        )
        self.in_flight = Gauge("rasd_in_flight", "Requests being answered", registry=registry)
        self.swaps = Counter(
            "rasd_swaps",
            "New versions taken from the registry, by outcome: done or refused",
            ("outcome",),
            registry=registry,
        )
        for outcome in ("done", "refused"):
            self.swaps.labels(outcome)
        self.dropped_lines = Gauge(
            "rasd_log_lines_dropped",
            "Log lines of the HTTP process that nobody read in time",
            registry=registry,
        )
        self.following = Gauge(
            "rasd_following",
            "1 while the registry is looked at; 0 when it no longer is, or none is followed",
            registry=registry,
        )

    def count(self, statistics: Statistics, queue_seconds: float) -> None:
        """Count one scored request."""
        self.queue_seconds.observe(queue_seconds)
        self.model_seconds.observe(statistics.seconds)
        self.sentences.inc(statistics.sentences)
        self.refused.inc(statistics.refused)
        self.uncertain.inc(statistics.uncertain)
        self.confidence.inc(statistics.confidence)
        for label, number in statistics.labels.items():
            self.labels.labels(label).inc(number)
        for tokens in statistics.batch_tokens:
            self.batch_tokens.observe(tokens)

    def watch(self, pool: "Pool") -> None:
        """Read the state of the pool whenever the metrics are read."""
        self.registry.register(_PoolCollector(pool))

    def text(self) -> bytes:
        """Return everything in Prometheus' text form."""
        return generate_latest(self.registry)


class _PoolCollector(Collector):
    """Gauges that are computed when they are read."""

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        pool = self._pool
        model = GaugeMetricFamily("rasd_model_info", "The model being served", labels=["model"])
        model.add_metric([pool.model], 1)
        yield model
        yield GaugeMetricFamily("rasd_ready", "1 when every worker is ready", value=pool.ready)
        yield GaugeMetricFamily("rasd_waiting", "Requests in the queue", value=pool.waiting)
        yield CounterMetricFamily(
            "rasd_worker_restarts", "Workers replaced since the start", value=pool.restarts
        )
        memory = GaugeMetricFamily(
            "rasd_process_resident_bytes", "Resident memory by process", labels=["process"]
        )
        for name, process in {"http": os.getpid(), **pool.processes}.items():
            memory.add_metric([name], resident_bytes(process))
        yield memory


def resident_bytes(process: int) -> int:
    """Return a process's resident memory in bytes; 0 where it cannot be read."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
