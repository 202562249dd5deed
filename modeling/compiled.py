"""The network as compiled ahead of time, kept in a folder: for work of hours, where a minute of compiling pays.

A package is known by everything that it was made from: weights, dtype, size of the pixels, torch and the processor.
"""

import hashlib
import json
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from modeling.backbones import LEAST_COSINE, Backbone
from modeling.errors import BackboneError
from modeling.pooling import POOLINGS

if TYPE_CHECKING:
    from torch import Tensor

_MOST_TILES = 4096


def package_of(backbone: Backbone, folder: Path, threads: int) -> Path:
    """Return where the compiled form of a backbone lies, or is to lie.

    Args:
        backbone: The loaded encoder.
        folder: Of all packages.
        threads: That one forward pass runs on; it is compiled in.
    """
    import torch

    made_from = {
        "weights": backbone.files.weights_hash,
        "dtype": backbone.spec.dtype,
        "size": backbone.files.preprocessing.size,
        "steps": backbone.files.preprocessing.spec,
        "torch": torch.__version__,
        "device": _device_name(backbone),
        "threads": threads,
        "poolings": POOLINGS,
    }
    name = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]
    return folder / f"{name}.pt2"


def compile_ahead(backbone: Backbone, package: Path, threads: int) -> Path:
    """Compile the network of a backbone into a package, for batches of any size. Takes a minute or so.

    Raises:
        BackboneError: If it cannot be compiled here, for want of a C++ compiler for instance.
    """
    import torch

    height, width = backbone.files.preprocessing.size
    example = torch.zeros(8, height, width, 3, dtype=torch.uint8, device=backbone.device)
    batch = torch.export.Dim("batch", min=2, max=_MOST_TILES)
    package.parent.mkdir(parents=True, exist_ok=True)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        with torch.no_grad(), tempfile.TemporaryDirectory(dir=package.parent, prefix=".compiling-") as unfinished:
            program = torch.export.export(backbone.network, (example,), dynamic_shapes={"pixels": {0: batch}})
            made = torch._inductor.aoti_compile_and_package(
                program,
                package_path=str(Path(unfinished) / package.name),
                # Weights are laid out for the processor once, while compiling.
                inductor_configs={"freezing": backbone.device.type == "cpu"},
            )
            # Under its name only when it is whole.
            Path(made).replace(package)
    # Whatever export, Inductor or the compiler of C++ raise: the network runs without being compiled.
    except Exception as error:
        raise BackboneError(f"{backbone.files.name} cannot be compiled here: {error}") from error
    finally:
        torch.set_num_threads(before)
    return package


def load(backbone: Backbone, package: Path) -> "Callable[[Tensor], tuple[Tensor, ...]]":
    """Return the compiled network, once it is seen to give the vectors of the network as it is.

    One that does not, or is damaged, is removed, so that the next long work compiles it anew. A package is code that
    runs here, like the environment that it was compiled in; it is only taken from the home.

    Raises:
        BackboneError: If it cannot be loaded, or gives other vectors.
    """
    import torch
    from torch.nn.functional import cosine_similarity

    try:
        # -1 would be the current device, which another thread may have chosen.
        number = (backbone.device.index or 0) if backbone.device.type == "cuda" else -1
        program = torch._inductor.aoti_load_package(str(package), device_index=number)
    except Exception as error:
        package.unlink(missing_ok=True)
        raise BackboneError(f"{package} cannot be loaded: {error}") from error

    def run(pixels: "Tensor") -> "tuple[Tensor, ...]":
        # It was compiled for two tiles and more.
        asked = pixels if len(pixels) > 1 else pixels.expand(2, -1, -1, -1).contiguous()
        try:
            return tuple(vectors[: len(pixels)] for vectors in program(asked))
        except RuntimeError:
            # A package says of every error that a call has failed; the network itself says which, such as that there is
            # no memory for so many tiles.
            return tuple(backbone.network(pixels))

    height, width = backbone.files.preprocessing.size
    with torch.inference_mode():
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, (3, height, width, 3), dtype=torch.uint8, generator=generator)
        pairs = zip(run(pixels.to(backbone.device)), backbone.network(pixels.to(backbone.device)), strict=True)
        # One number for all, which a single NaN makes NaN.
        nearest = float(torch.cat([cosine_similarity(ours, theirs) for ours, theirs in pairs]).min())
    if not nearest >= LEAST_COSINE:
        package.unlink(missing_ok=True)
        raise BackboneError(f"{package} gives other vectors than the network itself: cosine {nearest:.4f}")
    return run


def _device_name(backbone: Backbone) -> str:
    import torch

    if backbone.device.type == "cuda":
        return torch.cuda.get_device_name(backbone.device)
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()} {_processor()}"


def _processor() -> str:
    """Return the model of the processor: code for one may hold instructions that another lacks."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
