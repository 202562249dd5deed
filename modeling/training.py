"""Embeddings and labels to a trained head, with PyTorch Lightning. Knows no registry and no table."""

import hashlib
import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import Logger
from torch import Tensor
from torch.nn import functional

from modeling import calibration, objectives
from modeling.batches import Batches, pseudo_quadrats
from modeling.errors import TrainingError
from modeling.examples import Examples, require_sense
from modeling.heads import kinds
from modeling.heads.head import Head
from modeling.judging import Answers, Confidence, judge
from modeling.objectives import Objective
from modeling.problem import Problem
from modeling.recipe import Recipe

_CHUNK = 8192  # rows whose logits are looked at together
_CALIBRATED_ON = 20_000  # validation examples, at most: their logits are held together
_SHARE_OF_DEVICE = 0.5  # of a GPU's free memory that the examples may take
_RATES = np.geomspace(1e-6, 1.0, 100)  # learning rates that are tried, a step each
_SMOOTHED_OVER = 11  # tried rates whose losses are averaged: two thirds of an order of magnitude
_LOST = 4  # times the lowest loss: no larger rate is worth trying


@dataclass(frozen=True)
class Fitted:
    """A head at its best epoch, and how it came there."""

    network: Head
    temperature: float  # that its logits are divided by
    is_multi_label: bool  # probabilities are sigmoids of logits, not a softmax
    best_epoch: int  # counted from 0; -1 where a head does not learn by steps
    epochs: int  # 0 where a head does not learn by steps
    learning_rate: float | None  # None where it does not learn by steps
    validation_loss: float  # negative log-likelihood of the examples; multi-label: the objective
    answers: Answers
    confidence: Confidence

    @property
    def validation_accuracy(self) -> float:
        """Share of the validation observations that are answered right."""
        return float(self.answers.is_right.mean())

    @property
    def weights_hash(self) -> str:
        """Hash of the weights, to compare two trainings by."""
        return self.network.weights_hash


def fit(
    examples: Examples,
    problem: Problem,
    recipe: Recipe,
    logger: Logger | None = None,
    on_epoch: Callable[[int], None] = lambda count: None,
    inherit: Callable[[Head], None] | None = None,
) -> Fitted:
    """Train a head, stop early, return it at its best epoch, calibrated on the validation examples.

    Where the recipe says ``refit``, what is returned has learnt once more from all examples, for as many epochs; loss,
    temperature and answers are those of the head that had not seen the validation examples.

    The same examples, problem and recipe give the same head on the same machine, whatever ran before.

    Args:
        examples: N examples with their class indices; some for validation.
        problem: What there is to tell apart.
        recipe: Kind of head, objective and the rest.
        logger: Lightning's logger for curves; none by default.
        on_epoch: Told after each epoch, for a progress bar.
        inherit: Puts weights of an older head into the new one before it learns.

    Raises:
        TrainingError: If the examples or the recipe make no sense.
    """
    require_sense(examples, problem)
    require_fitting(recipe, problem)
    objective = objectives.of(recipe.objective, problem, dict(recipe.objective_settings))

    def begun(side: _Side) -> Head:
        pl.seed_everything(recipe.seed, workers=True, verbose=False)
        network = kinds.of(recipe.head, problem, dict(recipe.head_settings))
        network.begin(side.features, side.targets)
        if inherit is not None:
            inherit(network)
        return network

    with _quiet(), _deterministic():
        train, held_out = _side(examples, False), _side(examples, True)
        network = begun(train)
        course = _Course(-1, 0, None)
        if network.learns_by_steps:
            course = _train(network, objective, train, held_out, recipe, logger, on_epoch)
        network = network.cpu().eval()
        temperature, loss = _calibrated(network, objective.cpu().eval(), held_out, recipe)
        answers, confidence = judge(network, examples, temperature, objective.is_multi_label)
        if recipe.refit:
            whole = _Side(torch.from_numpy(examples.features), torch.from_numpy(examples.class_indices))
            network = begun(whole)
            if network.learns_by_steps:
                once = replace(recipe, max_epochs=course.best_epoch + 1, learning_rate=course.learning_rate)
                _train(network, objective, whole, None, once, None, lambda count: None)
            network = network.cpu().eval()
    return Fitted(
        network,
        temperature,
        objective.is_multi_label,
        course.best_epoch,
        course.epochs,
        course.learning_rate,
        loss,
        answers,
        confidence,
    )


def key(inputs_digest: str, class_map_id: str, embedding_key: str, recipe: Recipe, started_from: str = "") -> str:
    """Name a training by everything that it depends on: the same key gives the same head on the same machine."""
    whole = [inputs_digest, class_map_id, embedding_key, recipe.spec, started_from]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Side:
    """The examples of one side of the split."""

    features: Tensor  # (N, D)
    targets: Tensor  # (N)


@dataclass(frozen=True)
class _Course:
    """How training by steps went."""

    best_epoch: int
    epochs: int
    learning_rate: float | None


