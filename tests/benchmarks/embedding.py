"""The embedding engine against the machine it runs on, against transformers' own pipeline, and against its own memory.

Run by hand on a machine that does nothing else, in a quarter of an hour and 10 GB of disk:

    python tests/benchmarks/embedding.py [--images 2000] [--backbone FOLDER|tiny|small|base] [--size 224]
        [--device cpu|cuda] [--dtypes float32,bfloat16] [--compile]
        [--parts engine,pipeline,quadrats,flow,memory] [--at FOLDER]

Every measurement is a process of its own. All parts but `flow` and `memory` need torch, transformers, pyarrow and
Pillow only. A backbone named tiny, small or base is a DINOv2 of that size with random weights: speed does not hang on
them.
"""

import argparse
import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import photographs
from PIL import Image

THREADS = os.cpu_count() or 1
SHARED = Path(os.environ.get("TAXALAKE_SHARED", Path(__file__).parents[3] / "shared")) / "data"
_BASES = 60  # photographs that are drawn; all others differ from one of them in a comment
_MEGAPIXELS = (0.3, 8.0)
_SIZES = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12)}  # width, depth, attention heads
_PIPELINE_IMAGES = 240
_PIPELINE_BATCHES = (1, 8, 32)
_QUADRATS = 12


def draw(folder: Path, count: int) -> Path:
    """Lay a folder of photographs of 0.3 to 8 megapixels, evenly on a scale of logarithms, and the real seedlings."""
    if folder.is_dir():
        return folder
    generator = np.random.default_rng(0)
    bases = []
    for pixels in np.geomspace(*_MEGAPIXELS, _BASES) * 1e6:
        width = round(float(np.sqrt(pixels * 4 / 3)))
        bases.append(photographs.photograph(generator, width, round(width * 3 / 4)))
    generator.shuffle(bases)
    photographs.lay(folder, bases, count)
    for path in sorted((SHARED / "plant-seedlings12").rglob("*.png")):
        shutil.copy(path, folder / "species_0000" / f"seedling {path.parent.name} {path.name}")
    return folder


def untrained(asked: argparse.Namespace) -> dict[str, Any]:
    """Save a DINOv2 with random weights and the steps of its image processor."""
    size, folder = asked.size, asked.backbone
    if (folder / "preprocessor_config.json").is_file():
        return {}
    from transformers import Dinov2Config, Dinov2Model

    width, depth, heads = _SIZES[asked.size_name]
    config = Dinov2Config(
        hidden_size=width, num_hidden_layers=depth, num_attention_heads=heads, patch_size=14, image_size=518
    )
    Dinov2Model(config).save_pretrained(folder)
    short = size if size > 400 else round(size * 8 / 7)
    steps = {
        "image_processor_type": "BitImageProcessor",
        "size": {"shortest_edge": short},
        "resample": 3,
        "crop_size": {"height": size, "width": size},
        "do_center_crop": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(steps))
    return {}


def drawing(asked: argparse.Namespace) -> dict[str, Any]:
    """Lay the photographs: here, as the memory of a process is never less than that of the one that began it."""
    return {"images": sum(1 for _ in draw(asked.photographs, asked.count).rglob("*.jpg"))}


def contents(folder: Path) -> Iterator[bytes]:
    """Yield the photographs of a folder."""
    for path in sorted(folder.rglob("*.*")):
        yield path.read_bytes()


def matrix_rate(asked: argparse.Namespace) -> dict[str, float]:
    """Multiply square matrices and say how many floating-point operations a second that makes."""
    import torch

    device = torch.device(asked.device)
    side = 8192 if device.type == "cuda" else 2048
    kind = getattr(torch, asked.dtype)
    one, other = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    best = _fastest(lambda: one @ other, device, repeats=12)
    return {"flops_per_second": 2 * side**3 / best}


def bare_decoding(asked: argparse.Namespace) -> dict[str, float]:
    """Decode and resize every photograph in as many threads as there are cores, and do nothing with it."""
    from modeling import backbones
    from modeling.preprocess import cut
    from modeling.tiling import parse

    steps, scheme = backbones.find(asked.backbone).preprocessing, parse("whole")
    encoded = list(contents(asked.photographs))
    began = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        count = sum(1 for _ in pool.map(lambda content: cut(content, [scheme], steps), encoded))
    return {"images": count, "seconds": time.monotonic() - began}


