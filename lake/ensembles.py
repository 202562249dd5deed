"""Several stored decisions on the same observations, answered together."""

from collections.abc import Sequence

import pyarrow as pa

from lake import decisions, query, tables
from lake.decisions import Decision
from lake.errors import LakeError
from lake.rules import MANY
from lake.tables import Lake

HOWS = ("union", "intersection", "jaccard")


def join(lake: Lake, members: Sequence[Decision], how: str, flow_run_id: str, least_jaccard: float = 0.5) -> Decision:
    """Answer each observation with what several decisions say of it, and store that as a decision of its own.

    ``union`` keeps what any says, ``intersection`` what all say. ``jaccard`` keeps what all say where they agree, that
    is, where it is at least ``least_jaccard`` of what any says; else what any says. Where they have nothing in common,
    an intersection is what the first one says.

    Args:
        lake: The place of the tables.
        members: Two or more, on the same observations; which comes first matters.
        how: union, intersection or jaccard.
        flow_run_id: The flow run that writes.
        least_jaccard: 0 to 1.

    Raises:
        LakeError: If there is no such way, or the decisions do not go together.
    """
    if how not in HOWS:
        raise LakeError(f"decisions are joined by {', '.join(HOWS)}, not by {how!r}")
    if not 0 <= least_jaccard <= 1:
        raise LakeError(f"a Jaccard index lies in 0 to 1; {least_jaccard} does not")
    if len({one.decision_id for one in members}) < 2:
        raise LakeError("an ensemble needs two decisions at least, and different ones")
    first = members[0]
    asked = first.scope.observations["observation_id"].to_pylist()
    for one in members:
        if one.species != MANY:
            raise LakeError(f"{one.decision_id} answers one species an observation: sets are joined of those for many")
        if (one.scope.dataset, one.scope.observations["observation_id"].to_pylist()) != (first.scope.dataset, asked):
            raise LakeError(
                f"{one.decision_id} answers {one.scope.observations.num_rows} observations of {one.scope.dataset!r} "
                f"and {first.decision_id} {len(asked)} of {first.scope.dataset!r}: an ensemble is of the same ones"
            )
    rows = pa.concat_tables(
        [
            one.answers.append_column("member", pa.repeat(pa.scalar(number, pa.int32()), one.answers.num_rows))
            for number, one in enumerate(members)
        ]
    )
    answers = query.answer(
        None,
        "decide/ensemble_answers",
        frames={"members": rows},
        member_count=len(members),
        how=how,
        least_jaccard=least_jaccard,
    )
    spec = {
        "species": MANY,
        "ensemble": how,
        "of": [one.decision_id for one in members],
        "tilings": "",
        **({"least_jaccard": least_jaccard} if how == "jaccard" else {}),
    }
    models = "+".join(dict.fromkeys(one.model_version for one in members))
    snapshots = tables.latest(lake, "decisions", "observation_predictions")
    decision_id = tables.digest([spec, tables.digest(answers.drop(["score"]).to_pylist())])
    return decisions.store(
        lake, first.scope, answers, decision_id, spec, tables.digest(spec), models, snapshots, flow_run_id
    )