def _train(
    network: Head,
    objective: Objective,
    train: _Side,
    held_out: _Side | None,
    recipe: Recipe,
    logger: Logger | None,
    on_epoch: Callable[[int], None],
) -> _Course:
    """Train by steps with Adam; the network ends at its best epoch, or at the last where nothing is held out."""
    with tempfile.TemporaryDirectory(prefix="taxalake-head-") as folder:
        best = ModelCheckpoint(dirpath=folder, monitor="val_loss", mode="min", save_top_k=1, save_weights_only=True)
        stop = EarlyStopping("val_loss", mode="min", patience=recipe.patience, check_finite=True)
        trainer = pl.Trainer(
            accelerator="auto",
            devices=1,
            max_epochs=recipe.max_epochs,
            precision="bf16-mixed" if recipe.precision == "bfloat16" else "32-true",
            callbacks=[] if held_out is None else [best, stop, _Epochs(on_epoch)],
            logger=logger if logger is not None else False,
            log_every_n_steps=1_000_000,  # curves have one point an epoch
            enable_checkpointing=held_out is not None,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            deterministic="warn",
            default_root_dir=folder,
        )
        device = trainer.strategy.root_device
        examples = _on_device(train, device)

        def batches() -> Batches:
            return Batches(examples.features, examples.targets, network.class_count, recipe, device)

        rate = recipe.learning_rate
        if rate is None:
            rate = _found_rate(network, objective, batches(), recipe, device)
        module = _Training(network, objective, rate)
        watched = None if held_out is None else _Watched(_on_device(held_out, device), network, recipe, device)
        trainer.fit(module, batches(), watched)
        if watched is None:
            return _Course(recipe.max_epochs - 1, trainer.current_epoch, rate)
        # A checkpoint is kept of a loss that is no number too, as of an infinite one.
        if best.best_model_score is None or not best.best_model_score.isfinite():
            raise TrainingError(
                f"the validation loss of {recipe.objective!r} was never a number: a smaller learning_rate than "
                f"{rate:g} may help"
            )
        saved = torch.load(best.best_model_path, weights_only=True)
        module.load_state_dict(saved["state_dict"], strict=True)
    return _Course(int(saved["epoch"]), trainer.current_epoch, rate)


class _Training(pl.LightningModule):
    """The optimiser, the objective and what is logged."""

    def __init__(self, network: Head, objective: Objective, learning_rate: float) -> None:
        super().__init__()
        self.network = network
        self.objective = objective
        self.learning_rate = learning_rate

    def on_train_epoch_start(self) -> None:
        self.objective.begin_epoch(self.current_epoch)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        features, targets = batch
        loss = self.network.loss(self.objective, features, targets)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(targets))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        features, targets = batch
        logits = self.network(features).float()
        self.log("val_loss", _watched_loss(self.objective, logits, targets), batch_size=len(targets))
        if targets.ndim == 1:
            self.log("val_accuracy", (logits.argmax(1) == targets).float().mean(), batch_size=len(targets))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.network.parameters(), lr=self.learning_rate)


class _Epochs(Callback):
    def __init__(self, on_epoch: Callable[[int], None]) -> None:
        self._on_epoch = on_epoch

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self._on_epoch(1)


