"""Checkpoints of DINOv2 vision transformers that were fine-tuned with timm: a backbone for transformers, and a head.

Nothing in a checkpoint is run. Its tensors are renamed, not computed anew, and each of them has to have its place:
what they do not say themselves (number of attention heads aside) is what timm's DINOv2 models have in common.
"""

import hashlib
import json
import math
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from modeling import backbones
from modeling.backbones import Backbone, EmbeddingSpec
from modeling.class_map import ClassMap
from modeling.errors import ModelingError
from modeling.heads import TrainedHead
from modeling.heads.linear import LinearHead

# Where timm looks for weights, in its order: moving averages are what it validates and what it names best.
_STATE_DICTS = ("state_dict_ema", "model_ema", "state_dict", "model")
_WRAPPERS = re.compile(r"^(module\.|_orig_mod\.)+")  # of distributed training and of torch.compile
# What timm's saver writes beside the weights: options and scores. Everything else is refused.
_LET_THROUGH = (
    "argparse.Namespace",
    "numpy.dtype",
    "numpy.core.multiarray.scalar",  # as numpy 1 calls it
    "numpy._core.multiarray.scalar",
)
_ATTENTION_WIDTH = 64  # of one attention head, in all of timm's DINOv2 models
_CHANNELS = 3
# The tensors that the others are measured by, and their number of dimensions.
_MEASURED = {
    "cls_token": 3,
    "pos_embed": 3,
    "patch_embed.proj.weight": 4,
    "blocks.0.mlp.fc1.weight": 2,
    "head.weight": 2,
}
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_BICUBIC = 3


class CheckpointError(ModelingError):
    """A checkpoint, or the class mapping beside it, is not what it is taken for."""


@dataclass(frozen=True)
class Architecture:
    """What the shapes of the tensors say of a vision transformer."""

    width: int  # D
    depth: int  # blocks
    attention_heads: int  # in a block
    mlp_width: int
    patch_size: int  # px
    grid: int  # patches along an edge
    registers: int
    own_positions: int  # positions that are no patch's: 0, or one for CLS and one for each register
    class_count: int  # C

    @property
    def image_size(self) -> int:
        """The edge of an image, in px."""
        return self.grid * self.patch_size

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor, by timm's name."""
        width = self.width
        shapes: dict[str, tuple[int, ...]] = {
            "cls_token": (1, 1, width),
            "pos_embed": (1, self.own_positions + self.grid**2, width),
            "patch_embed.proj.weight": (width, _CHANNELS, self.patch_size, self.patch_size),
            "patch_embed.proj.bias": (width,),
            "norm.weight": (width,),
            "norm.bias": (width,),
            "head.weight": (self.class_count, width),
            "head.bias": (self.class_count,),
        }
        if self.registers:
            shapes["reg_token"] = (1, self.registers, width)
        block: dict[str, tuple[int, ...]] = {
            "attn.qkv.weight": (3 * width, width),
            "attn.qkv.bias": (3 * width,),
            "attn.proj.weight": (width, width),
            "attn.proj.bias": (width,),
            "mlp.fc1.weight": (self.mlp_width, width),
            "mlp.fc1.bias": (self.mlp_width,),
            "mlp.fc2.weight": (width, self.mlp_width),
            "mlp.fc2.bias": (width,),
            **{f"norm{at}.{what}": (width,) for at in (1, 2) for what in ("weight", "bias")},
            **{f"ls{at}.gamma": (width,) for at in (1, 2)},
        }
        return shapes | {f"blocks.{at}.{name}": shape for at in range(self.depth) for name, shape in block.items()}

    @property
    def config(self) -> dict[str, object]:
        """The same as transformers' config.json has it.

        Written out, not saved by transformers: the weights' hash takes the architecture in, and must not change with
        the defaults of a release.
        """
        kind = {"model_type": "dinov2_with_registers", "num_register_tokens": self.registers}
        return {
            **(kind if self.registers else {"model_type": "dinov2"}),
            "hidden_size": self.width,
            "num_hidden_layers": self.depth,
            "num_attention_heads": self.attention_heads,
            "mlp_ratio": self.mlp_width // self.width,
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-6,
            "image_size": self.image_size,
            "patch_size": self.patch_size,
            "num_channels": _CHANNELS,
            "qkv_bias": True,
            "use_swiglu_ffn": False,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "drop_path_rate": 0.0,
        }

    @property
    def preprocessing(self) -> dict[str, object]:
        """The steps that timm takes before a DINOv2 model, as a preprocessor_config.json: the crop is the whole."""
        return {
            "image_processor_type": "BitImageProcessor",
            "do_convert_rgb": True,
            "do_resize": True,
            "size": {"shortest_edge": self.image_size},
            "resample": _BICUBIC,
            "do_center_crop": True,
            "crop_size": {"height": self.image_size, "width": self.image_size},
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": _IMAGENET_MEAN,
            "image_std": _IMAGENET_STD,
        }


