"""Lightning's curves in MLflow: gathered, and written together every other second.

Lightning's own logger commits to MLflow's database for each epoch and metric; on vectors that are ready an epoch takes
less time than that.
"""

import time
from collections.abc import Mapping
from typing import Any

import mlflow
from mlflow.entities import Metric
from pytorch_lightning.loggers import Logger

_SECONDS = 2.0
_MOST = 1000  # of a batch, as MLflow takes it


class Curves(Logger):  # type: ignore[misc]  # Lightning's types are not followed
    """The curves of one run."""

    def __init__(self, client: mlflow.MlflowClient, run_id: str) -> None:
        super().__init__()
        self._client, self._run_id = client, run_id
        self._waiting: list[Metric] = []
        self._written = time.monotonic()

    @property
    def name(self) -> str:
        """Nothing is kept in folders."""
        return ""

    @property
    def version(self) -> str:
        """The MLflow run."""
        return self._run_id

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Leave params to whoever writes the run."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Take one point of each curve."""
        now = int(time.time() * 1000)
        self._waiting += [Metric(key, float(value), now, step or 0) for key, value in metrics.items()]
        if time.monotonic() - self._written >= _SECONDS:
            self.save()

    def save(self) -> None:
        """Write what has been gathered."""
        while self._waiting:
            some, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            self._client.log_batch(self._run_id, metrics=some)
        self._written = time.monotonic()

    def finalize(self, status: str) -> None:
        """Write the rest; also of a training that broke off."""
        self.save()
