"""What all tests stand on: no network, no one's own Prefect home, and the place of the real photographs."""

import os
import tempfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

# Before anything imports Prefect or a hub: they read these once.
os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="taxalake-test-prefect-")
os.environ["HF_HUB_OFFLINE"] = "1"
KEPT = {"TAXALAKE_SHARED", "TAXALAKE_SCREENSHOTS"}
for name in [name for name in os.environ if name.startswith("TAXALAKE_") and name not in KEPT]:
    del os.environ[name]
# A page of pictures takes seconds: who looks at one asks for it.
os.environ["TAXALAKE_REPORTS"] = "false"
for name in ("PREFECT_API_URL", "PREFECT_PROFILE"):
    os.environ.pop(name, None)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real photographs, weights and metadata; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("TAXALAKE_SHARED", REPOSITORY.parent / "shared")).resolve()
    if not (folder / "data").is_dir():
        pytest.skip(f"real photographs and weights are not here: {folder}/data (TAXALAKE_SHARED says where they are)")
    return folder / "data"