@dataclass(frozen=True)
class TimmCheckpoint:
    """A file that timm has saved. It is read when something of it is asked for, once."""

    path: Path  # .pth.tar, .pth or .safetensors
    attention_heads: int | None = None  # in a block; by default one for each 64 of the width

    @cached_property
    def file_hash(self) -> str:
        """Hash of the file.

        Raises:
            CheckpointError: If there is none.
        """
        if not self.path.is_file():
            raise CheckpointError(f"there is no checkpoint {self.path}")
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]

    @cached_property
    def tensors(self) -> Mapping[str, Tensor]:
        """The weights under timm's names.

        Raises:
            CheckpointError: If the file cannot be read, or wants anything but tensors and settings to be made.
        """
        if not self.path.is_file():
            raise CheckpointError(f"there is no checkpoint {self.path}")
        content = _read(self.path)
        state = next((found for key in _STATE_DICTS if isinstance(found := content.get(key), Mapping)), content)
        tensors = {_WRAPPERS.sub("", str(name)): value for name, value in state.items() if isinstance(value, Tensor)}
        if not tensors or len(tensors) < len(state):
            raise CheckpointError(
                f"{self.path} holds no state dict: the file is not one itself, and has none under "
                f"{', '.join(_STATE_DICTS)}; it holds {_listed(content) or 'nothing'}"
            )
        return tensors

    @cached_property
    def architecture(self) -> Architecture:
        """What the tensors are, all of them.

        Raises:
            CheckpointError: If they are not those of a DINOv2 vision transformer with a linear classifier. Tensors
                that are missing, left over, or of another shape are named.
        """
        found = _measured(self.tensors, self.attention_heads, self.path)
        expected = found.shapes
        wrong = {
            "missing": [name for name in expected if name not in self.tensors],
            "left over": [name for name in self.tensors if name not in expected],
            "of another shape": [
                f"{name} {tuple(self.tensors[name].shape)} instead of {shape}"
                for name, shape in expected.items()
                if name in self.tensors and tuple(self.tensors[name].shape) != shape
            ],
            # First of all: a view that is larger than what the file holds would fill memory.
            "larger than what is stored": (
                vast := [
                    name
                    for name, tensor in self.tensors.items()
                    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes()
                ]
            ),
            "not finite": [
                name for name, tensor in self.tensors.items() if name not in vast and not tensor.isfinite().all()
            ],
        }
        if any(wrong.values()):
            raise CheckpointError(
                f"{self.path} is no DINOv2 vision transformer of timm with a linear classifier of its CLS token: "
                + "; ".join(f"{what}: {_listed(names)}" for what, names in wrong.items() if names)
            )
        return found

    def save_backbone(self, parent: Path) -> Path:
        """Write the backbone as transformers reads it, if that was not done before.

        Args:
            parent: Where backbones lie; the folder is named by the hash of the file, and by the attention heads where
                they were said.

        Returns:
            The folder, which ``backbones.find`` takes. It has its name only when it is whole.

        Raises:
            CheckpointError: If the file is not what it is taken for.
            BackboneError: If transformers does not find its weights in what was written.
        """
        said = "" if self.attention_heads is None else f"-{self.attention_heads}-heads"
        folder = parent / f"timm-{self.file_hash}{said}"
        if folder.is_dir():
            return folder
        architecture = self.architecture
        weights = _renamed(self.tensors, architecture)
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=parent) as place:
            made = Path(place) / folder.name
            made.mkdir()
            # Not by save_file, whose files nobody but their owner may read.
            (made / "model.safetensors").write_bytes(save(weights, {"format": "pt"}))
            for name, content in {
                "config.json": architecture.config,
                "preprocessor_config.json": architecture.preprocessing,
            }.items():
                (made / name).write_text(json.dumps(content, indent=2), encoding="utf-8")
            # What transformers did not find in it would be random numbers; that is refused before it has its name.
            Backbone(backbones.find(str(made)), "float32", "cpu")
            try:
                made.rename(folder)
            except OSError:
                if not folder.is_dir():  # else another process was faster, with the same content
                    raise
        return folder

    def head(self, class_map: ClassMap, spec: EmbeddingSpec, backbone: str) -> TrainedHead:
        """Return the classifier as a head on CLS tokens.

        Args:
            class_map: The species in the order of the classes.
            spec: How the embeddings are made that it takes.
            backbone: Where the backbone is.

        Raises:
            CheckpointError: If there are more or fewer species than classes.
        """
        width, class_count = self.architecture.width, self.architecture.class_count
        if class_count != len(class_map):
            raise CheckpointError(
                f"{self.path} tells {class_count} classes apart, and the class mapping names {len(class_map)} species: "
                f"it belongs to another model"
            )
        network = LinearHead(width, class_count)
        network.load_state_dict(
            {
                # timm's classifier takes the vectors as they are.
                "mean": torch.zeros(width),
                "std": torch.ones(width),
                "layer.weight": self.tensors["head.weight"],
                "layer.bias": self.tensors["head.bias"],
            },
            strict=True,
        )
        return TrainedHead(network.eval(), class_map, spec.key, spec.json, backbone, ("cls",))


