"""How a head is trained: everything that a person chooses, and nothing that depends on the data."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from typing import Any, Self

from modeling.choices import checked
from modeling.errors import TrainingError
from modeling.pooling import POOLINGS
from modeling.tiling import Boxes, parse_all

SAMPLINGS = ("shuffled", "class_balanced")
PRECISIONS = ("float32", "bfloat16")
_TABLES = {"head": "kind", "objective": "name"}  # of a file, each with the setting that chooses


@dataclass(frozen=True)
class Recipe:
    """How a head is trained. Dropout and smoothing were chosen by validation loss over 20 seeds."""

    poolings: tuple[str, ...] = ("cls", "mean_patch")  # joined in this order
    tilings: tuple[str, ...] = ("whole",)  # each tile is an example of its photograph's species
    head: str = "linear"
    head_settings: Mapping[str, Any] = field(default_factory=dict)
    objective: str = "cross_entropy"
    objective_settings: Mapping[str, Any] = field(default_factory=dict)
    learning_rate: float | None = 2e-3  # None: found by trying, before training
    batch_size: int | None = None  # examples; by default about a hundred steps an epoch
    max_epochs: int = 100
    patience: int = 10  # epochs without a better validation loss
    sampling: str = "shuffled"  # class_balanced: every species is drawn as often
    mixup: float = 0.0  # alpha of the Beta distribution that two embeddings are mixed by; 0: none
    quadrat_species: int = 0  # examples that are summed to one pseudo-quadrat, at most; 0: none
    precision: str = "float32"
    refit: bool = False  # once judged, learn anew from the validation examples too
    min_images: int = 1  # training photographs under which a species is dropped
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what makes no sense, before any data is read."""
        _require(bool(self.poolings), "poolings", self.poolings, "one or more of " + ", ".join(POOLINGS))
        for pooling in self.poolings:
            _require(pooling in POOLINGS, "poolings", pooling, f"of {', '.join(POOLINGS)}")
        are_names = bool(self.tilings) and all(isinstance(tiling, str) for tiling in self.tilings)
        _require(len(set(self.poolings)) == len(self.poolings), "poolings", self.poolings, "each once")
        _require(are_names, "tilings", self.tilings, "one scheme or more, such as whole")
        schemes = parse_all("+".join(self.tilings))
        boxes = [scheme.scheme_id for scheme in schemes if isinstance(scheme, Boxes)]
        _require(not boxes, "tilings", self.tilings, f"cut from a photograph alone; {', '.join(boxes)} needs a table")
        # One scheme has one name.
        object.__setattr__(self, "tilings", tuple(scheme.scheme_id for scheme in schemes))
        _require(isinstance(self.head, str), "head", self.head, "the name of a kind")
        _require(isinstance(self.objective, str), "objective", self.objective, "a name")
        _require(self.sampling in SAMPLINGS, "sampling", self.sampling, f"{' or '.join(SAMPLINGS)}")
        _require(self.precision in PRECISIONS, "precision", self.precision, f"{' or '.join(PRECISIONS)}")
        rate = self.learning_rate
        _require(rate is None or 0 < rate < 100, "learning_rate", rate, "a positive number, or found")
        size = self.batch_size
        _require(size is None or (type(size) is int and size > 1), "batch_size", size, "2 or more")
        _require(self.max_epochs > 0, "max_epochs", self.max_epochs, "1 or more")
        _require(self.patience > 0, "patience", self.patience, "1 or more")
        _require(0 <= self.mixup < 100, "mixup", self.mixup, "0 (none) or a positive alpha")
        _require(self.quadrat_species >= 0, "quadrat_species", self.quadrat_species, "0 (none) or more")
        _require(self.min_images >= 1, "min_images", self.min_images, "1 or more")
        if self.mixup and self.quadrat_species:
            raise TrainingError("mixup and pseudo-quadrats both mix embeddings: ask for one of them")

    @classmethod
    def read(cls, given: Mapping[str, Any], seed: int = 0) -> Self:
        """Read a recipe as a person writes it: a table with tables ``head`` and ``objective`` inside.

        ``head = "mlp"`` is short for ``[head] kind = "mlp"``, and ``objective = "seesaw"`` for ``[objective] name``.

        Raises:
            TrainingError: If a name is unknown or a value makes no sense.
        """
        values = dict(given)
        chosen: dict[str, Any] = {}
        for table, choice in _TABLES.items():
            part = values.pop(table, {})
            part = {choice: part} if isinstance(part, str) else part
            _require(isinstance(part, Mapping), table, part, f"a name, or a table with {choice}")
            part = dict(part)
            if choice in part:
                chosen[table] = part.pop(choice)
            chosen[f"{table}_settings"] = part
        for name in {"poolings", "tilings"} & values.keys():
            value = values.pop(name)
            _require(isinstance(value, str | list | tuple), name, value, "a name or a list of names")
            chosen[name] = (value,) if isinstance(value, str) else tuple(value)
        if values.get("learning_rate") == "found":
            del values["learning_rate"]
            chosen["learning_rate"] = None
        others = {f.name: f.default for f in fields(cls) if f.name not in chosen and f.default is not MISSING}
        checked("a recipe", values, others)
        return cls(**{"seed": seed, **values, **chosen})

    @classmethod
    def parse(cls, spec: str) -> Self:
        """Return the recipe that ``spec`` says."""
        values = json.loads(spec)
        return cls(**{**values, "poolings": tuple(values["poolings"]), "tilings": tuple(values["tilings"])})

    @property
    def spec(self) -> str:
        """The recipe as canonical JSON."""
        plain = replace(self, head_settings=dict(self.head_settings), objective_settings=dict(self.objective_settings))
        return json.dumps(asdict(plain), sort_keys=True)

    @property
    def toml(self) -> str:
        """The recipe as the file that a person would write."""
        values = self.written()
        tables = {name: values.pop(name) for name in _TABLES}
        # JSON's texts, numbers and lists are TOML's.
        lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
        for name, table in tables.items():
            lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
        return "\n".join(lines) + "\n"

    def written(self) -> dict[str, Any]:
        """Return the recipe as ``read`` takes it."""
        values = {
            **json.loads(self.spec),
            "learning_rate": "found" if self.learning_rate is None else self.learning_rate,
        }
        for table, choice in _TABLES.items():
            values[table] = {choice: values[table], **values.pop(f"{table}_settings")}
        return {name: value for name, value in values.items() if value is not None}

    def batch(self, example_count: int) -> int:
        """Examples in one step: a power of two from 64 to 1,024."""
        if self.batch_size is not None:
            return self.batch_size
        hundredth = max(1, example_count // 100)
        return min(1024, max(64, 1 << (hundredth.bit_length() - 1)))


def _require(makes_sense: bool, name: str, value: object, expected: str) -> None:
    if not makes_sense:
        raise TrainingError(f"the recipe's {name} is {value!r}; it is {expected}")
