"""Answers of someone who never looks at a photograph, and their scores, which stand beside those of a model."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from lake import query
from lake.errors import LakeError
from lake.labels import TrainingExamples
from lake.tables import Lake, Snapshot


def answers(train: pa.Table, asked: pa.Table, species: pa.Table, seed: int = 0) -> dict[str, pa.Table]:
    """Answer every observation without a photograph, in up to five ways. Reads no table and writes none.

    ``random`` is any species of training, ``majority`` its most frequent one, ``majority_by_country`` the most frequent
    one of the observation's country. ``always_venomous`` and ``venomous_by_country`` do the same with venomous species
    alone. A country that training does not know is answered as all together, and a tie goes to the smaller id.

    Args:
        train: observation_id, species_id, country_code: one row per observation that was learnt from.
        asked: observation_id, country_code: one row per observation to be answered.
        species: species_id, is_venomous: one row per species. One of which nobody knows is not taken for venomous.
        seed: Of the random answers; the same one draws the same species.

    Returns:
        By its name each baseline's observation_id, species_id: one row per asked observation, ordered by it. One that
        would be no other is left out: by country where training knows no country that is asked, venomous where it saw
        no venomous species, and all of them where it saw nothing.
    """
    if not train.num_rows:
        return {}
    frames = {"train_observations": train, "asked_observations": asked, "current_species": species}
    with query.session(None, frames=frames) as ask:
        found = {"random": ask.answer("evaluate/random_answers", seed=seed)}
        found |= _most_frequent(ask, asked, "majority", "majority_by_country")
        venomous = ask.answer("evaluate/venomous_observations")
        if venomous.num_rows:
            ask.show("train_observations", venomous)
            found |= _most_frequent(ask, asked, "always_venomous", "venomous_by_country")
    return found


def of_observations(
    lake: Lake,
    dataset: str,
    observations: pa.Table,
    truth: pa.Table,
    examples: TrainingExamples,
    snapshots: Sequence[Snapshot],
) -> dict[str, dict[str, float]]:
    """Score every baseline on some observations, as the labels of the training observations let it answer.

    Args:
        lake: The place of the tables.
        dataset: Where the observations are from.
        observations: observation_id: one row per observation to be answered.
        truth: observation_id, species_id: one row per observation that is scored.
        examples: What a model has learnt from.
        snapshots: ``image_records`` and ``species`` among others.
    """
    rows = zip(examples.observation_ids, examples.species_ids, examples.country_codes, examples.splits, strict=True)
    seen = {observation: (species, country) for observation, species, country, side in rows if side == "train"}
    text = pa.string()
    train = pa.table(
        {
            "observation_id": pa.array(list(seen), text),
            "species_id": pa.array([species for species, _ in seen.values()], text),
            "country_code": pa.array([country for _, country in seen.values()], text),
        }
    )
    by_name = {snapshot.table: snapshot for snapshot in snapshots}
    records, species = by_name["image_records"], by_name["species"]
    countries = query.answer(lake, "labels/observation_countries", [records], dataset=dataset)
    asked = countries.filter(pc.is_in(countries["observation_id"], observations["observation_id"].combine_chunks()))
    known = query.answer(lake, "labels/current_species", [species])
    return scores(answers(train, asked, known), truth, known)


def scores(named: Mapping[str, pa.Table], truth: pa.Table, species: pa.Table) -> dict[str, dict[str, float]]:
    """Score one-species answers by the questions that score those of a model.

    Args:
        named: By any name observation_id, species_id: one row per observation. One without an answer is a miss.
        truth: observation_id, species_id: one row per observation that is scored.
        species: species_id, is_venomous: one row per species.

    Returns:
        By name each metric's value: accuracy, top5_accuracy (the same, as there is one answer), macro_f1, weighted_f1;
        and where a venomous species is known snakeclef_track1 (0 to 100, more is better) and snakeclef_track2 (0 and
        up, less is better). Both are from "Overview of SnakeCLEF 2023: Snake Identification in Medically Important
        Scenarios", 2023.

    Raises:
        LakeError: If there is no truth.
    """
    if not truth.num_rows:
        raise LakeError(
            f"scores of {', '.join(named) or 'no answers'} were asked for, but no observation has a true species: "
            f"score observations that are labelled"
        )
    venomous_known = bool(pc.any(species["is_venomous"]).as_py())
    scored = {}
    with query.session(None, frames={"truth": truth, "current_species": species}) as ask:
        for name, given in named.items():
            ask.show("answers", given.append_column("rank", pa.repeat(pa.scalar(1, pa.int32()), given.num_rows)))
            metrics = _by_metric(ask.answer("evaluate/single_label_metrics"))
            if venomous_known:
                metrics |= _by_metric(ask.answer("evaluate/venomous_tracks", macro_f1=metrics["macro_f1"]))
            scored[name] = metrics
    return scored


def _most_frequent(ask: query.Session, asked: pa.Table, overall: str, by_country: str) -> dict[str, pa.Table]:
    """Answer with the most frequent species of what is shown as ``train_observations``, under two names."""
    most_frequent = ask.answer("evaluate/most_frequent_species")
    ask.show("most_frequent_species", most_frequent)
    # Of all together it is in the first row, which is of no country.
    anywhere, *_ = most_frequent["species_id"].to_pylist()
    _, *countries = most_frequent["country_code"].to_pylist()
    local = ask.answer("evaluate/country_answers", fallback=anywhere)
    everywhere = {"observation_id": local["observation_id"], "species_id": pa.repeat(anywhere, local.num_rows)}
    found = {overall: pa.table(everywhere)}
    if not set(countries).isdisjoint(asked["country_code"].to_pylist()):
        found[by_country] = local
    return found


def _by_metric(rows: pa.Table) -> dict[str, float]:
    return {row["metric"]: float(row["value"]) for row in rows.to_pylist()}
