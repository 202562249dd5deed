"""How tile predictions become the species of an observation: everything that a person chooses, as a value."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

from lake import tables
from lake.errors import LakeError

ONE = "one"  # an observation is one organism, seen in one or more photographs
MANY = "many"  # an observation is a quadrat
POOLINGS = {
    ONE: ("mean", "max", "mode"),
    MANY: ("votes", "max", "mean", "sum", "noisy_or", "confidence"),
}
GROUPINGS = ("max", "mean", "frequency")
# SnakeCLEF 2023: what a wrong answer costs, by whether the true and the answered species are venomous.
COSTS = {"snakeclef": {"harmless": {"harmless": 1.0, "venomous": 2.0}, "venomous": {"harmless": 5.0, "venomous": 2.0}}}
_BY_VOTES = ("votes", "mode")
_MOST = 1 << 30  # of species or tiles: as many as there are


@dataclass(frozen=True)
class PriorUse:
    """A prior that weighs the scores, or removes species, and how strongly: the exponent of its weights."""

    prior: str
    strength: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a strength that would turn the prior round, or do nothing."""
        if not (isinstance(self.strength, int | float) and 0 < self.strength <= 100):
            raise LakeError(
                f"the prior {self.prior!r} is asked for with a strength of {self.strength!r}: say 0 < s <= 100"
            )


