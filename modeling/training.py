"""Embeddings and labels to a trained head, with PyTorch Lightning. Knows no registry and no table."""

import hashlib
import json
import logging
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import Logger
from torch import Tensor
from torch.nn import functional
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from modeling.errors import TrainingError
from modeling.heads.linear import LinearHead


@dataclass(frozen=True)
class Recipe:
    """How a head is trained. Dropout and smoothing were chosen by validation loss over 20 seeds."""

    learning_rate: float = 2e-3
    dropout: float = 0.3  # of standardised features
    label_smoothing: float = 0.05
    batch_size: int | None = None  # photographs; by default about a hundred steps an epoch
    max_epochs: int = 100
    patience: int = 10  # epochs without a better validation loss
    seed: int = 0

    def batch(self, example_count: int) -> int:
        """Photographs in one step: a power of two from 64 to 1,024."""
        if self.batch_size is not None:
            return self.batch_size
        hundredth = max(1, example_count // 100)
        return min(1024, max(64, 1 << (hundredth.bit_length() - 1)))


@dataclass(frozen=True)
class Examples:
    """What a head learns from, and what tells it when to stop."""

    features: NDArray[np.float32]  # (N, D)
    class_indices: NDArray[np.int64]  # (N)
    is_validation: NDArray[np.bool_]  # (N)


@dataclass(frozen=True)
class Fitted:
    """A head at its best epoch, and how it came there."""

    network: LinearHead
    best_epoch: int  # counted from 0
    epochs: int
    validation_loss: float
    validation_accuracy: float

    @property
    def weights_hash(self) -> str:
        """Hash of the weights, to compare two trainings by."""
        whole = hashlib.sha256()
        for name, tensor in sorted(self.network.state_dict().items()):
            whole.update(name.encode())
            whole.update(tensor.cpu().numpy().tobytes())
        return whole.hexdigest()[:16]


def fit(
    examples: Examples,
    class_count: int,
    recipe: Recipe,
    logger: Logger | None = None,
    on_epoch: Callable[[int], None] = lambda count: None,
) -> Fitted:
    """Train a linear head with Adam and cross-entropy, stop early, and return it at its best epoch.

    Args:
        examples: N photographs with their class indices; some for validation.
        class_count: C.
        recipe: Learning rate and the rest.
        logger: Lightning's logger for curves; none by default.
        on_epoch: Told after each epoch, for a progress bar.

    Raises:
        TrainingError: If either side is empty or features are not finite.
    """
    _require_sense(examples)
    pl.seed_everything(recipe.seed, workers=True, verbose=False)
    features = torch.from_numpy(examples.features)
    targets = torch.from_numpy(examples.class_indices)
    held_out = torch.from_numpy(examples.is_validation)
    network = LinearHead(features.shape[1], class_count, recipe.dropout)
    network.standardise(features[~held_out])
    module = _Training(network, recipe)
    with tempfile.TemporaryDirectory(prefix="taxalake-head-") as folder, warnings.catch_warnings():
        # Lightning advises worker processes for what is a matrix in memory.
        warnings.simplefilter("ignore")
        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
        best = ModelCheckpoint(dirpath=folder, monitor="val_loss", mode="min", save_top_k=1)
        trainer = pl.Trainer(
            accelerator="auto",
            devices=1,
            max_epochs=recipe.max_epochs,
            callbacks=[
                best,
                EarlyStopping("val_loss", mode="min", patience=recipe.patience, check_finite=True),
                _Epochs(on_epoch),
            ],
            logger=logger if logger is not None else False,
            log_every_n_steps=1_000_000,  # curves have one point an epoch
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            deterministic="warn",
        )
        trainer.fit(
            module,
            _loader(features[~held_out], targets[~held_out], recipe, shuffled=True),
            _loader(features[held_out], targets[held_out], recipe, shuffled=False),
        )
        saved = torch.load(best.best_model_path, weights_only=True)
        module.load_state_dict(saved["state_dict"], strict=True)
    network = network.cpu().eval()
    loss, accuracy = _score(network, features[held_out], targets[held_out])
    return Fitted(network, int(saved["epoch"]), trainer.current_epoch, loss, accuracy)


def key(inputs_digest: str, class_map_id: str, embedding_key: str, poolings: tuple[str, ...], recipe: Recipe) -> str:
    """Name a training by everything that it depends on: the same key gives the same head on the same machine."""
    whole = [inputs_digest, class_map_id, embedding_key, list(poolings), asdict(recipe)]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]


class _Training(pl.LightningModule):
    """The optimiser, the objective and what is logged."""

    def __init__(self, network: LinearHead, recipe: Recipe) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        features, targets = batch
        loss = functional.cross_entropy(self.network(features), targets, label_smoothing=self.recipe.label_smoothing)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(targets))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        features, targets = batch
        logits = self.network(features)
        # Without smoothing: the loss that is watched is the plain negative log-likelihood.
        self.log("val_loss", functional.cross_entropy(logits, targets), batch_size=len(targets))
        self.log("val_accuracy", (logits.argmax(1) == targets).float().mean(), batch_size=len(targets))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.network.parameters(), lr=self.recipe.learning_rate)


class _Epochs(Callback):
    def __init__(self, on_epoch: Callable[[int], None]) -> None:
        self._on_epoch = on_epoch

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self._on_epoch(1)


def _loader(features: Tensor, targets: Tensor, recipe: Recipe, shuffled: bool) -> DataLoader[tuple[Tensor, ...]]:
    """Return batches that are sliced out of the matrix at once, not gathered row by row."""
    data = TensorDataset(features, targets)
    order = RandomSampler(data) if shuffled else range(len(data))
    return DataLoader(data, batch_size=None, sampler=BatchSampler(order, recipe.batch(len(data)), drop_last=False))


def _score(network: LinearHead, features: Tensor, targets: Tensor) -> tuple[float, float]:
    with torch.inference_mode():
        logits = network(features)
        loss = functional.cross_entropy(logits, targets)
        return float(loss), float((logits.argmax(1) == targets).float().mean())


def _require_sense(examples: Examples) -> None:
    train, val = int((~examples.is_validation).sum()), int(examples.is_validation.sum())
    if not train or not val:
        raise TrainingError(
            f"{train} photographs to train on and {val} to validate on: both are needed. Give a split column, or "
            f"more labelled observations of the species that have only a few."
        )
    if not np.isfinite(examples.features).all():
        raise TrainingError("an embedding holds NaN or infinity")