def bare_forward(asked: argparse.Namespace) -> dict[str, float]:
    """Run the network on ready pixels with all cores or the GPU, at the batch size that is fastest of some.

    On a CPU in both ways that there are: on all cores at once, and on each core for itself; the faster one counts.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    backbone = _backbone(asked)
    height, width = backbone.files.preprocessing.size
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        backbone.network(torch.zeros(1, height, width, 3, dtype=torch.uint8, device=backbone.device))
    rates: dict[str, float] = {}
    for size in (64, 256, 512) if asked.device == "cuda" else (4, 8, 16):
        pixels = np.random.default_rng(0).integers(0, 256, (size, height, width, 3), np.uint8)
        seconds = _fastest(lambda pixels=pixels: backbone.embed(pixels), backbone.device, repeats=6)
        rates[f"all cores, {size}"] = size / seconds
        if asked.device == "cpu":
            rates[f"each core, {size}"] = _on_each_core(lambda pixels=pixels: backbone.embed(pixels), size)
    best = max(rates, key=rates.__getitem__)
    return {"images_per_second": rates[best], "how": best, "flops": counter.get_total_flops()}


def engine(asked: argparse.Namespace) -> dict[str, float]:
    """Embed every photograph out of memory with the engine, and say what a pass of the network alone would take."""
    from modeling.embedding import EncodedImage, Engine

    backbone = _backbone(asked)
    _compiled(asked, backbone)
    encoded = list(contents(asked.photographs))
    with Engine(backbone, per_core=True) as running:
        began = time.monotonic()
        count = 0
        images = (EncodedImage(str(number), content) for number, content in enumerate(encoded))
        for part in running.embed(images):
            count += part.to_arrow().num_rows
        seconds = time.monotonic() - began
        spent = running.take_seconds()
        return {
            "images": count,
            "seconds": seconds,
            "decode": spent.decode,
            "forward": spent.forward,
            "batch": running.batch_size,
        }


def pipeline(asked: argparse.Namespace) -> dict[str, float]:
    """Embed some of the photographs with transformers' pipeline as it comes, at the best of some batch sizes."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    made = transformers.pipeline("image-feature-extraction", model=str(asked.backbone), device=asked.device)
    encoded = list(contents(asked.photographs))
    some = encoded[:: max(1, len(encoded) // _PIPELINE_IMAGES)][:_PIPELINE_IMAGES]

    def decoded() -> Iterator[Image.Image]:
        for content in some:
            yield Image.open(BytesIO(content)).convert("RGB")

    rates = {}
    for size in _PIPELINE_BATCHES:
        began = time.monotonic()
        count = sum(1 for _ in made(decoded(), batch_size=size))
        rates[size] = count / (time.monotonic() - began)
    best = max(rates, key=rates.__getitem__)
    return {"images_per_second": rates[best], "batch": best}


def quadrat_tiles(asked: argparse.Namespace) -> dict[str, float]:
    """Embed 4 x 4 tiles of quadrats of eight megapixels with the engine."""
    from modeling.embedding import EncodedImage, Engine
    from modeling.tiling import parse

    backbone, scheme = _backbone(asked), parse("grid-4x4")
    quadrats = _quadrats()
    with Engine(backbone, per_core=True) as running:
        _ = running.batch_size
        began = time.monotonic()
        images = (EncodedImage(str(number), content, (scheme,)) for number, content in enumerate(quadrats))
        tiles = sum(len(part.tiles) for part in running.embed(images))
        return {"images": tiles, "seconds": time.monotonic() - began}


def quadrat_tiles_as_published(asked: argparse.Namespace) -> dict[str, float]:
    """Do the same as the published system did: crop, encode as PNG, decode, process and embed one by one."""
    import torch
    from transformers import AutoImageProcessor, AutoModel

    model = AutoModel.from_pretrained(asked.backbone).eval().to(asked.device)
    processor = AutoImageProcessor.from_pretrained(asked.backbone, backend="pil")
    began, tiles = time.monotonic(), 0
    for content in _quadrats():
        with Image.open(BytesIO(content)) as quadrat:
            width, height = quadrat.width // 4, quadrat.height // 4
            for row in range(4):
                for column in range(4):
                    box = (column * width, row * height, (column + 1) * width, (row + 1) * height)
                    file = BytesIO()
                    quadrat.crop(box).save(file, "PNG")
                    pixels = processor(images=Image.open(file), return_tensors="pt")["pixel_values"].to(asked.device)
                    with torch.inference_mode():
                        model(pixel_values=pixels).last_hidden_state[:, 0].cpu().numpy()
                    tiles += 1
    return {"images": tiles, "seconds": time.monotonic() - began}


def flow(asked: argparse.Namespace) -> dict[str, float]:
    """Embed a data set from the Delta table and back into it, as `taxalake embed` does."""
    from flows.embed import embed

    home = asked.home
    report = embed.fn("photographs", str(asked.backbone), "whole", asked.dtype, home=home)
    counts = report.schemes["whole"]
    return {"images": counts.embedded, "reused": counts.reused, "seconds": report.seconds}


def _backbone(asked: argparse.Namespace) -> Any:
    from modeling import backbones

    return backbones.Backbone(backbones.find(str(asked.backbone)), asked.dtype, asked.device)


def _compiled(asked: argparse.Namespace, backbone: Any) -> None:
    from modeling import compiled

    if not asked.compile:
        return
    threads = 1 if asked.device == "cpu" else THREADS
    package = compiled.package_of(backbone, asked.home, threads)
    if not package.is_file():
        began = time.monotonic()
        compiled.compile_ahead(backbone, package, threads)
        told(f"compiling took {time.monotonic() - began:.0f} s")
    backbone.use(compiled.load(backbone, package))


def _quadrats() -> list[bytes]:
    generator = np.random.default_rng(1)
    one = photographs.photograph(generator, 3264, 2448)
    return [photographs.numbered(one, number) for number in range(_QUADRATS)]


def _fastest(run: Callable[[], Any], device: Any, repeats: int) -> float:
    import torch

    def once() -> float:
        began = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    once()
    return min(once() for _ in range(repeats))


def _on_each_core(run: Callable[[], Any], size: int, repeats: int = 6) -> float:
    import torch

    before = torch.get_num_threads()
    with ThreadPoolExecutor(THREADS, initializer=lambda: torch.set_num_threads(1)) as pool:
        list(pool.map(lambda _: run(), range(THREADS)))
        began = time.perf_counter()
        list(pool.map(lambda _: run(), range(THREADS * repeats)))
        seconds = time.perf_counter() - began
    torch.set_num_threads(before)
    return THREADS * repeats * size / seconds


WORK: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "drawing": drawing,
    "untrained": untrained,
    "matrices": matrix_rate,
    "bare decoding": bare_decoding,
    "bare forward": bare_forward,
    "engine": engine,
    "pipeline": pipeline,
    "quadrat tiles": quadrat_tiles,
    "as published": quadrat_tiles_as_published,
    "flow": flow,
}


class Benchmark:
    """What was asked for, and each piece of work as a process of its own."""

    def __init__(self, asked: argparse.Namespace, place: Path) -> None:
        self.asked, self.place = asked, place
        real = SHARED / "vit-tiny-dinov2"
        name = asked.backbone or (str(real) if real.is_dir() else "tiny")
        self.common = {
            "backbone": str(place / f"{name}-{asked.size}") if name in _SIZES else name,
            "photographs": str(place / f"photographs-{asked.images}"),
            "device": asked.device,
            "dtype": "float32",
            "home": str(place / "home"),
            "compile": False,
        }
        self.measure("drawing", count=asked.images)
        if name in _SIZES:
            self.measure("untrained", size_name=name, size=asked.size)

    def measure(self, name: str, label: str = "", **changed: object) -> dict[str, Any]:
        """Run one piece of work and return what it says, with its peak memory in MB."""
        os.sync()  # what was written before would reach the disk at the cost of this one
        words = [sys.executable, __file__, "--work", name, json.dumps(self.common | changed)]
        done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
        seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        if "seconds" in seen and seen.get("images"):
            seen["images_per_second"] = seen["images"] / seen["seconds"]
        rest = ", ".join(
            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in seen.items()
        )
        told(f"  {name + (f' ({label})' if label else ''):32} {rest}")
        return seen

    def machine_and_engine(self) -> None:
        """The engine against the bare decoding and the bare network, and the network against bare matrices."""
        decoding = self.measure("bare decoding")["images_per_second"]
        for dtype in self.asked.dtypes.split(","):
            for compiled in (False, True) if self.asked.compile and dtype == "bfloat16" else (False,):
                label = f"{dtype}, compiled" if compiled else dtype
                matrices = self.measure("matrices", dtype, dtype=dtype)["flops_per_second"]
                network = self.measure("bare forward", dtype, dtype=dtype)
                made = self.measure("engine", label, dtype=dtype, compile=compiled)
                rate, forward = made["images_per_second"], network["images_per_second"]
                limit = "decoding" if decoding < forward else "the network"
                ideal = 1 / (1 / decoding + 1 / forward) if self.asked.device == "cpu" else min(decoding, forward)
                words = "both one after the other" if self.asked.device == "cpu" else f"the slower one, {limit}"
                self.result(f"{label}: engine / ideal ({words}: {ideal:.1f} images/s)", rate / ideal, "at least 0.90")
                used = network["flops"] * forward / matrices
                self.result(f"{dtype}: share of the matrix rate that the bare network reaches", used, "")
                if made["forward"]:
                    used = network["flops"] * made["images"] / made["forward"] / matrices
                    self.result(f"{label}: the same while the engine runs it", used, "")

    def pipeline(self) -> None:
        """The engine against transformers' own pipeline."""
        theirs = self.measure("pipeline")["images_per_second"]
        for dtype in self.asked.dtypes.split(","):
            ours = self.measure("engine", dtype, dtype=dtype)["images_per_second"]
            self.result(f"{dtype}: engine / transformers.pipeline in float32", ours / theirs, "")

    def quadrats(self) -> None:
        """Tiles of a quadrat against the published way."""
        theirs = self.measure("as published")["images_per_second"]
        for dtype in self.asked.dtypes.split(","):
            ours = self.measure("quadrat tiles", dtype, dtype=dtype)["images_per_second"]
            self.result(f"{dtype}: tiles of a quadrat, engine / as published", ours / theirs, "at least 3")

    def flow(self) -> None:
        """From the Delta table and back into it, again with 1 % more, and again with nothing new."""
        folder, dtype = Path(self.common["photographs"]), self.asked.dtypes.split(",")[-1]
        self.take_in(folder, "home")
        decoding = self.measure("bare decoding")["images_per_second"]
        forward = self.measure("bare forward", dtype, dtype=dtype)["images_per_second"]
        full = self.measure("flow", dtype, dtype=dtype)
        more = draw_more(folder, self.place / "more", self.asked.images // 100)
        self.take_in(more, "home")
        one_percent = self.measure("flow", f"{dtype}, 1 % more", dtype=dtype)
        self.measure("flow", f"{dtype}, nothing new", dtype=dtype)
        ideal = 1 / (1 / decoding + 1 / forward) if self.asked.device == "cpu" else min(decoding, forward)
        self.result(f"{dtype}: from table to table / ideal", full["images_per_second"] / ideal, "at least 0.90")
        self.result(f"{dtype}: 1 % more / all", one_percent["seconds"] / full["seconds"], "at most 0.03 and start-up")

    def memory(self) -> None:
        """Peak memory of ten times as many photographs."""
        dtype = self.asked.dtypes.split(",")[-1]
        generator = np.random.default_rng(2)
        bases = [photographs.photograph(generator, 640, 480) for _ in range(_BASES)]
        peaks = []
        for count in (self.asked.images, 10 * self.asked.images):
            home = f"home-{count}"
            self.take_in(photographs.lay(self.place / f"small-{count}", bases, count), home)
            peaks.append(self.measure("flow", f"{count:,}", dtype=dtype, home=str(self.place / home))["mb"])
        self.result(
            f"peak memory, {10 * self.asked.images:,} / {self.asked.images:,} images",
            peaks[1] / peaks[0],
            "at most 1.1",
        )

    def take_in(self, folder: Path, home: str) -> None:
        """Take a folder in."""
        words = ["-m", "flows.cli", "ingest", "folder", str(folder), "--dataset", "photographs"]
        subprocess.run(
            [sys.executable, *words, "--home", str(self.place / home)], check=True, stdout=subprocess.DEVNULL
        )

    def result(self, what: str, ratio: float, wanted: str) -> None:
        """Say a ratio."""
        told(f"{what:90} {ratio:7.3f}  {f'({wanted})' if wanted else ''}")


def draw_more(folder: Path, more: Path, count: int) -> Path:
    """Lay a folder of new photographs, the same pictures under other comments."""
    known = sorted(folder.rglob("*.jpg"))
    for number in range(count):
        path = more / "species_more" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photographs.numbered(known[number % len(known)].read_bytes(), 10**9 + number))
    return more


def told(line: str) -> None:
    """Say a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def work(name: str, given: dict[str, Any]) -> None:
    """Be the process that is measured."""
    paths = {key: Path(given[key]) for key in ("photographs", "home", "backbone")}
    if name == "flow":
        # Not measured: what it costs to start.
        for module in ("flows.embed", "modeling.network", "transformers.models.dinov2.modeling_dinov2"):
            importlib.import_module(module)
    seen = WORK[name](argparse.Namespace(**given | paths))
    told(json.dumps(seen | {"mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def main() -> None:
    """Draw, measure, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--backbone", default=None, help="a folder, or tiny, small or base with random weights")
    parser.add_argument("--size", type=int, default=224, help="px, of a backbone with random weights")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--compile", action="store_true", help="measure the compiled network, too")
    parser.add_argument("--parts", default="engine,pipeline,quadrats,flow,memory")
    parser.add_argument("--at", type=Path, default=None, help="a folder to draw into and keep")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(asked.work[0], json.loads(asked.work[1]))
        return
    with tempfile.TemporaryDirectory(prefix="taxalake-benchmark-") as temporary:
        benchmark = Benchmark(asked, asked.at or Path(temporary))
        told(f"{THREADS} threads, {asked.device}, {benchmark.common['backbone']}")
        parts = {
            "engine": benchmark.machine_and_engine,
            "pipeline": benchmark.pipeline,
            "quadrats": benchmark.quadrats,
            "flow": benchmark.flow,
            "memory": benchmark.memory,
        }
        for part in asked.parts.split(","):
            parts[part]()


if __name__ == "__main__":
    main()
