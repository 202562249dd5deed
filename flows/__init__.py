"""When things happen: Prefect flows, settings and the command line."""

import ctypes
import os
import sys

# Here, because these are read while the libraries are imported, in every process that runs a flow: the command line,
# a worker's child, a test. What a place sets itself wins.
for _name, _value in {
    "DO_NOT_TRACK": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}.items():
    os.environ.setdefault(_name, _value)

_M_ARENA_MAX = -8  # of glibc's malloc.h


def _share_freed_memory() -> None:
    """Let all threads of the process draw on one heap, before there are others.

    glibc gives every thread a heap of its own, and what was freed in one is of no use to another: with threads that
    come and go with the shards the peak of an embedding rose by a third in its first 10,000 photographs.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(_M_ARENA_MAX, 1)


_share_freed_memory()
