"""What a place holds and what is pending. Reads only."""

from typing import Any

from pydantic import BaseModel

from flows import settings
from flows.answers import grid
from lake import query, tables
from lake.schemas import TABLES
from modeling.addresses import without_password


class StatusReport(BaseModel):
    """Tables, data sets, models."""

    home: str
    lake: str
    registry: str
    tables: dict[str, dict[str, int]]  # name -> version, rows
    datasets: list[dict[str, Any]]
    embeddings: list[dict[str, Any]]
    models: list[dict[str, Any]]

    def lines(self) -> list[Any]:
        """The report for people."""
        rows = [{"table": name, **facts} for name, facts in self.tables.items()]
        parts: list[Any] = [f"home {self.home}", "", grid(["table", "version", "rows"], rows)]
        for rows in (self.datasets, self.embeddings, self.models):
            if rows:
                parts += ["", grid(list(rows[0]), rows)]
        return parts


def status(place: settings.Settings) -> StatusReport:
    """Look at everything.

    Raises:
        TableMissingError: If there is no lake.
    """
    lake = place.lake
    newest = tables.latest(lake, *TABLES)
    by_name = {snapshot.table: snapshot for snapshot in newest}
    counts = {name: tables.row_count(lake, snapshot) for name, snapshot in by_name.items()}
    return StatusReport(
        home=str(place.home.resolve()),
        lake=lake.root,
        registry=without_password(place.registry_uri),
        tables={name: {"version": by_name[name].version, "rows": counts[name]} for name in TABLES},
        datasets=query.answer(
            lake,
            "audit/dataset_counts",
            [by_name["image_records"], by_name["labels"], by_name["ingest_issues"]],
        ).to_pylist(),
        embeddings=query.answer(
            lake,
            "audit/embedding_coverage",
            [by_name[name] for name in ("image_records", "boxes", "embeddings", "embedding_specs", "ingest_issues")],
        ).to_pylist(),
        models=_models(place),
    )


def _models(place: settings.Settings) -> list[dict[str, Any]]:
    if not place.has_registry:
        return []
    from modeling.registry import Registry

    registry = Registry(place.registry_uri, place.artifacts)
    return [
        {
            "model_version": version.model_version,
            "aliases": list(version.aliases),
            "dataset": version.tags.get("dataset"),
            "species": int(version.tags.get("species", 0)),
            "val_accuracy": float(version.tags.get("val_accuracy", "nan")),
        }
        for name in registry.names()
        for version in registry.versions(name)
    ]