def read_class_mapping(file: Path) -> tuple[str, ...]:
    """Return the species of a class_mapping.txt: line i, counted from 0, has the species_id of class index i.

    Raises:
        CheckpointError: If there is no such file, a line is empty, or a species has two.
    """
    try:
        species_ids = tuple(line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"the class mapping {file} cannot be read: {error}") from error
    first_of: dict[str, int] = {}
    for line, species_id in enumerate(species_ids, start=1):
        if not species_id:
            raise CheckpointError(f"{file}, line {line}: it is empty, and no class may be without its species")
        if species_id in first_of:
            raise CheckpointError(f"{file}, line {line}: {species_id} is in line {first_of[species_id]} already")
        first_of[species_id] = line
    return species_ids


class _Inert:
    """Stands for everything that is let through beside tensors: takes what it is given, and is nothing."""

    def __new__(cls, *_: object) -> "_Inert":
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        """Keep nothing."""


def _read(path: Path) -> Mapping[object, object]:
    """Return what lies in a file; what is no tensor, collection, text or number is a stand-in at most."""
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        with torch.serialization.safe_globals([(_Inert, name) for name in _LET_THROUGH]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    # The reader raises whatever the bytes of a stranger lead it to.
    except Exception as error:
        refused = re.search(r"GLOBAL ([\w.]+)", str(error))
        if refused is not None:
            raise CheckpointError(
                f"{path} wants {refused[1]} when it is read, which is neither a tensor nor a setting: it was refused, "
                f"and nothing of it was run. Save the state dict alone where the file comes from, if it is trusted."
            ) from None
        raise CheckpointError(f"{path} cannot be read as a checkpoint: {str(error).partition(chr(10))[0]}") from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path} holds no state dict but a {type(content).__name__}")
    return content


