"""How good a network is: metrics by name."""

from osler.metrics.metrics import METRICS, better, metric
from osler.metrics.tasks import default_metrics

__all__ = ["METRICS", "better", "default_metrics", "metric"]