@dataclass(frozen=True)
class DecisionRule:
    """How tile predictions become the species of an observation.

    Scores of species are pooled over the tiles (and photographs) of an observation, weighed by priors, perhaps pooled
    again over the dates of a base quadrat, and the best ones are kept.
    """

    species: str  # one or many
    tilings: str = ""  # the tiles that count, joined by a plus; those that were asked for where it says nothing
    pooling: str = ""  # of POOLINGS; votes for many, mean for one
    tile_top_k: int | None = None  # species of a tile that count; its best for votes, else all that are stored
    min_probability: float = 0.0  # a tile with less does not vote
    min_votes: int | None = None  # many: tiles that hold it; 2 for votes, else none
    threshold: float | None = None  # many: on the pooled score
    mean_species: float | None = None  # many, instead: the threshold that keeps so many species in the mean
    least_species: int = 1  # many: the best ones stand also where they miss the threshold
    most_species: int | None = None  # many
    grouping: str = ""  # many: how scores are pooled over the dates of a base quadrat; each stands alone by default
    priors: tuple[PriorUse, ...] = ()
    candidates: int = 10  # one: how many are stored, best first
    cost: str = ""  # one: of COSTS; the answer is the one whose mistakes are expected to cost least
    venomous_share: float = 0.0  # one: so many of the least sure ones are answered with a venomous candidate

    def __post_init__(self) -> None:
        """Refuse what makes no sense, before any table is read."""
        if self.species not in POOLINGS:
            raise LakeError(f"an observation holds {ONE!r} species or {MANY!r}, not {self.species!r}")
        for name in _UNUSED[self.species]:
            if getattr(self, name) != _USUAL[name]:
                raise LakeError(f"{name} is of no use to a rule for {self.species} species")
        _require(
            self.pooling in {"", *POOLINGS[self.species]}, self, "pooling", f"of {', '.join(POOLINGS[self.species])}"
        )
        if not _is_within(self.min_probability, 0, 1):
            raise LakeError(f"a probability lies in 0 to 1, never percent; {self.min_probability} does not")
        if self.min_votes is not None and not (_is_count(self.min_votes) and (self.min_votes or self.pools_scores)):
            raise LakeError(f"a species needs at least one vote to be found, not {self.min_votes}")
        _require(self.tile_top_k is None or _is_positive(self.tile_top_k), self, "tile_top_k", "1 or more")
        _require(self.threshold is None or _is_within(self.threshold, -_MOST, _MOST), self, "threshold", "a number")
        _require(
            self.mean_species is None or _is_within(self.mean_species, 0.01, 1000), self, "mean_species", "positive"
        )
        _require(_is_count(self.least_species), self, "least_species", "0 or more")
        most = self.most_species
        _require(most is None or _is_positive(most), self, "most_species", "1 or more")
        _require(most is None or self.least_species <= most, self, "least_species", f"at most {most} (most_species)")
        _require(self.grouping in {"", *GROUPINGS}, self, "grouping", f"of {', '.join(GROUPINGS)}")
        if self.grouping == "frequency" and not self.votes_needed:
            raise LakeError(
                "grouping = 'frequency' counts the dates on which a species was found, and without min_votes every "
                "species that is stored would be found on every date: say min_votes = 1 or more, and min_probability "
                "for what a vote has to reach"
            )
        _require(_is_positive(self.candidates), self, "candidates", "1 or more")
        _require(self.cost in {"", *COSTS}, self, "cost", f"of {', '.join(COSTS)}")
        _require(_is_within(self.venomous_share, 0, 1), self, "venomous_share", "a share, 0 to 1")
        if self.priors and self.pools_by == "confidence":
            raise LakeError("a z-score cannot be weighed: priors go with another pooling than 'confidence'")
        if self.threshold is not None and self.mean_species is not None:
            raise LakeError(
                "a threshold and a mean number of species both say which scores are kept: ask for one of them"
            )

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """Read a rule as a person writes it, or as ``spec`` gives it.

        Raises:
            LakeError: If a name is unknown or a value makes no sense.
        """
        names = [one.name for one in fields(cls)]
        for name in given:
            if name not in names:
                near = get_close_matches(name, names, 1)
                raise LakeError(
                    f"a decision rule has no {name!r}"
                    + (f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(names)}")
                )
        if "species" not in given:
            raise LakeError("a decision rule says first whether an observation holds species = 'one' or 'many'")
        values = {name: value for name, value in given.items() if name != "priors"}
        for name, value in values.items():
            if not isinstance(value, _KINDS[name]) or isinstance(value, bool):
                raise LakeError(f"{name} of a decision rule cannot be {value!r}")
        priors = given.get("priors", ())
        if not isinstance(priors, list | tuple) or not all(_is_use(one) for one in priors):
            raise LakeError('priors of a decision rule are a list such as [{prior = "NAME", strength = 1.0}]')
        return cls(**values, priors=tuple(PriorUse(**one) for one in priors))

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read a rule file (TOML).

        Raises:
            LakeError: If it cannot be read, or is no rule; the file is named.
        """
        try:
            return cls.read(tomllib.loads(file.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise LakeError(f"the rule file {file} cannot be read: {error}") from error
        except LakeError as error:
            raise LakeError(f"{file}: {error}") from error

    @property
    def spec(self) -> dict[str, Any]:
        """The parts of the rule that its kind uses, with what they are by default: for its id and for people."""
        whole = asdict(self)
        used = [name for name in whole if name not in _UNUSED[self.species]]
        said = {name: whole[name] for name in used if name in _ALWAYS or whole[name] != _USUAL[name]}
        # 1 and 1.0 are the same rule, but not the same text.
        said |= {name: float(said[name]) for name in _NUMBERS & said.keys() if said[name] is not None}
        said["pooling"] = self.pools_by
        if self.species == MANY:
            said["min_votes"] = self.votes_needed
        if "priors" in said:
            said["priors"] = [{"prior": use.prior, "strength": float(use.strength)} for use in self.priors]
        return said

    @property
    def rule_id(self) -> str:
        """The hash of the rule."""
        return tables.digest(self.spec)

    @property
    def toml(self) -> str:
        """The rule as a file that ``load`` reads."""
        said = {name: value for name, value in self.spec.items() if value is not None and name != "priors"}
        lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in said.items()]
        for use in self.priors:
            lines += [
                "",
                "[[priors]]",
                f"prior = {json.dumps(use.prior, ensure_ascii=False)}",
                f"strength = {float(use.strength)}",
            ]
        return "\n".join(lines) + "\n"

    @property
    def pools_by(self) -> str:
        """How scores are pooled over tiles."""
        return self.pooling or POOLINGS[self.species][0]

    @property
    def pools_scores(self) -> bool:
        """Whether species are ranked by their scores, not by votes."""
        return self.pools_by not in _BY_VOTES

    @property
    def counted_ranks(self) -> int:
        """Down to which rank the species of a tile count."""
        return self.tile_top_k or (1 if self.pools_by == "votes" else _MOST)

    @property
    def voting_ranks(self) -> int:
        """Down to which rank a tile votes for a species."""
        return self.counted_ranks if self.pools_by == "votes" else 1

    @property
    def votes_needed(self) -> int:
        """How many tiles have to vote for a species of a quadrat."""
        if self.min_votes is not None:
            return self.min_votes
        return 2 if self.pools_by == "votes" else 0

    @property
    def most(self) -> int:
        """How many species an answer holds at most."""
        return _MOST if self.most_species is None else self.most_species

    def at(self, tilings: str) -> Self:
        """Return the rule for these tilings, joined by a plus, where it names none itself."""
        return self if self.tilings else replace(self, tilings=tilings)


_USUAL = {one.name: one.default for one in fields(DecisionRule)}
_UNUSED = {
    ONE: ("min_votes", "threshold", "mean_species", "least_species", "most_species", "grouping"),
    MANY: ("candidates", "cost", "venomous_share"),
}
_ALWAYS = {"species", "pooling", "min_probability", "min_votes", "least_species", "candidates"}
_NUMBERS = {"min_probability", "threshold", "mean_species", "venomous_share"}
_COUNTS = {"tile_top_k", "min_votes", "least_species", "most_species", "candidates"}
_KINDS: dict[str, Any] = {name: int | float if name in _NUMBERS else int if name in _COUNTS else str for name in _USUAL}


def _require(condition: bool, rule: DecisionRule, name: str, wanted: str) -> None:
    if not condition:
        raise LakeError(f"{name} of a decision rule cannot be {getattr(rule, name)!r}; it is {wanted}")


def _is_count(value: int) -> bool:
    return 0 <= value < _MOST


def _is_positive(value: int) -> bool:
    return 1 <= value < _MOST


def _is_within(value: float, low: float, high: float) -> bool:
    return low <= value <= high


def _is_use(given: object) -> bool:
    return isinstance(given, Mapping) and isinstance(given.get("prior"), str) and set(given) <= {"prior", "strength"}
