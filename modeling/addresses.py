"""Addresses as people may see them. Imports nothing."""

import re

_PASSWORD = re.compile(r"(://[^:/@\s]*):\S*@")


def without_password(text: str) -> str:
    """Return a text, such as a message of a database, in which the password of every address is starred out."""
    return _PASSWORD.sub(r"\1:***@", text)
