"""Frozen encoders: any transformers vision model with a CLS token and patch tokens, by hub name or local folder.

A backbone is known by the hash of its weights and architecture. Finding it (files, hash, preprocessing) needs no
torch; loading it does.
"""

import hashlib
import json
import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modeling.errors import BackboneError
from modeling.preprocess import Pixels, Preprocessing, read_preprocessing

if TYPE_CHECKING:
    import torch

POOLINGS = ("cls", "mean_patch")
# Fields of a config.json that say how it was saved, not what it computes.
_INCIDENTAL = frozenset({"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version"})


@dataclass(frozen=True)
class BackboneFiles:
    """A backbone that was found on disk, not loaded."""

    name: str  # hub name with its revision, or absolute path
    folder: Path
    weights_hash: str  # of the weights and of the architecture
    preprocessing: Preprocessing


@dataclass(frozen=True)
class EmbeddingSpec:
    """Everything that changes a number in a vector, and nothing else: names and paths are not in it."""

    weights_hash: str
    preprocessing: Preprocessing
    dtype: str  # float32 or bfloat16

    @property
    def json(self) -> str:
        """The spec as canonical JSON."""
        whole = {
            "dtype": self.dtype,
            "preprocessing": self.preprocessing.spec,
            "weights_hash": self.weights_hash,
        }
        return json.dumps(whole, sort_keys=True, separators=(",", ":"))

    @property
    def key(self) -> str:
        """The embedding key: a hash of the canonical JSON."""
        return hashlib.sha256(self.json.encode()).hexdigest()[:16]