class _Watched:
    """The validation examples in their order, the same in every epoch; as quadrats where those are learnt."""

    def __init__(self, side: _Side, network: Head, recipe: Recipe, device: torch.device) -> None:
        self._side, self._device = side, device
        self._most = recipe.quadrat_species
        self._class_count, self._seed = network.class_count, recipe.seed

    def __len__(self) -> int:
        return -(-len(self._side.targets) // _CHUNK)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(self._seed)
        for at in range(0, len(self._side.targets), _CHUNK):
            features = self._side.features[at : at + _CHUNK].to(self._device)
            targets = self._side.targets[at : at + _CHUNK].to(self._device)
            if self._most:
                yield pseudo_quadrats(features, targets, self._class_count, self._most, generator)
            else:
                yield features, targets


def _watched_loss(objective: Objective, logits: Tensor, targets: Tensor) -> Tensor:
    """Return what tells when to stop: what calibrated probabilities are made of, whatever is trained.

    Of one species it is the plain negative log-likelihood, without smoothing, of logits as the objective means them. Of
    several it is the objective: those that weigh mistakes shift all sigmoids, and cross-entropy would stop them early.
    """
    if objective.is_multi_label:
        loss: Tensor = objective(logits, targets)
        return loss
    return functional.cross_entropy(objective.meant(logits), targets)


def _found_rate(network: Head, objective: Objective, batches: Batches, recipe: Recipe, device: torch.device) -> float:
    """Return the learning rate at which the loss falls fastest, by its order of magnitude (Smith 2017).

    Network and chance are left as they were, so that a head learns as if the rate had been given. Lightning's own
    finder ends with the epochs of the recipe, which may be a handful of steps, and draws its progress over any other.

    Raises:
        TrainingError: If the loss falls nowhere.
    """
    tried, judge = deepcopy(network).to(device), deepcopy(objective).to(device)
    adam = torch.optim.Adam(tried.parameters())
    losses: list[float] = []
    endless = chain.from_iterable(repeat(batches))
    with torch.random.fork_rng():
        for rate, (features, targets) in zip(_RATES, endless, strict=False):
            with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
                loss = tried.loss(judge, features, targets)
            value = loss.item()
            # Written so that NaN ends it too.
            if not value <= _LOST * min([value, *losses]):
                break
            losses.append(value)
            adam.param_groups[0]["lr"] = float(rate)
            adam.zero_grad()
            torch.autograd.backward(loss)
            adam.step()
    # The mean of the rates around, not of those before: it would find the fall later than it was.
    smooth = np.convolve(losses, np.full(_SMOOTHED_OVER, 1 / _SMOOTHED_OVER), "valid")
    slopes = np.diff(smooth) if len(losses) > _SMOOTHED_OVER else np.zeros(1)
    if slopes.min() >= 0:
        raise TrainingError("no learning rate was found at which the loss falls; give one: learning_rate = 0.002")
    return float(_RATES[slopes.argmin() + _SMOOTHED_OVER // 2])


def _calibrated(network: Head, objective: Objective, held_out: _Side, recipe: Recipe) -> tuple[float, float]:
    """Return the temperature that fits the validation examples best, and the loss before it."""
    every = -(-len(held_out.targets) // _CALIBRATED_ON)
    total, rows = 0.0, 0
    kept: list[tuple[NDArray[np.float32], NDArray[Any]]] = []
    with torch.inference_mode():
        for features, targets in _Watched(held_out, network, recipe, torch.device("cpu")):
            found = network(features)
            total += float(_watched_loss(objective, found, targets)) * len(targets)
            rows += len(targets)
            # Copies: a view would keep the logits of all examples.
            kept.append((found[::every].numpy().copy(), targets[::every].numpy().copy()))
    logits, truth = (np.concatenate(column) for column in zip(*kept, strict=True))
    if not objective.is_multi_label:
        return calibration.fit_temperature(logits, truth), total / rows
    is_there = truth > 0 if truth.ndim == 2 else np.eye(network.class_count, dtype=bool)[truth]
    return calibration.fit_temperature_multi_label(logits, is_there), total / rows


def _side(examples: Examples, is_validation: bool) -> _Side:
    """Return one side; a view where its rows lie together, so that a mapped file is not read into memory."""
    rows = np.flatnonzero(examples.is_validation == is_validation)
    together: Any = slice(int(rows[0]), int(rows[-1]) + 1) if rows[-1] - rows[0] + 1 == len(rows) else rows
    return _Side(torch.from_numpy(examples.features[together]), torch.from_numpy(examples.class_indices[together]))


def _on_device(side: _Side, device: torch.device) -> _Side:
    """Return a side with its whole matrix on the device, if that has room for it."""
    if device.type != "cuda":
        return side
    free, _ = torch.cuda.mem_get_info(device)
    if side.features.nbytes > _SHARE_OF_DEVICE * free:
        return side
    return _Side(side.features.to(device), side.targets.to(device))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence advice that is not for this: Lightning's on worker processes for what is a matrix in memory."""
    lightning = logging.getLogger("pytorch_lightning")
    level = lightning.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lightning.setLevel(logging.WARNING)
        try:
            yield
        finally:
            lightning.setLevel(level)


@contextmanager
def _deterministic() -> Iterator[None]:
    """Let every sum be taken in the same order. Lightning switches this on as well, and never off again."""
    was_on, only_warned = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    benchmark = torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was_on, warn_only=only_warned)
        torch.backends.cudnn.benchmark = benchmark


def require_fitting(recipe: Recipe, problem: Problem) -> None:
    """Refuse a recipe whose parts are unknown, do not fit each other, or do not fit the problem.

    Raises:
        TrainingError: If that is so; nothing was trained.
    """
    objective = objectives.of(recipe.objective, problem, dict(recipe.objective_settings))
    head = kinds.of(recipe.head, problem, dict(recipe.head_settings))
    by_steps = head.learns_by_steps
    if objective.is_multi_label and head.is_softmax_only:
        raise TrainingError(
            f"logits of a {recipe.head!r} head are logarithms of shares of one species, and {recipe.objective!r} is "
            f"for several"
        )
    if recipe.quadrat_species and not objective.is_multi_label:
        raise TrainingError(
            f"pseudo-quadrats hold several species, and {recipe.objective!r} is for one: "
            f"{', '.join(name for name, kind in objectives.OBJECTIVES.items() if kind.is_multi_label)} are for several"
        )
    if recipe.mixup and (objective.is_multi_label or not objective.takes_shares):
        raise TrainingError(f"mixup makes shares of species, and {recipe.objective!r} takes none")
    has_objective = recipe.objective != Recipe.objective or recipe.objective_settings
    is_drawn = recipe.sampling != Recipe.sampling or recipe.mixup or recipe.quadrat_species
    if not by_steps and (has_objective or is_drawn):
        raise TrainingError(
            f"a {recipe.head!r} head does not learn by steps: objective, sampling, mixup and pseudo-quadrats mean "
            f"nothing to it"
        )
