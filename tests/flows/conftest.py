"""A small flora, and the command line as a user has it: another process."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from homes import Told

from lake.sources.synthetic import Drawn, Flora, draw
from modeling.backbones import save_untrained

Command = Callable[..., Told]


@pytest.fixture(scope="session")
def flora(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return draw(
        Flora(species_count=3, plants_per_species=20, quadrat_count=3, tile_px=64), tmp_path_factory.mktemp("flora")
    )


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_untrained(tmp_path_factory.mktemp("backbone")))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def taxalake(home: Path) -> Command:
    """Run the command in a process of its own, with its home."""

    def run(*words: object, at: Path | None = None, **variables: str) -> Told:
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli", *map(str, words)],
            env={**os.environ, "TAXALAKE_HOME": str(at or home), **variables},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        return Told(done.returncode, done.stdout, done.stderr)

    return run
