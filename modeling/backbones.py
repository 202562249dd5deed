"""Frozen encoders: any transformers vision model with patch tokens and a CLS token or a pooled output.

A backbone is found by hub name or local folder and known by the hash of its weights and architecture. Finding it
(files, hash, preprocessing) needs no torch; loading it does.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modeling.errors import BackboneError
from modeling.pooling import COEFFICIENTS, POOLINGS
from modeling.preprocess import Pixels, Preprocessing, read_preprocessing, require_round_trip

if TYPE_CHECKING:
    import torch
    from torch import Tensor


# Fields of a config.json that say how it was saved, not what it computes.
LEAST_COSINE = 0.999  # to float32, or to the network as it is: of vectors that may stand for these
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
    """Everything that changes a number in a vector, and nothing else: names and paths are not in it.

    What computes (a CPU or a GPU, compiled or not) is not in it either: it moves float32 vectors by a millionth.
    """

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
        return key_of(self.json)


def key_of(spec: str) -> str:
    """Return the embedding key of a spec that is written as canonical JSON."""
    return hashlib.sha256(spec.encode()).hexdigest()[:16]


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


def with_round_trip(files: BackboneFiles, jpeg_round_trip: str | None) -> BackboneFiles:
    """Return a backbone that looks at tiles after a JPEG round trip, such as 85-4:2:2; None leaves it as it is.

    Raises:
        BackboneError: If there is no such round trip.
    """
    if jpeg_round_trip is None:
        return files
    steps = replace(files.preprocessing, jpeg_round_trip=require_round_trip(jpeg_round_trip))
    return replace(files, preprocessing=steps)


def as_recorded(files: BackboneFiles, recorded: str, name: str) -> tuple[BackboneFiles, EmbeddingSpec]:
    """Return a backbone that makes the vectors of a recorded spec: with its dtype, reduction and round trip.

    Args:
        files: The backbone that was found.
        recorded: The spec as JSON.
        name: What to call the backbone in messages.

    Raises:
        BackboneError: If it makes other vectors all the same; both keys and what differs are named.
    """
    wanted = json.loads(recorded)
    asked = wanted["preprocessing"]
    options = {option: asked[option] for option in ("reducing_gap", "jpeg_round_trip") if option in asked}
    files = replace(files, preprocessing=replace(files.preprocessing, **options))
    spec = EmbeddingSpec(files.weights_hash, files.preprocessing, wanted["dtype"])
    if spec.key != key_of(recorded):
        steps = spec.preprocessing.spec
        differing = [
            f"{step} ({steps.get(step)}, not {asked.get(step)})"
            for step in sorted(steps | asked)
            if steps.get(step) != asked.get(step)
        ]
        if files.weights_hash != wanted["weights_hash"]:
            differing.insert(0, "the weights")
        raise BackboneError(
            f"{name} makes embeddings {spec.key}, and {key_of(recorded)} are needed, those of training; they differ in "
            f"{', '.join(differing)}"
        )
    return files, spec


def resolve_dtype(dtype: str | None, device: str | None = None) -> str:
    """Return the number type to compute in: the one asked for, or the fast one of this machine.

    bfloat16 is the default on CUDA and on CPUs that compute in it (AMX, AVX512-BF16): 2 to 5 times as fast, and its
    vectors keep a cosine of 0.9998 to those of float32.
    """
    if dtype in {"float32", "bfloat16"}:
        return dtype
    if dtype not in {None, "auto"}:
        raise BackboneError(f"there is no dtype {dtype!r}; say float32, bfloat16 or auto")
    import torch

    if resolve_devices(device)[0].startswith("cuda"):
        return "bfloat16"
    return "bfloat16" if torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported() else "float32"


def resolve_devices(device: str | None) -> list[str]:
    """Return the devices asked for, such as ``cuda:0,cuda:1``; by default every GPU that there is, else the CPU."""
    if device not in {None, "auto"}:
        return [one.strip() for one in str(device).split(",")]
    import torch

    return [f"cuda:{number}" for number in range(torch.cuda.device_count())] or ["cpu"]


class Backbone:
    """A loaded encoder. Feeds on pixels, gives vectors; keeps nothing. Safe to use from several threads."""

    def __init__(self, files: BackboneFiles, dtype: str, device: str | None = None) -> None:
        import torch

        from modeling.network import Network

        self.files = files
        self.spec = EmbeddingSpec(files.weights_hash, files.preprocessing, dtype)
        self.device = torch.device(resolve_devices(device)[0])
        if self.device.type == "cuda" and self.device.index is not None:
            # Pinned memory and streams are those of the current device.
            torch.cuda.set_device(self.device)
        if dtype == "float32":
            # On a GPU a convolution would be computed with ten bits of the numbers that were asked for.
            torch.backends.cudnn.allow_tf32 = False
        model = _load_model(files.folder).to(self.device)
        self.network = Network(model, files.preprocessing, dtype, files.name).to(self.device)
        self._run: Callable[[Tensor], tuple[Tensor, ...]] = self.network

    @property
    def dimension(self) -> int:
        """D, the length of one CLS vector."""
        return self.network.dimension

    @property
    def lengths(self) -> dict[str, int]:
        """The length of a vector, by pooling."""
        width = self.network.dimension
        coefficients = [min(COEFFICIENTS, tokens) * min(COEFFICIENTS, width) for tokens in self.network.token_counts]
        return dict(zip(POOLINGS, (width, width, *coefficients), strict=True))

    def embed(self, pixels: Pixels) -> dict[str, NDArray[np.float32]]:
        """Return the pooled vectors of a batch.

        Args:
            pixels: (N, height, width, 3) uint8 at the size of the preprocessing.

        Returns:
            Each of ``POOLINGS``: (N, D) float32, and (N, at most 64) for the DCTs.
        """
        return self.collect(self.launch(pixels))

    def launch(self, pixels: Pixels) -> "Launched":
        """Start the forward pass of a batch; on a GPU the call returns while it still computes.

        Raises:
            torch.OutOfMemoryError: If the device has no room for so many tiles at once.
        """
        import torch

        with torch.inference_mode():
            batch = torch.from_numpy(pixels)
            if self.device.type != "cuda":
                return Launched(self._run(batch))
            # From pinned memory, so that neither copy waits for the network and the network for neither.
            vectors = self._run(batch.pin_memory().to(self.device, non_blocking=True))
            host = tuple(torch.empty(one.shape, dtype=one.dtype, pin_memory=True) for one in vectors)
            for target, source in zip(host, vectors, strict=True):
                target.copy_(source, non_blocking=True)
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record(torch.cuda.current_stream(self.device))
            return Launched(host, done)

    def collect(self, launched: "Launched") -> dict[str, NDArray[np.float32]]:
        """Wait for a forward pass and return its vectors, as ``embed`` does."""
        if launched.done is not None:
            launched.done.synchronize()
        return {pooling: one.numpy() for pooling, one in zip(POOLINGS, launched.vectors, strict=True)}

    def release_memory(self) -> None:
        """Give memory of the device that is free back, where a failed pass has left it in pieces."""
        import torch

        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def use(self, compiled: "Callable[[Tensor], tuple[Tensor, ...]]") -> None:
        """Run a compiled form of the network from now on."""
        self._run = compiled


@dataclass(frozen=True)
class Launched:
    """A forward pass on its way."""

    vectors: "tuple[Tensor, ...]"  # on the host, once it is done
    done: "torch.cuda.Event | None" = None


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
        model, loading = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, KeyError) as error:
        raise BackboneError(f"transformers cannot load {folder}: {error}") from error
    # They would be random numbers, other ones at each start. A head that pools the tokens is often left out, and used
    # only where there is no CLS token.
    missing = sorted(name for name in loading["missing_keys"] if "pooler" not in name)
    if missing:
        raise BackboneError(f"the weights in {folder} lack {len(missing)} of the model's, such as {missing[0]}")
    return model.eval()


def _quiet() -> None:
    """Keep transformers' own progress bars and advice out of ours."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
