"""Changes of the taxonomy into the lake."""

from pathlib import Path

from prefect import flow
from pydantic import BaseModel

from flows import settings
from flows.orchestration import flow_run_id, told
from lake import tables, taxonomy


class TaxonChangesReport(BaseModel):
    """What became of a table of changes."""

    changes: int
    already_known: int
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        return [f"{self.changes + self.already_known} changes of species, {self.changes} of them new"]


@flow(name="ingest-taxon-changes")
def ingest_taxon_changes(csv: Path, home: Path | None = None) -> TaxonChangesReport:
    """Take in a table of species that were renamed, merged or split.

    Args:
        csv: The table, with the columns old_species_id, new_species_id and kind.
        home: The place's home.
    """
    lake = settings.load(home=home).lake
    changes = taxonomy.read_changes(Path(csv))
    tables.create_missing(lake)
    done = taxonomy.append_changes(lake, Path(csv), changes, flow_run_id())
    return told(
        TaxonChangesReport(
            changes=done.row_count, already_known=len(changes) - done.row_count, committed=done.row_count > 0
        )
    )