def find(name: str) -> BackboneFiles:
    """Find a backbone's files and hash them. A hub name is looked up in the local cache and, if need be, the hub.

    Args:
        name: A folder that holds ``config.json``, or a hub name such as ``facebook/dinov2-base``, with ``@revision``
            or the newest one.

    Raises:
        BackboneError: If it is neither, or files are missing.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return _inspect(str(path.resolve()), path.resolve())
    if path.is_absolute() or name.startswith(".") or name.count("/") > 1:
        raise BackboneError(f"there is no backbone folder {name}")
    hub_name, _, revision = name.partition("@")
    return _from_hub(hub_name, revision or None)


def require_key(spec: EmbeddingSpec, embedding_key: str | None, name: str) -> None:
    """Hold a spec against the key that the vectors have to have; None asks for none.

    Raises:
        BackboneError: If the backbone makes other vectors; both keys are named.
    """
    if embedding_key is not None and spec.key != embedding_key:
        raise BackboneError(
            f"{name} makes embeddings {spec.key} in {spec.dtype}, and {embedding_key} are needed: the weights, the "
            f"preprocessing or the dtype are not those of training"
        )


def resolve_dtype(dtype: str | None, device: str | None = None) -> str:
    """Return the number type to compute in: the one asked for, or the fast one of this machine.

    bfloat16 is the default on CUDA and on CPUs that compute in it (AMX, AVX512-BF16): 1.5 to 5 times as fast, and
    its vectors keep a cosine of 0.9998 to those of float32.
    """
    if dtype in {"float32", "bfloat16"}:
        return dtype
    if dtype not in {None, "auto"}:
        raise BackboneError(f"there is no dtype {dtype!r}; say float32, bfloat16 or auto")
    import torch

    if resolve_device(device) == "cuda":
        return "bfloat16"
    return "bfloat16" if torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported() else "float32"


def resolve_device(device: str | None) -> str:
    """Return the device asked for; by default CUDA where there is one, else the CPU."""
    if device not in {None, "auto"}:
        return str(device)
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


class Backbone:
    """A loaded encoder. Feeds on pixels, gives vectors; keeps nothing."""

    def __init__(self, files: BackboneFiles, dtype: str, device: str | None = None) -> None:
        import torch

        self.files = files
        self.spec = EmbeddingSpec(files.weights_hash, files.preprocessing, dtype)
        self._device = torch.device(resolve_device(device))
        self._model = _load_model(files.folder).to(self._device)
        steps = files.preprocessing
        self._mean = torch.tensor(steps.mean, device=self._device).view(1, 3, 1, 1)
        self._std = torch.tensor(steps.std, device=self._device).view(1, 3, 1, 1)
        # Registers stand between CLS and the patches.
        self._first_patch = 1 + int(getattr(self._model.config, "num_register_tokens", 0) or 0)
        self._check_tokens()

    @property
    def dimension(self) -> int:
        """D, the length of one pooled vector."""
        return int(self._model.config.hidden_size)

    def embed(self, pixels: Pixels) -> dict[str, NDArray[np.float32]]:
        """Return the pooled vectors of a batch.

        Args:
            pixels: (N, height, width, 3) uint8 at the size of the preprocessing.

        Returns:
            For each pooling, (N, D) float32.
        """
        import torch

        with torch.inference_mode():
            raw = torch.from_numpy(pixels).to(self._device, non_blocking=True)
            values = raw.permute(0, 3, 1, 2).float().mul_(self.files.preprocessing.scale)
            tokens = self._tokens((values - self._mean) / self._std)
            return {
                "cls": tokens[:, 0].float().cpu().numpy(),
                "mean_patch": tokens[:, self._first_patch :].float().mean(dim=1).cpu().numpy(),
            }

    def _tokens(self, values: "torch.Tensor") -> "torch.Tensor":
        """Return (N, tokens, D): CLS, registers if there are any, patches row by row."""
        import torch

        half = self.spec.dtype == "bfloat16"
        with torch.autocast(self._device.type, dtype=torch.bfloat16) if half else nullcontext():
            tokens: torch.Tensor = self._model(pixel_values=values).last_hidden_state
        return tokens

    def _check_tokens(self) -> None:
        """Refuse a model whose tokens are not CLS, registers and patches: its first token would be no CLS."""
        import torch

        height, width = self.files.preprocessing.size
        try:
            with torch.inference_mode():
                tokens = self._tokens(torch.zeros(1, 3, height, width, device=self._device))
        except (ValueError, TypeError) as error:
            # What wants words beside the image, or images of one size only, says so when it is used.
            raise BackboneError(f"{self.files.name} takes no {height}x{width} px image: {error}") from error
        patch = getattr(self._model.config, "patch_size", None)
        side = patch if isinstance(patch, int) else None
        wanted = None if side is None else self._first_patch + (height // side) * (width // side)
        if tokens.ndim != 3 or tokens.shape[1] != wanted:
            raise BackboneError(
                f"{self.files.name} gives outputs of shape {tuple(tokens.shape)} for one {height}x{width} px image; "
                f"a CLS token and patch tokens are needed (1, {wanted}, D)"
            )


def save_untrained(folder: Path, seed: int = 0) -> Path:
    """Build a small DINOv2-architecture backbone with random weights from a fixed seed and save it, if need be.

    It has learnt nothing: its vectors are random projections of the pixels, enough to tell drawn plants apart.

    Returns:
        The folder, which ``find`` takes.
    """
    if (folder / "preprocessor_config.json").is_file():
        return folder
    import torch
    from transformers import Dinov2Config, Dinov2Model

    _quiet()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Dinov2Model(
            # Small patches and a wide spread of weights: of some dozens tried, what keeps most of shape and texture.
            Dinov2Config(
                hidden_size=128,
                num_hidden_layers=1,
                num_attention_heads=2,
                image_size=84,
                patch_size=4,
                initializer_range=0.12,
            )
        )
    model.save_pretrained(folder)
    steps = {
        "image_processor_type": "BitImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": 96},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": 84, "width": 84},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
    # Last, and under its name only when it is whole: it is the sign that the folder is finished.
    partial = folder / "preprocessor_config.json.partial"
    partial.write_text(json.dumps(steps, indent=2), encoding="utf-8")
    partial.replace(folder / "preprocessor_config.json")
    return folder


def _from_hub(name: str, revision: str | None) -> BackboneFiles:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    wanted = ["config.json", "preprocessor_config.json", "*.safetensors", "*.safetensors.index.json"]
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError, ValueError) as error:
        raise BackboneError(
            f"the backbone {name!r} is no folder here and could not be had from the model hub "
            f"({type(error).__name__}). Give a folder with --backbone, or fetch it once while online."
        ) from error
    # With its revision: the newest one of tomorrow may be other weights.
    return _inspect(f"{name}@{folder.name}", folder)


def _inspect(name: str, folder: Path) -> BackboneFiles:
    weights = sorted(folder.glob("*.safetensors"))
    config = folder / "config.json"
    if not weights or not config.is_file():
        raise BackboneError(f"{folder} is no backbone: config.json and *.safetensors are needed")
    architecture = {
        key: value for key, value in json.loads(config.read_text(encoding="utf-8")).items() if key not in _INCIDENTAL
    }
    whole = hashlib.sha256(json.dumps(architecture, sort_keys=True).encode())
    for path in weights:
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return BackboneFiles(name, folder, whole.hexdigest(), read_preprocessing(folder))


def _load_model(folder: Path) -> Any:
    from transformers import AutoModel

    _quiet()
    try:
        return AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
    except (OSError, ValueError, KeyError) as error:
        raise BackboneError(f"transformers cannot load {folder}: {error}") from error


def _quiet() -> None:
    """Keep transformers' own progress bars and advice out of ours."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
