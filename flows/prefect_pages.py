"""What Prefect's pages show of a flow run."""

import base64
from pathlib import Path


def as_data(figure: Path) -> str:
    """Return a figure as an address that holds it whole: the server may see no file of this place."""
    return f"data:image/png;base64,{base64.b64encode(figure.read_bytes()).decode()}"
