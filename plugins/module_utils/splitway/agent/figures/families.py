# SPDX-License-Identifier: GPL-3.0-or-later
"""Families of metrics, each with all of its samples."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Optional

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

Metric = Any  # prometheus_client.Metric


def gauge(
    name: str, text: str, labels: Iterable[str], samples: Iterable[tuple[Iterable[str], Optional[float]]]
) -> Metric:
    """Return a gauge of ours with these samples; those without a value are left out."""
    return _filled(GaugeMetricFamily(f"splitway_{name}", text, labels=tuple(labels)), samples)


def counter(name: str, text: str, labels: Iterable[str], samples: Iterable[tuple[Iterable[str], float]]) -> Metric:
    """Return a counter of ours with these samples."""
    return _filled(CounterMetricFamily(f"splitway_{name}", text, labels=tuple(labels)), samples)


def _filled(family: Metric, samples: Iterable[tuple[Iterable[str], Optional[float]]]) -> Metric:
    for labels, value in samples:
        if value is not None:
            family.add_metric(tuple(labels), value)
    return family