def _measured(tensors: Mapping[str, Tensor], attention_heads: int | None, path: Path) -> Architecture:
    """Return the architecture by the shapes of some tensors; the others may still contradict it."""
    unfit = [name for name, ndim in _MEASURED.items() if name not in tensors or tensors[name].ndim != ndim]
    if unfit:
        raise CheckpointError(
            f"{path} is no vision transformer of timm with a CLS token, positions and a linear classifier: "
            f"{', '.join(unfit)} missing or of other dimensions; it holds {_listed(tensors)}"
        )
    class_count, width = tensors["head.weight"].shape
    mlp_width = tensors["blocks.0.mlp.fc1.weight"].shape[0]
    patch_size = tensors["patch_embed.proj.weight"].shape[-1]
    register_tokens = tensors.get("reg_token", torch.empty(0))
    registers = register_tokens.shape[1] if register_tokens.ndim == 3 else 0
    if mlp_width % width:
        raise CheckpointError(f"{path} has an MLP of width {mlp_width}, which is no multiple of its width {width}")
    positions = tensors["pos_embed"].shape[1]
    # Positions of patches alone come first: timm's models with registers have no others.
    for own_positions in (0, 1 + registers):
        grid = math.isqrt(max(0, positions - own_positions))
        if grid and grid**2 + own_positions == positions:
            break
    else:
        raise CheckpointError(
            f"{path} has {positions} positions and {registers} registers: its patches do not form a square, for which "
            f"alone the size of its images can be told"
        )
    return Architecture(
        width=width,
        depth=len({name.split(".")[1] for name in tensors if name.startswith("blocks.")}),
        attention_heads=_attention_heads(width, attention_heads, path),
        mlp_width=mlp_width,
        patch_size=patch_size,
        grid=grid,
        registers=registers,
        own_positions=own_positions,
        class_count=class_count,
    )


def _attention_heads(width: int, said: int | None, path: Path) -> int:
    """Return the attention heads of a block, as they were said: no tensor has their number in its shape."""
    if said is None and width % _ATTENTION_WIDTH:
        raise CheckpointError(
            f"{path} has a width of {width}, which is no multiple of {_ATTENTION_WIDTH}: say how many attention heads"
        )
    attention_heads = width // _ATTENTION_WIDTH if said is None else said
    if attention_heads < 1 or width % attention_heads:
        raise CheckpointError(f"{path} has a width of {width}, which {attention_heads} attention heads cannot share")
    return attention_heads


def _renamed(tensors: Mapping[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """Return the weights of the backbone under the names that DINOv2 has on the model hub, in float32."""
    own = architecture.own_positions
    positions = tensors["pos_embed"]
    cls_position = positions[:, :1] if own else torch.zeros_like(positions[:, :1])
    renamed = {
        "embeddings.cls_token": tensors["cls_token"],
        # Only pre-training, which hides patches, would look at it.
        "embeddings.mask_token": torch.zeros(1, architecture.width),
        "embeddings.position_embeddings": torch.cat([cls_position, positions[:, own:]], dim=1),
        **_layer("embeddings.patch_embeddings.projection", tensors, "patch_embed.proj"),
        **_layer("layernorm", tensors, "norm"),
    }
    if architecture.registers:
        # transformers' registers have no positions, so theirs go into them.
        there = tensors["reg_token"]
        renamed["embeddings.register_tokens"] = there + positions[:, 1:own] if own else there
    for at in range(architecture.depth):
        block, layer = f"blocks.{at}", f"encoder.layer.{at}"
        for what in ("weight", "bias"):
            parts = tensors[f"{block}.attn.qkv.{what}"].chunk(3)
            for name, part in zip(("query", "key", "value"), parts, strict=True):
                renamed[f"{layer}.attention.attention.{name}.{what}"] = part
        renamed |= _layer(f"{layer}.attention.output.dense", tensors, f"{block}.attn.proj")
        for name in ("norm1", "norm2", "mlp.fc1", "mlp.fc2"):
            renamed |= _layer(f"{layer}.{name}", tensors, f"{block}.{name}")
        for scale in (1, 2):
            renamed[f"{layer}.layer_scale{scale}.lambda1"] = tensors[f"{block}.ls{scale}.gamma"]
    # Copied: parts of one tensor would share its memory, which safetensors does not save.
    return {
        name: tensor.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
        for name, tensor in renamed.items()
    }


def _layer(new: str, tensors: Mapping[str, Tensor], old: str) -> dict[str, Tensor]:
    return {f"{new}.{what}": tensors[f"{old}.{what}"] for what in ("weight", "bias")}


def _listed(names: Iterable[object]) -> str:
    """Return some names for people: the first of them, and how many more there are."""
    known = [str(name) for name in names]
    more = f" and {len(known) - 8} more" if len(known) > 8 else ""
    return ", ".join(known[:8]) + more
