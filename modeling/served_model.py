"""The code of a registered model. MLflow runs this file when a model is logged and when it is loaded."""

from pathlib import Path
from typing import Any

import mlflow.models
import mlflow.pyfunc
import pandas as pd

from modeling import heads, serving
from modeling.backbones import Backbone


class ServedModel(mlflow.pyfunc.PythonModel):
    """Photographs to ranked species."""

    def load_context(self, context: Any) -> None:
        """Read the head; the backbone waits for the first photograph."""
        self.head = heads.load(Path(context.artifacts["head"]))
        self._config = dict(context.model_config or {})
        self._backbone: Backbone | None = None

    # A data frame is one of the things that come: of all hints it is the one with which MLflow neither warns nor
    # converts bytes and paths.
    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Name the species of photographs.

        Args:
            context: MLflow's; not used.
            model_input: Bytes or paths: one, a list, or a data frame with a column ``image``.
            params: ``tiling`` (whole, grid-RxC, pyramid-PX-A..B, window-PX-sS-bB) and ``top_k``.

        Returns:
            One row per (image, tile_index, rank), as ``modeling.serving.identify`` says.
        """
        if self._backbone is None:
            self._backbone = serving.backbone_of(
                self.head, self._config.get("backbone") or None, self._config.get("device") or None
            )
        asked = params or {}
        return serving.identify(
            self.head,
            self._backbone,
            serving.photographs_of(model_input),
            str(asked.get("tiling", "whole")),
            int(asked.get("top_k", 5)),
        )


mlflow.models.set_model(ServedModel())
