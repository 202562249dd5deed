"""What a head and an objective have to fit: how many classes, how often each was seen, how they are related."""

from dataclasses import dataclass

from modeling.errors import TrainingError


@dataclass(frozen=True)
class Problem:
    """A classification of embeddings. Everything of length C is in the order of the class map."""

    dimension: int  # D of the joined features
    class_counts: tuple[int, ...]  # (C) training photographs
    genera: tuple[str | None, ...] = ()  # (C), or empty where nobody knows
    families: tuple[str | None, ...] = ()  # (C), or empty where nobody knows
    venomous: tuple[bool, ...] = ()  # (C), or empty where nobody knows

    def __post_init__(self) -> None:
        """Refuse lists of other lengths."""
        for name in ("genera", "families", "venomous"):
            length = len(getattr(self, name))
            if length not in (0, self.class_count):
                raise TrainingError(f"{name} are of {length} classes, and there are {self.class_count}")

    @property
    def class_count(self) -> int:
        """C."""
        return len(self.class_counts)
