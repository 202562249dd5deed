"""Addresses as people may see them. Imports nothing."""

import re

_PASSWORD = re.compile(r"(://[^:/@\s]*):\S*@")
_AS_OPTION = re.compile(r"([?&]\w*password=)[^&\s'\"]*")


def without_password(text: str) -> str:
    """Return a text, such as a message of a database, in which the password of every address is starred out."""
    return _AS_OPTION.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))
