"""A lake for each test."""

import shutil
from pathlib import Path

import pytest

from lake import tables
from lake.tables import Lake


@pytest.fixture(scope="session")
def empty_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a lake whose tables hold nothing; copying it takes a tenth of the time of creating it."""
    folder = tmp_path_factory.mktemp("empty") / "lake"
    tables.create_missing(Lake(str(folder)))
    return folder


@pytest.fixture
def lake(empty_tables: Path, tmp_path: Path) -> Lake:
    """An empty lake: every table is there and holds nothing."""
    return Lake(str(shutil.copytree(empty_tables, tmp_path / "lake")))
