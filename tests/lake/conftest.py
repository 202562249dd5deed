"""A lake for each test."""

from pathlib import Path

import pytest

from lake import tables
from lake.tables import Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake: every table is there and holds nothing."""
    place = Lake(str(tmp_path / "lake"))
    tables.create_missing(place)
    return place
