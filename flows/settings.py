"""Settings of a place, read once: command line over ``TAXALAKE_*`` over ``taxalake.toml`` in the home over defaults."""

import difflib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from flows import databases
from flows.server import DEFAULT_HOME
from lake.tables import Lake
from modeling.addresses import without_password
from modeling.tiling import parse_all

if TYPE_CHECKING:
    from lake.splits import SplitRecipe

PREFIX = "TAXALAKE_"
FILE = "taxalake.toml"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# Variables with the prefix that are not settings: where the tests find photographs and weights and leave pictures, the
# secret of a station, and the mark of what it has begun.
_NOT_SETTINGS = frozenset({"TAXALAKE_SHARED", "TAXALAKE_SCREENSHOTS", "TAXALAKE_STATION_AUTH", "TAXALAKE_STATION"})


class SettingsError(Exception):
    """A setting is unknown or has a value that makes no sense."""


class Settings(BaseSettings):
    """A place and its habits."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    home: Path = Field(DEFAULT_HOME, description="holds tables, registry and figures")
    lake_uri: str | None = Field(None, description="where the tables are, if not in the home")
    storage_options: dict[str, str] = Field(default_factory=dict, description="of an object store")
    tracking_uri: str | None = Field(None, description="an MLflow server, if not the home's own database")
    mlflow_pages: str | None = Field(
        None, description="where people see MLflow's pages, if not where programs find its server"
    )
    postgres: str | None = Field(
        None, description="PostgreSQL's address, if MLflow's and Prefect's databases are there"
    )
    backbone: str = Field("facebook/dinov2-base", description="hub name or folder")
    tiling: str = Field("whole", description="how photographs are cut: whole, grid-RxC, ...; several joined by +")
    dtype: str = Field("auto", description="float32, bfloat16, or auto: what is fast on this machine")
    device: str = Field("auto", description="cpu, cuda, several as cuda:0,cuda:1, or auto: every GPU")
    threads: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description="files decoded at once, cores of the network",
    )
    batch_size: int | None = Field(None, ge=1, description="tiles in one forward pass; found by trying if not said")
    compile: Literal["auto", "always", "never"] = Field("auto", description="whether the network is compiled first")
    jpeg_round_trip: str | None = Field(None, description="QUALITY-SUBSAMPLING that each tile passes through first")
    ingest_shard_images: int = Field(256, ge=1, description="photographs in one commit of the intake")
    inline_bytes: int = Field(4 << 20, ge=0, description="a larger photograph lies in a file beside the tables")
    max_loss: float = Field(0.01, ge=0, le=1, description="share of new photographs that may be set aside")
    allow_private_addresses: bool = Field(False, description="fetch photographs from one's own network too")
    fetch_per_host: int = Field(4, ge=1, description="photographs fetched from one host at once")
    embed_shard_tiles: int | None = Field(
        None, ge=1, description="tiles in one commit of embeddings; half a minute's if not said"
    )
    predict_shard_images: int = Field(20_000, ge=1, description="images in one commit of predictions")
    tile_top_k: int = Field(20, ge=1, description="species stored for each tile")
    min_votes: int = Field(2, ge=1, description="tiles that have to agree on a species of a quadrat")
    min_probability: float = Field(0.0, ge=0, le=1, description="under which a tile does not vote")
    allow_empty: bool = Field(False, description="whether a quadrat may be answered with no species")
    val_fraction: float = Field(0.2, gt=0, le=0.5, description="drawn from train where a source gives no val")
    test_fraction: float = Field(0.0, ge=0, le=0.5, description="drawn from train where a source gives no test")
    split_by: Literal["observation", "author", "base_quadrat", "near_duplicate"] = Field(
        "observation", description="observations that share one are never parted by a split"
    )
    seed: int = Field(0, description="of splits, weights and shuffling")
    train_bytes: int = Field(4 << 30, ge=1, description="of features held in memory; more are mapped from a file")
    probe_photographs: int = Field(16, ge=0, description="labelled ones that a new model is tried on; 0 tries none")
    reports: bool = Field(True, description="whether an evaluation writes a page of pictures, in seconds")
    min_gain: float = Field(0.005, description="macro F1 by which a challenger has to be better")
    min_support: int = Field(20, ge=1, description="held-out observations from which on a species may not suffer")
    max_recall_loss: float = Field(0.2, ge=0, le=1, description="that a challenger may cost such a species")
    max_calibration_loss: float = Field(0.05, ge=0, description="by which its probabilities may be less right")
    max_slowdown: float = Field(3.0, ge=1, description="times the champion's seconds for a photograph")
    retrain_labels: int = Field(10, ge=1, description="changed labels that are worth a training")
    retrain_drift: float = Field(0.05, ge=0, description="drift of new photographs that is worth a training")
    retrain_days: float | None = Field(None, ge=0, description="from which on any change is worth a training")
    watch_seconds: int = Field(
        300, ge=5, description="between two looks at all sources; retrain looks a quarter as often"
    )
    quiet_seconds: int = Field(60, ge=10, description="without new data of a data set, after which retrain begins")

    @field_validator("tiling")
    @classmethod
    def _canonical(cls, text: str) -> str:
        """One scheme has one name: grid-1x1 is the whole image. Several are joined by a plus."""
        return "+".join(scheme.scheme_id for scheme in parse_all(text))

    @field_validator("postgres")
    @classmethod
    def _of_postgres(cls, address: str | None) -> str | None:
        return None if address is None else databases.require_address(address)

    @property
    def tilings(self) -> list[str]:
        """The schemes whose tiles count together."""
        return self.tiling.split("+")

    @property
    def lake(self) -> Lake:
        """Where the tables are."""
        return Lake(self.lake_uri or str(self.home.resolve() / "lake"), self.storage_options)

    @property
    def split_recipe(self) -> "SplitRecipe":
        """How observations are divided."""
        from lake.splits import SplitRecipe

        return SplitRecipe(self.val_fraction, self.test_fraction, self.seed, self.split_by)

    @property
    def registry_uri(self) -> str:
        """Where MLflow is: a server, PostgreSQL, or a database in the home (its file store is no more)."""
        if self.tracking_uri is None and self.postgres is not None:
            return databases.of_mlflow(self.postgres)
        return self.tracking_uri or f"sqlite:///{self.home.resolve() / 'mlflow.db'}"

    @property
    def has_registry(self) -> bool:
        """Whether MLflow's database is there, as far as that can be said without asking: a look makes none."""
        elsewhere = self.tracking_uri is not None or self.postgres is not None
        return elsewhere or (self.home / "mlflow.db").is_file()

    @property
    def registry_uris(self) -> list[str]:
        """All places of MLflow in which models of this home may be: models of before a move stay where they were."""
        own = f"sqlite:///{self.home.resolve() / 'mlflow.db'}"
        there = [self.registry_uri] if self.has_registry else []
        return there if own in there or not (self.home / "mlflow.db").is_file() else [*there, own]

    @property
    def artifacts(self) -> Path | None:
        """Where MLflow's files go when no server keeps them."""
        return None if self.tracking_uri else self.home.resolve() / "mlartifacts"

    @property
    def figures(self) -> Path:
        """Where pictures go."""
        return self.home.resolve() / "figures"


