"""The code of a registered model. MLflow runs this file when a model is logged and when it is loaded."""

from pathlib import Path
from typing import Any

import mlflow.models
import mlflow.pyfunc
import pandas as pd

from modeling import answers, heads, serving
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
            params: ``tiling`` (whole, grid-RxC, pyramid-PX-A..B, window-PX-sS-bB, several joined by a plus) and
                ``top_k``; ``species`` (one, many, or nothing for the tiles themselves), ``min_votes`` and
                ``min_probability`` for answers of whole photographs.

        Returns:
            One row per (image, scheme_id, tile_index, rank), as ``modeling.serving.identify`` says; of whole
            photographs one per (image, rank), as ``modeling.answers.decide`` says.
        """
        if self._backbone is None:
            self._backbone = serving.backbone_of(
                self.head, self._config.get("backbone") or None, self._config.get("device") or None
            )
        asked = params or {}
        tiles = serving.identify(
            self.head,
            self._backbone,
            serving.photographs_of(model_input),
            str(asked.get("tiling", "whole")),
            int(asked.get("top_k", 5)),
        )
        species = str(asked.get("species", ""))
        if not species:
            return tiles
        return answers.decide(tiles, species, int(asked.get("min_votes", 2)), float(asked.get("min_probability", 0.0)))


mlflow.models.set_model(ServedModel())
