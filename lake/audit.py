"""Looking at a data set: what it holds, for pictures and for people."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lake import labels, query, tables
from lake.tables import Lake


@dataclass(frozen=True)
class Portrait:
    """What a picture of a data set shows."""

    species_counts: list[tuple[str, int]]  # (name, photographs) of each species
    coordinates: NDArray[np.float64]  # (N, 2): latitude and longitude of the photographs that have any
    totals: dict[str, int]  # photographs, observations, species, labelled


def portrait(lake: Lake, dataset: str) -> Portrait:
    """Return how the photographs of a data set spread over species and the globe."""
    records, species = tables.latest(lake, "image_records", "species")
    current = labels.current(lake, dataset)
    with query.session(lake, [records, species]) as ask:
        ask.show("current_labels", current)
        ask.show("current_species", ask.answer("labels/current_species"))
        counts = ask.answer("audit/species_counts", dataset=dataset)
        places = ask.answer("audit/coordinates", dataset=dataset)
        totals = ask.answer("audit/portrait_totals", dataset=dataset)
    return Portrait(
        list(zip(counts["scientific_name"].to_pylist(), counts["photographs"].to_pylist(), strict=True)),
        np.column_stack([places["latitude"].to_numpy(), places["longitude"].to_numpy()]),
        totals.to_pylist()[0],
    )