def load(**given: Any) -> Settings:
    """Read the settings of a place.

    Args:
        given: What the caller asks for; None means not asked for.

    Raises:
        SettingsError: If a key is unknown (its nearest neighbour is named) or a value makes no sense.
    """
    asked = {name: value for name, value in given.items() if value is not None}
    home = Path(asked.get("home") or os.environ.get(f"{PREFIX}HOME") or Settings.model_fields["home"].default)
    _refuse_unknown_variables()

    class Placed(Settings):
        model_config = SettingsConfigDict(toml_file=home / FILE)

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            remembered = InitSettingsSource(settings_cls, databases.remembered(home))
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls), remembered

    try:
        return Placed(**asked)
    except ValidationError as error:
        raise SettingsError(_words(error, home / FILE)) from None
    except ValueError as error:  # tomllib's own, which names the line
        raise SettingsError(f"{home / FILE} cannot be read: {error}") from error


def require_name(name: str, what: str) -> str:
    """Return the name of a data set or model, if it is one that every store takes.

    Raises:
        SettingsError: If it holds other signs: MLflow would refuse it after the work is done.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"{name!r} is no name for a {what}: letters, digits, '.', '_' and '-' are, a letter or digit first"
        )
    return name


def _refuse_unknown_variables() -> None:
    for name in os.environ:
        key = name.removeprefix(PREFIX).lower()
        if name.startswith(PREFIX) and name not in _NOT_SETTINGS and key not in Settings.model_fields:
            raise SettingsError(f"the variable {name} is no setting{_neighbour(key, PREFIX)}")


def _words(error: ValidationError, file: Path) -> str:
    lines = []
    for problem in error.errors():
        key = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            lines.append(f"{key!r} in {file} is no setting{_neighbour(key)}")
        else:
            value = without_password(repr(problem["input"]))
            lines.append(f"the setting {key!r} cannot be {value}: {problem['msg']}")
    return "; ".join(lines)


def _neighbour(key: str, prefix: str = "") -> str:
    near = difflib.get_close_matches(key, Settings.model_fields, n=1)
    if not near:
        return f"; the settings are {', '.join(Settings.model_fields)}"
    return f"; did you mean {prefix}{near[0].upper() if prefix else near[0]}?"
