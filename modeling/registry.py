"""MLflow: training runs, registered models, aliases. The only place that talks to it."""

import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import mlflow
from mlflow.data.delta_dataset_source import DeltaDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Metric, Param, ViewType
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.models.signature import ModelSignature
from mlflow.store.entities.paged_list import PagedList
from mlflow.types import DataType, ParamSchema, ParamSpec

from modeling.addresses import without_password
from modeling.errors import RegistryError

if TYPE_CHECKING:
    from modeling.curves import Curves
    from modeling.heads import TrainedHead

Found = TypeVar("Found")

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS_CHAMPION = "previous_champion"
_PARAMS = (
    ParamSpec("top_k", DataType.long, 5),
    ParamSpec("species", DataType.string, ""),  # one or many; tiles are answered else
    ParamSpec("min_votes", DataType.long, 2),
    ParamSpec("min_probability", DataType.double, 0.0),
)
_GROUP = "taxalake_group"  # a run that holds others
_MANY = 1000  # species of a tile that are asked for where tiles are added up
_SERVED_MODEL = Path(__file__).parent / "served_model.py"


_REPORTS = "reports"  # where a run has them


@dataclass(frozen=True)
class Version:
    """One version of a registered model."""

    name: str
    number: int
    run_id: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...]
    created_at: datetime

    @property
    def model_version(self) -> str:
        """NAME/VERSION, for people and for ``find``."""
        return f"{self.name}/{self.number}"

    @property
    def recorded_as(self) -> str:
        """As tables name it: another registry may hold a NAME/VERSION that is another model."""
        return f"{self.model_version}:{self.run_id[:8]}"

    @property
    def uri(self) -> str:
        """As ``mlflow.pyfunc.load_model`` takes it."""
        return f"models:/{self.name}/{self.number}"


@dataclass(frozen=True)
class TableRead:
    """A table that a training read, at its version."""

    table: str
    uri: str
    version: int
    digest: str  # of the rows that were read


class _DeltaSource(DeltaDatasetSource):  # type: ignore[misc]
    """MLflow's own, which leaves version 0 out of what it stores: a reader would take the newest instead."""

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "delta_table_version": self.delta_table_version}


class Run:
    """An MLflow run that is being written."""

    def __init__(self, client: mlflow.MlflowClient, run_id: str) -> None:
        self._client = client
        self.run_id = run_id

    def lightning_logger(self) -> "Curves":
        """Return the logger that writes Lightning's curves into this run."""
        from modeling.curves import Curves

        return Curves(self._client, self.run_id)

    def log(self, params: Mapping[str, object], metrics: Mapping[str, float]) -> None:
        """Log params and final metrics, all at once: a database takes as long for one."""
        now = int(time.time() * 1000)
        self._client.log_batch(
            self.run_id,
            metrics=[Metric(key, value, now, 0) for key, value in metrics.items()],
            params=[Param(key, str(value)) for key, value in params.items()],
        )

    def log_tables(self, reads: list[TableRead]) -> None:
        """Log every table read, at its version, as a dataset input."""
        for read in reads:
            source = _DeltaSource(path=read.uri, delta_table_version=read.version)
            mlflow.log_input(MetaDataset(source, name=f"{read.table}@{read.version}", digest=read.digest))

    def log_file(self, path: Path, folder: str) -> None:
        """Log a file, such as a figure."""
        self._client.log_artifact(self.run_id, str(path), folder)


