"""What a process that runs flows does with the memory that its threads free."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_HEAPS_AFTER_THREADS = """
import ctypes, sys, threading
import flows

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.fopen.restype = libc.malloc.restype
together = threading.Barrier(6)

def allocate():
    together.wait()
    libc.malloc(ctypes.c_size_t(1000))
    together.wait()

threads = [threading.Thread(target=allocate) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


def heaps(path: Path, **variables: str) -> int:
    environment = {**os.environ, **variables}
    subprocess.run([sys.executable, "-c", _HEAPS_AFTER_THREADS, str(path)], env=environment, check=True)
    return path.read_text().count("<heap ")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such heaps")
def test_threads_share_one_heap_unless_the_place_says_otherwise(tmp_path):
    assert heaps(tmp_path / "usual.xml") == 1
    assert heaps(tmp_path / "own.xml", MALLOC_ARENA_MAX="8") > 1
