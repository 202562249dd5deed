"""The intake against a bare loop that only reads, hashes and decodes; its memory; taking in again; a long table.

Run by hand on a machine that does nothing else, in some minutes and 16 GB of disk:

    python tests/benchmarks/intake.py [--images 20000] [--rows 1000000] [--at FOLDER]

Each measurement is a process of its own, which says its seconds (from the first line of work, imports apart) and its
peak memory.
"""

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

THREADS = os.cpu_count() or 1
_BASES = 40  # photographs that are drawn; all others differ from one of them in a comment
_SIZE = (1500, 1000)


def draw(folder: Path, count: int) -> Path:
    """Lay a folder of so many different photograph-like JPEGs of about 350 kB, 200 to a species."""
    if folder.is_dir():
        return folder
    generator = np.random.default_rng(0)
    bases = []
    for _ in range(_BASES):
        blobs = generator.integers(0, 256, (50, 75, 3), dtype=np.uint8)
        grain = generator.normal(0, 9, (_SIZE[1], _SIZE[0], 3))
        smooth = np.asarray(Image.fromarray(blobs).resize(_SIZE, Image.Resampling.BICUBIC), dtype=np.float64)
        file = BytesIO()
        Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
        bases.append(file.getvalue())
    for number in range(count):
        path = folder / f"species_{number // 200:04}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        base, said = bases[number % _BASES], f"photograph {number:012}".encode()
        # A comment right after the start of the image: other bytes, the same picture.
        path.write_bytes(base[:2] + b"\xff\xfe" + (len(said) + 2).to_bytes(2, "big") + said + base[2:])
    return folder


def draw_table(folder: Path, rows: int, images: int = 1000) -> Path:
    """Lay a table of so many rows of 20 columns beside so many photographs; all other rows have none."""
    table = folder / "table.csv"
    if table.is_file():
        return table
    folder.mkdir(parents=True)
    base = BytesIO()
    Image.new("RGB", (64, 64)).save(base, "JPEG")
    for number in range(images):
        path = folder / "photographs" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        said = f"{number:06}".encode()
        path.write_bytes(base.getvalue()[:2] + b"\xff\xfe\x00\x08" + said + base.getvalue()[2:])
    rest = ";".join(f"value of column {place}" for place in range(12))
    names = ";".join(f"column {place}" for place in range(12))
    with table.open("w", encoding="utf-8") as file:
        file.write(f"image;species;name;seen;latitude;longitude;observed_on;author;{names}\n")
        for number in range(rows):
            where = f"{number % 90}.25;{number % 180}.5;2024-05-{number % 28 + 1:02}"
            file.write(
                f"photographs/{number}.jpg;{number % 7806};Genus{number % 900} species{number % 7806};o{number // 3};"
                f"{where};author {number % 999};{rest}\n"
            )
    return table


def bare_loop(folder: Path) -> int:
    """Read, hash and decode every photograph, with as many threads as the intake."""

    def look(path: Path) -> str:
        content = path.read_bytes()
        with Image.open(BytesIO(content)) as image:
            image.load()
        return hashlib.sha256(content).hexdigest()

    with ThreadPoolExecutor(THREADS) as pool:
        return sum(1 for _ in pool.map(look, sorted(folder.rglob("*.jpg"))))


def take_in_folder(folder: Path, home: Path) -> int:
    """Take in a folder."""
    from flows.ingest import ingest_folder

    return ingest_folder.fn(folder, "photographs", home=home).found


def take_in_table(table: Path, home: Path) -> int:
    """Take in a table most of whose photographs are not there."""
    from flows.ingest import ingest_table

    report = ingest_table.fn(table, "table", "image", "species", "seen", name_column="name", max_loss=1.0, home=home)
    return report.found


WORK: dict[str, Callable[..., int]] = {
    "bare loop": bare_loop,
    "intake": take_in_folder,
    "intake of a table": take_in_table,
}


def measure(name: str, *arguments: Path) -> tuple[float, float]:
    """Run one piece of work in a process of its own and return its seconds and its peak memory in MB."""
    os.sync()  # what was drawn or taken in before would be written to the disk at the cost of this one
    words = [sys.executable, __file__, "--work", name, *map(str, arguments)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": ""})
    seen = json.loads(done.stdout.splitlines()[-1])
    told(f"{name:20} {seen['items']:>9,} items  {seen['seconds']:8.1f} s  {seen['mb']:7.0f} MB at most")
    return seen["seconds"], seen["mb"]


def told(line: str) -> None:
    """Say a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def work(name: str, arguments: list[Path]) -> None:
    """Be the process that is measured."""
    if name != "bare loop":
        import flows.ingest  # noqa: F401  not measured: what it costs to start
    began = time.monotonic()
    items = WORK[name](*arguments)
    seconds = time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told(json.dumps({"items": items, "seconds": seconds, "mb": peak}))


def main() -> None:
    """Draw, measure, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--at", type=Path, default=None, help="a folder to draw into and keep")
    parser.add_argument("--work", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(asked.work[0], [Path(word) for word in asked.work[1:]])
        return
    with tempfile.TemporaryDirectory(prefix="taxalake-benchmark-") as temporary:
        place = asked.at or Path(temporary)
        many, few = (
            draw(place / f"many-{asked.images}", asked.images),
            draw(place / f"few-{asked.images // 10}", asked.images // 10),
        )
        table = draw_table(place / f"table-{asked.rows}", asked.rows)
        homes = Path(temporary)
        told(f"{THREADS} threads")
        bare, _ = measure("bare loop", many)
        _, small = measure("intake", few, homes / "few")
        first, large = measure("intake", many, homes / "many")
        again, _ = measure("intake", many, homes / "many")
        long, _ = measure("intake of a table", table, homes / "table")
        told("")
        told(f"images per second, intake / bare loop          {bare / first:6.3f}  (at least 0.85)")
        told(
            f"peak memory, {asked.images:,} / {asked.images // 10:,} images        {large / small:6.3f}  (at most 1.15)"
        )
        told(f"first intake / the same again                  {first / again:6.1f}  (at least 50)")
        told(f"seconds for a table of {asked.rows:,} rows       {long:6.1f}  (at most 60)")


if __name__ == "__main__":
    main()
