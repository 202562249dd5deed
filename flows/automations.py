"""What a server does by itself: train when new data has come to rest, and find flow runs that died without a word."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

from flows.events import DATASET, committed
from flows.orchestration import HEARTBEAT_SECONDS, TAG

_SILENT_SECONDS = 3 * HEARTBEAT_SECONDS
_BEGIN_SECONDS = 600  # to start a process and import everything, on a machine that trains beside it
_NEW_DATA = {committed("labels"), committed("image_records")}
_ANY_STATE = {"prefect.flow-run.*"}
_END = "the process of this flow run is gone; the next run goes on from what it had committed"


def automations(
    retrain: UUID, quiet_seconds: float, silent_seconds: float = _SILENT_SECONDS
) -> Sequence[AutomationCore]:
    """Return the automations of a station.

    Args:
        retrain: The deployment that is run, with the data set as its parameter.
        quiet_seconds: Without new data of a data set, after which it is run; Prefect takes 10 at least.
        silent_seconds: Without a heartbeat, after which a flow run is taken for dead; 10 at least.
    """
    return (
        AutomationCore(
            name="taxalake: new data",
            description=(
                f"When {quiet_seconds:g} seconds have passed since the last new labels or photographs of a data set, "
                f"asks whether they are worth a training."
            ),
            # Expected after itself: each event begins the wait anew, and the last one is followed by none.
            trigger=EventTrigger(
                after=_NEW_DATA,
                expect=_NEW_DATA,
                for_each={DATASET},
                posture=Posture.Proactive,
                within=timedelta(seconds=quiet_seconds),
            ),
            actions=[
                RunDeployment(
                    source="selected",
                    deployment_id=retrain,
                    parameters={"dataset": _text_of_event(DATASET)},
                    job_variables=None,
                )
            ],
        ),
        AutomationCore(
            name="taxalake: a flow run fell silent",
            description=(
                f"A flow run that gave no sign of life for {silent_seconds:g} seconds has lost its process: it is "
                f"marked Crashed, and what it held is free for the next one."
            ),
            trigger=_silence({"prefect.flow-run.heartbeat"}, silent_seconds),
            actions=[_crashed(f"No heartbeat: {_END}.")],
        ),
        AutomationCore(
            name="taxalake: a flow run never began",
            description=(
                f"A flow run that a worker had taken and that did not begin within {_BEGIN_SECONDS} seconds is "
                f"marked Crashed, and what it held is free for the next one."
            ),
            trigger=_silence({"prefect.flow-run.Pending"}, _BEGIN_SECONDS),
            actions=[_crashed(f"It did not begin: {_END}.")],
        ),
    )


def _silence(after: set[str], seconds: float) -> EventTrigger:
    """Return the trigger that one of our flow runs had these events and then none for a time."""
    return EventTrigger(
        after=after,
        expect=_ANY_STATE,
        match={"prefect.resource.id": "prefect.flow-run.*"},
        # Other flows of the same server may have other heartbeats.
        match_related={"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"},
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        within=timedelta(seconds=seconds),
    )


def _crashed(why: str) -> ChangeFlowRunState:
    """Return the action that marks the flow run; not by force, which would leave its slots taken."""
    return ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=why, force=False)


def _text_of_event(label: str) -> dict[str, object]:
    """Return the parameter that has the text of a label of the event, whatever stands there.

    As JSON and back: no text of an event is ever a template, and none becomes a number.
    """
    template = f"{{{{ event.resource['{label}'] | tojson }}}}"
    return {"__prefect_kind": "json", "value": {"__prefect_kind": "jinja", "template": template}}
