"""Debian's Chromium, in which pages are looked at as people see them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_CHROMIUM = Path("/usr/bin/chromium")


@contextmanager
def chromium() -> Iterator[Any]:
    """Open a browser of Playwright; where there is none tests are skipped, but fail where CI is set."""
    if "CI" not in os.environ:
        pytest.importorskip("playwright")
        if not _CHROMIUM.exists():
            pytest.skip(f"no browser at {_CHROMIUM}: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()
