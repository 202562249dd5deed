"""Whether a Prefect server is there to record flow runs. Imports no Prefect: asking has to cost nothing."""

import os
import tomllib
from pathlib import Path


def server_configured() -> bool:
    """Say whether a Prefect server is configured, by ``PREFECT_API_URL`` or by the active profile.

    Read without Prefect's settings, which know no difference between "not configured" and "start one for me".
    """
    if os.environ.get("PREFECT_API_URL"):
        return True
    profiles = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser() / "profiles.toml"
    if not profiles.is_file():
        return False
    content = tomllib.loads(profiles.read_text(encoding="utf-8"))
    active = os.environ.get("PREFECT_PROFILE", content.get("active"))
    return bool(content.get("profiles", {}).get(active, {}).get("PREFECT_API_URL"))
