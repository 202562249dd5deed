"""A long campaign: stages killed at random moments, until they are done; the end is that of an undisturbed run."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from homes import differences, plants

SMALL = {"TAXALAKE_INGEST_SHARD_IMAGES": "3", "TAXALAKE_EMBED_SHARD_TILES": "15", "TAXALAKE_DTYPE": "float32"}
TABLES = (
    *("images", "file_reads", "ingest_sources", "image_records", "labels", "species", "ingest_issues"),
    *("embedding_specs", "embeddings"),
)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(10))
def test_stages_killed_at_random_moments_end_as_if_undisturbed(seed, home, flora, backbone, tmp_path, command):
    moments = random.Random(seed)
    schemes = ["--tiling", "whole", "--tiling", "grid-2x2"]
    stages = [plants(flora), ["embed", "--dataset", "plants", "--backbone", backbone, *schemes]]
    undisturbed = tmp_path / "undisturbed"
    for words in stages:
        began = time.monotonic()
        assert command(*words, at=undisturbed, **SMALL).code == 0
        lasted = time.monotonic() - began
        for _ in range(3):
            killed = subprocess.Popen(
                [sys.executable, "-m", "flows.cli", *words],
                env={**os.environ, "TAXALAKE_HOME": str(home), **SMALL},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            # Some come before the first commit and some after the last.
            time.sleep(moments.uniform(0.2, 1.05) * lasted)
            killed.send_signal(signal.SIGKILL)
            killed.wait()
        assert command(*words, at=home, **SMALL).code == 0
    assert differences(home, undisturbed, *TABLES) == []
