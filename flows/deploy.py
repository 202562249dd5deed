"""A server made ready for a station: work pool, deployments, limits, automations. What is as it should be stays."""

import importlib
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import yaml
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, GlobalConcurrencyLimitCreate, WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.utilities.callables import parameter_schema
from prefect.workers.process import ProcessWorker
from pydantic import BaseModel

from flows import settings
from flows.automations import automations
from flows.embed_shards import GPU_SLOTS
from flows.orchestration import HEARTBEAT_SECONDS
from flows.server import server_configured
from lake.tables import digest

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse

# Beside the flows where they are installed, in its own folder in a checkout.
_FILES = (Path(__file__).parent / "prefect.yaml", Path(__file__).parents[1] / "deployments" / "prefect.yaml")
_RETRAIN = "retrain/station"
_WATCH_SECONDS = int(settings.Settings.model_fields["watch_seconds"].default)  # that the file's intervals hold for
_SERVERS = "`taxalake serve` runs one; PREFECT_API_URL says where another one is"
_REFUSED: dict[int, str] = {
    httpx.codes.UNAUTHORIZED: "wants credentials: USER:PASSWORD in PREFECT_API_AUTH_STRING",
    # A station's own door, or a proxy before the server: Prefect itself answers so to nobody.
    httpx.codes.FORBIDDEN: "refuses requests by that name: call it by one of its own, or begin it with --allow-host",
}
_SLOTS = 1  # flow runs on the GPUs of a station at once


class DeployReport(BaseModel):
    """What a server had to be given."""

    api: str
    deployments: int
    made: list[str]
    changed: list[str]

    def lines(self) -> list[str]:
        """The report for people."""
        if not self.made and not self.changed:
            return [f"{self.api} has all {self.deployments} deployments as they should be: nothing was changed"]
        told = [f"{self.api} has {self.deployments} deployments"]
        for what, names in (("made", self.made), ("changed", self.changed)):
            if names:
                told.append(f"{what}: {', '.join(names)}")
        return told


def deploy(place: settings.Settings, api: str | None = None) -> DeployReport:
    """Give a server everything that a station needs; what it has stays as it is, with its id.

    A deployment that people have changed in Prefect's pages stays so until another version of taxalake or another
    setting says something else of it. An automation is made again as it should be; one that was switched off stays off.

    Args:
        place: Settings: how often is looked, and how long is waited.
        api: The server's address; the configured one by default.

    Raises:
        SettingsError: If no server is configured, none answers there, it wants credentials, or refuses its name.
    """
    if api is None and not server_configured():
        # Prefect would begin a server of its own for this process, and nobody would ever see it again.
        raise settings.SettingsError(f"no Prefect server is configured to deploy to. {_SERVERS}")
    report = DeployReport(api="", deployments=0, made=[], changed=[])
    with ExitStack() as stack:
        if api is not None:
            stack.enter_context(temporary_settings({PREFECT_API_URL: api}))
        try:
            client = stack.enter_context(get_client(sync_client=True))
            report.api = str(client.api_url).rstrip("/")
            file = _file()
            _make_pool(client, file["definitions"]["pool"]["name"], report)
            _make_slots(client, report)
            for spec in file["deployments"]:
                _deploy(client, spec, place, report)
            retrain = client.read_deployment_by_name(_RETRAIN).id
            for wanted in automations(retrain, place.quiet_seconds):
                _automate(client, wanted, report)
        except httpx.TransportError as error:
            raise settings.SettingsError(
                f"no Prefect server answers at {api or report.api}: {error}. {_SERVERS}"
            ) from error
        except httpx.HTTPStatusError as error:
            why = _REFUSED.get(error.response.status_code)
            if why is None:
                raise
            raise settings.SettingsError(f"the Prefect server at {report.api} {why}") from error
    return report