class Registry:
    """Runs and models at one tracking address."""

    def __init__(self, tracking_uri: str, artifacts: Path | None = None) -> None:
        """Connect.

        Args:
            tracking_uri: A server's address or ``sqlite:///...``; the database is made if it is not there.
            artifacts: Where a database without a server keeps files; None where a server keeps them.
        """
        self.tracking_uri = tracking_uri
        self._shown = without_password(tracking_uri)
        self._artifacts = artifacts
        # MLflow reports each migration of its own database; people here asked for something else.
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self._client = mlflow.MlflowClient(tracking_uri, tracking_uri)
        self._select()

    @contextmanager
    def run(self, experiment: str, name: str, tags: Mapping[str, str], within: str | None = None) -> Iterator[Run]:
        """Write one MLflow run; it is marked failed when the block raises.

        Args:
            experiment: The experiment, which is made if it is not there.
            name: For people.
            tags: Of the run.
            within: The name of a run that this one is shown under; there is one of a name in an experiment.
        """
        self._select()
        experiment_id = self._experiment(experiment)
        parent = None if within is None else self._parent(experiment_id, within)
        with mlflow.start_run(
            experiment_id=experiment_id, run_name=name, tags=dict(tags), parent_run_id=parent
        ) as started:
            yield Run(self._client, started.info.run_id)

    def find(self, model: str) -> Version:
        """Find a version by ``NAME`` (its champion), ``NAME@alias`` or ``NAME/VERSION``.

        Raises:
            RegistryError: If there is none; what there is is named.
        """
        name, slash, number = model.partition("/")
        name, at, alias = name.partition("@")
        if slash:
            found = next((version for version in self.versions(name) if str(version.number) == number), None)
        else:
            alias = alias if at else CHAMPION
            found = next((version for version in self.versions(name) if alias in version.aliases), None)
        if found is None:
            raise RegistryError(self._missing(name, f"version {number}" if slash else f"alias {alias!r}"))
        return found

    def versions(self, name: str) -> list[Version]:
        """Return all versions of a model, oldest first; empty where there is no such model."""
        if not name or {"'", '"'} <= set(name):
            raise RegistryError(f"{name!r} is no name of a model")
        aliases: dict[str, list[str]] = {}
        try:
            # Only the model itself lists its aliases; a search gives versions without them.
            for alias, number in self._client.get_registered_model(name).aliases.items():
                aliases.setdefault(str(number), []).append(alias)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return []
            raise
        quote = '"' if "'" in name else "'"
        found: list[ModelVersion] = _all_pages(self._client.search_model_versions, f"name={quote}{name}{quote}")
        return sorted(
            (
                Version(
                    name,
                    int(version.version),
                    version.run_id,
                    dict(version.tags),
                    tuple(sorted(aliases.get(str(version.version), ()))),
                    datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
                )
                for version in found
            ),
            key=lambda version: version.number,
        )

    def names(self) -> list[str]:
        """Return the names of all registered models."""
        found: list[RegisteredModel] = _all_pages(self._client.search_registered_models)
        return sorted(model.name for model in found)

    @property
    def is_unused(self) -> bool:
        """Whether nobody has ever trained here."""
        default = "0"  # of MLflow, in every database
        return all(one.experiment_id == default for one in self._client.search_experiments(view_type=ViewType.ALL))

    def log(self, run: Run, head: "TrainedHead", tiling: str = "whole") -> str:
        """Log a head as a pyfunc into a run and return its address. It has no name in the registry yet.

        Args:
            run: The run that made it.
            head: With its contract.
            tiling: How photographs are cut where a caller says nothing of it.
        """
        params = ParamSchema([ParamSpec("tiling", DataType.string, tiling), *_PARAMS])
        with tempfile.TemporaryDirectory(prefix="taxalake-model-") as folder, warnings.catch_warnings():
            head.save(Path(folder) / "head")
            # MLflow asks for an example photograph, which would be stored with every version.
            warnings.simplefilter("ignore", UserWarning)
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(_SERVED_MODEL),
                artifacts={"head": str(Path(folder) / "head")},
                model_config={"backbone": "", "device": ""},
                signature=ModelSignature(params=params),
                # Said, not inferred: inferring costs ten seconds and imports the whole world.
                pip_requirements=[f"taxalake=={installed_version('taxalake')}"],
            )
        return str(logged.model_uri)

    def register(self, name: str, run: Run, logged: str, tags: Mapping[str, str], description: str) -> Version:
        """Register what was logged. Tags come with the version, so that no half of it is ever seen."""
        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        version = self._client.create_model_version(
            name, logged, run.run_id, tags=dict(tags), description=description, model_id=logged.rpartition("/")[2]
        )
        return self.find(f"{name}/{version.version}")

    def species_of(
        self, logged: str, photographs: list[bytes], tiling: str, backbone: str, device: str | None
    ) -> list[str | None]:
        """Name the species of photographs by a logged model: the best of the mean probabilities of the tiles."""
        self._select()
        model = mlflow.pyfunc.load_model(logged, model_config={"backbone": backbone, "device": device or ""})
        answered = model.predict(photographs, params={"tiling": tiling, "top_k": _MANY})
        totals = answered.groupby(["image", "species_id"], sort=True)["probability"].sum()
        best: dict[int, str] = dict(totals.groupby(level="image").idxmax().tolist())
        return [best.get(position) for position in range(len(photographs))]

    def holder(self, name: str, alias: str) -> Version | None:
        """Return the version that an alias names, None where it names none."""
        return next((version for version in self.versions(name) if alias in version.aliases), None)

    def recorded(self, name: str, recorded_as: str) -> Version:
        """Return the version that tables know by a name.

        Raises:
            RegistryError: If it is not here: it was deleted, or the tables are those of another registry.
        """
        found = self.known(name, recorded_as)
        if found is None:
            raise RegistryError(f"the tables speak of {recorded_as}, which is not in {self._shown}")
        return found

    def known(self, name: str, recorded_as: str) -> Version | None:
        """Return the version that tables know by a name, None where it is not here any more."""
        return next((version for version in self.versions(name) if version.recorded_as == recorded_as), None)

    def set_alias(self, version: Version, alias: str) -> Version:
        """Let an alias name this version, and no other."""
        self._client.set_registered_model_alias(version.name, alias, str(version.number))
        if alias == CHAMPION and CHALLENGER in version.aliases:
            self._client.delete_registered_model_alias(version.name, CHALLENGER)
        return self.find(version.model_version)

    def remove_alias(self, name: str, alias: str) -> None:
        """Let an alias name no version any more."""
        if self.holder(name, alias) is not None:
            self._client.delete_registered_model_alias(name, alias)

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        """Write tags on a version, in their order: whoever finds the last one finds all."""
        for key, value in tags.items():
            self._client.set_model_version_tag(version.name, str(version.number), key, value)

    def log_metrics(self, version: Version, metrics: Mapping[str, float]) -> None:
        """Write metrics on the run that a version came from, where they do not stand there already."""
        there = self._client.get_run(version.run_id).data.metrics
        for key, value in metrics.items():
            if there.get(key) != value:
                self._client.log_metric(version.run_id, key, value)

    def log_report(self, version: Version, path: Path) -> None:
        """Keep a report with the run that a version came from, where it is not there already."""
        there = [one.path for one in self._client.list_artifacts(version.run_id, _REPORTS)]
        if f"{_REPORTS}/{path.name}" not in there:
            self._client.log_artifact(version.run_id, str(path), _REPORTS)

    def head(self, version: Version) -> "TrainedHead":
        """Read the head of a version; the backbone is not touched."""
        from modeling import heads

        self._select()
        try:
            folder = mlflow.artifacts.download_artifacts(f"{version.uri}/artifacts/head")
        except (MlflowException, OSError) as error:
            raise RegistryError(
                f"the files of {version.model_version} are not where {self._shown} has them; MLflow keeps "
                f"absolute paths, so a home that was moved has to be moved back: {error}"
            ) from error
        return heads.load(Path(folder))

    def model(self, version: Version, backbone: str | None = None, device: str | None = None) -> Any:
        """Load a version as any program would: a pyfunc."""
        self._select()
        config = {"backbone": backbone or "", "device": device or ""}
        return mlflow.pyfunc.load_model(version.uri, model_config=config)

    def _select(self) -> None:
        """Point MLflow's functions, which know one address in a process, to this registry."""
        mlflow.set_tracking_uri(self.tracking_uri)
        mlflow.set_registry_uri(self.tracking_uri)

    def _parent(self, experiment_id: str, name: str) -> str:
        found = self._client.search_runs([experiment_id], f"tags.{_GROUP} = '{name}'", max_results=1)
        if found:
            return str(found[0].info.run_id)
        made = self._client.create_run(experiment_id, run_name=name, tags={_GROUP: name})
        self._client.set_terminated(made.info.run_id)
        return str(made.info.run_id)

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        place = None if self._artifacts is None else (self._artifacts / name).resolve().as_uri()
        try:
            return str(self._client.create_experiment(name, artifact_location=place))
        except MlflowException as error:
            # Another process may have been faster.
            found = self._client.get_experiment_by_name(name)
            if found is None:
                raise RegistryError(f"the experiment {name!r} can be neither found nor made: {error}") from error
            return str(found.experiment_id)

    def _missing(self, name: str, asked: str) -> str:
        versions = self.versions(name)
        if not versions:
            there = ", ".join(self.names()) or "none"
            return f"there is no model {name!r} in {self._shown}; there is: {there}. `taxalake train` makes one."
        aliases = [f"{alias} (version {version.number})" for version in versions for alias in version.aliases]
        return (
            f"the model {name!r} has no {asked}; its aliases are: {', '.join(aliases) or 'none'}; "
            f"its versions are: {', '.join(str(version.number) for version in versions)}"
        )


def _all_pages(search: Callable[..., PagedList[Found]], *asked: str) -> list[Found]:
    """Return all that a search finds: MLflow gives a page, and where the next one begins."""
    found: list[Found] = []
    token = None
    while True:
        page = search(*asked, page_token=token)
        found += page
        token = page.token
        if not token:
            return found
