"""Has flow runs kill a program when they come to a step of a promotion. Python imports this before anything else.

PROMOTION_KILLER names a file, a JSON object: the step (from 0), and the process that is killed, 0 for the flow run
itself. The order is carried out once: the file goes before the process does.
"""

import importlib.abc
import importlib.util
import json
import os
import signal
import sys
from pathlib import Path

ORDER = Path(os.environ["PROMOTION_KILLER"])
# What a promotion does, in the module's own words.
EFFECTS = (
    ("lake.retraining", None, "intend"),
    ("lake.retraining", None, "conclude"),
    ("modeling.registry", "Registry", "tag"),
    ("modeling.registry", "Registry", "set_alias"),
)
taken = 0


def watched(function):
    """Return a function that carries out the order before it does its own work, when its turn has come."""

    def call(*arguments, **options):
        global taken
        if ORDER.is_file() and (order := json.loads(ORDER.read_text()))["step"] == taken:
            ORDER.unlink()
            os.kill(order["pid"] or os.getpid(), signal.SIGKILL)
        taken += 1
        return function(*arguments, **options)

    return call


class Watching(importlib.abc.MetaPathFinder):
    """Replaces the effects of a module as soon as it is imported."""

    def find_spec(self, name, path, target=None):
        effects = [(owner, function) for module, owner, function in EFFECTS if module == name]
        if not effects:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        sys.meta_path.insert(0, self)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            for owner, function in effects:
                place = module if owner is None else getattr(module, owner)
                setattr(place, function, watched(getattr(place, function)))

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Watching())