def _file() -> dict[str, Any]:
    text = next(file for file in _FILES if file.is_file()).read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def _flow(entrypoint: str) -> Flow[..., Any]:
    module, _, name = entrypoint.rpartition(".")
    flow: Flow[..., Any] = getattr(importlib.import_module(module), name)
    return flow


def _make_pool(client: SyncPrefectClient, name: str, report: DeployReport) -> None:
    try:
        client.read_work_pool(name)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        try:
            client.create_work_pool(WorkPoolCreate(name=name, type=ProcessWorker.type, base_job_template=template))
        except ObjectAlreadyExists:  # another process was faster
            return
        report.made.append(f"work pool {name}")


def _make_slots(client: SyncPrefectClient, report: DeployReport) -> None:
    """Make the limit of flow runs on GPUs; one that is there may have as many slots as people gave it."""
    try:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=GPU_SLOTS, limit=_SLOTS))
    except ObjectAlreadyExists:
        return
    report.made.append(f"concurrency limit {GPU_SLOTS}")


def _deploy(client: SyncPrefectClient, spec: Mapping[str, Any], place: settings.Settings, report: DeployReport) -> None:
    flow = _flow(spec["entrypoint"])
    limit = spec["concurrency_limit"]
    limit = limit if isinstance(limit, dict) else {"limit": limit, "collision_strategy": "ENQUEUE"}
    schedules = [_stretched(schedule, place.watch_seconds) for schedule in spec.get("schedules", [])]
    wanted = {
        "entrypoint": spec["entrypoint"],
        "description": spec["description"],
        "tags": spec["tags"],
        "parameters": spec.get("parameters", {}),
        "parameter_openapi_schema": parameter_schema(flow).model_dump_for_openapi(),
        "work_pool_name": spec["work_pool"]["name"],
        "job_variables": {"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS)}},
    }
    # What was asked for the last time is told from what people have changed since by the version alone.
    version = digest([wanted, limit, schedules])
    name = f"{flow.name}/{spec['name']}"
    report.deployments += 1
    found = _found(client, name)
    if found is not None and found.version == version:
        return
    client.create_deployment(
        flow_id=client.create_flow_from_name(flow.name),
        name=spec["name"],
        version=version,
        schedules=[_schedule(schedule) for schedule in schedules],
        concurrency_limit=limit["limit"],
        concurrency_options=ConcurrencyOptions(collision_strategy=limit["collision_strategy"]),
        pull_steps=[],
        **wanted,
    )
    (report.made if found is None else report.changed).append(name)


def _found(client: SyncPrefectClient, name: str) -> "DeploymentResponse | None":
    try:
        return client.read_deployment_by_name(name)
    except ObjectNotFound:
        return None


def _stretched(schedule: Mapping[str, Any], watch_seconds: int) -> dict[str, Any]:
    if "interval" not in schedule:
        return dict(schedule)
    return {**schedule, "interval": schedule["interval"] * watch_seconds // _WATCH_SECONDS}


def _schedule(schedule: Mapping[str, Any]) -> DeploymentScheduleCreate:
    when = (
        IntervalSchedule(interval=timedelta(seconds=schedule["interval"]))
        if "interval" in schedule
        else CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
    )
    return DeploymentScheduleCreate(schedule=when, active=schedule.get("active", True), slug=schedule["slug"])


def _automate(client: SyncPrefectClient, wanted: AutomationCore, report: DeployReport) -> None:
    found = client.read_automations_by_name(wanted.name)
    if not found:
        client.create_automation(wanted)
        report.made.append(f"automation {wanted.name!r}")
    elif _content(found[0]) != _content(wanted):
        # One that people have switched off stays off. All is set: what is not is not sent; of the owner none may be.
        said = {**wanted.model_dump(exclude={"owner_resource"}), "enabled": found[0].enabled}
        client.update_automation(found[0].id, AutomationCore.model_validate(said))
        report.changed.append(f"automation {wanted.name!r}")


def _content(automation: AutomationCore) -> dict[str, Any]:
    return automation.model_dump(mode="python", include={"description", "trigger", "actions"})
