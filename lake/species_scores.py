"""How well each species was told from the others, and what it was taken for."""

import pyarrow as pa
import pyarrow.compute as pc

from lake import query
from lake.errors import LakeError


def species_scores(answers: pa.Table, truth: pa.Table, train_counts: pa.Table) -> pa.Table:
    """Score the answers of each species by itself. Reads no table and writes none.

    Args:
        answers: observation_id, species_id: one row per observation; its answer, no runners-up. An observation without
            an answer is a miss, and one without truth is not scored.
        truth: observation_id, species_id: one row per observation.
        train_counts: species_id, train_count: what training saw; of a species that is not here it saw none.

    Returns:
        One row per species that is true or answered, ordered by its id: species_id, support (observations that show
        it), predicted (observations answered with it), true_positives, precision (null where it was never answered),
        recall (null where it is never true), f1, train_count, confused_with (the most frequent wrong answer to it, of
        two the smaller id, null where there is none), confused_count. The mean of f1 is macro F1.

    Raises:
        LakeError: If an observation has several answers or several true species.
    """
    _require_one_each(answers, "answer")
    _require_one_each(truth, "true species")
    frames = {"answers": answers, "truth": truth, "train_counts": train_counts}
    return query.answer(None, "evaluate/species_scores", frames=frames)


def confusions(answers: pa.Table, truth: pa.Table, limit: int) -> pa.Table:
    """List which species were taken for which others, the most frequent first.

    Args:
        answers: observation_id, species_id, probability (of that species): one row per observation.
        truth: observation_id, species_id: one row per observation.
        limit: How many pairs are listed at most.

    Returns:
        One row per pair: species_id, answered_id, observation_count, example_observation_id (the one that was answered
        with the highest probability). Ties go to the smaller ids.

    Raises:
        LakeError: If an observation has several answers or several true species.
    """
    _require_one_each(answers, "answer")
    _require_one_each(truth, "true species")
    return query.answer(None, "evaluate/confusions", frames={"answers": answers, "truth": truth}, most=limit)


def _require_one_each(rows: pa.Table, what: str) -> None:
    counts = rows.group_by("observation_id").aggregate([([], "count_all")])
    several = counts.filter(pc.greater(counts["count_all"], 1))
    if several.num_rows:
        first = several.to_pylist()[0]
        raise LakeError(
            f"scores of species need one {what} for each observation, but {several.num_rows} of {counts.num_rows} "
            f"have more, e.g. {first['observation_id']!r} has {first['count_all']}: leave out runners-up and quadrats"
        )
