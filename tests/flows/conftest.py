"""A small flora, and the command line as a user has it: another process."""

import contextlib
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from homes import Told

from flows import settings
from lake.sources.synthetic import Drawn, Flora, draw
from modeling.backbones import save_untrained
from modeling.registry import Registry

Command = Callable[..., Told]


@pytest.fixture(scope="session")
def flora(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return draw(
        Flora(species_count=3, plants_per_species=20, quadrat_count=3, tile_px=64), tmp_path_factory.mktemp("flora")
    )


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_untrained(tmp_path_factory.mktemp("backbone")))


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with MLflow's database and nothing else: it takes seconds to make, and none to copy."""
    home = tmp_path_factory.mktemp("empty") / "home"
    home.mkdir()
    place = settings.load(home=home)
    Registry(place.registry_uri, place.artifacts).names()
    return home


@pytest.fixture
def home(empty_home: Path, tmp_path: Path) -> Path:
    return shutil.copytree(empty_home, tmp_path / "home")


@pytest.fixture
def taxalake(home: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run the command in this process, which has imported the libraries once, with its home."""

    def run(*words: object, at: Path | None = None, **variables: str) -> Told:
        from flows.cli import main

        for name, value in {"TAXALAKE_HOME": str(at or home), **variables}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["taxalake", *map(str, words)])
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
                code = 0
            except SystemExit as stop:
                code = int(stop.code or 0)
        for name in variables:
            monkeypatch.delenv(name)
        return Told(code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def command(home: Path) -> Command:
    """Run the command as a user has it: in a process of its own."""

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
