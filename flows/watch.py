"""What has come since the last look: every source on record is taken in again, and what is new gets its vectors."""

from pathlib import Path

from prefect import flow
from pydantic import BaseModel

from flows import settings
from flows.embed import EmbedReport, ensure_embedded
from flows.ingest import ingest_again
from flows.intake import IngestReport, Terms
from flows.orchestration import flow_run_id, told
from lake import embeddings, query, tables
from lake.errors import LakeError, SourceError
from lake.text import plain
from modeling.errors import ModelingError

# A look comes every few minutes: what the web does not give is asked for less and less often, down to once a day.
_TERMS = Terms(longest_pause_seconds=86_400)


class WatchReport(BaseModel):
    """What a look at every source found."""

    sources: int
    new: list[IngestReport]  # of the sources that brought something
    missing: dict[str, str]  # source -> why it could not be read
    embedded: list[EmbedReport]
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        lines = [f"{plain(why)}; the others were looked into" for why in self.missing.values()]
        lines += [line for report in self.new for line in (plain(report.source), *report.lines())]
        lines += [line for report in self.embedded for line in report.lines()]
        if not self.sources:
            return ["no source is on record: `taxalake ingest` brings the first one in"]
        if not self.committed:
            lines.append(f"nothing new in {self.sources - len(self.missing)} of {self.sources} sources")
        return lines


@flow(name="watch")
def watch(dataset: str | None = None, home: Path | None = None) -> WatchReport:
    """Take every source on record in again, as it was read the last time, and embed what is new.

    A source that is not there is told of and the others go on. Photographs are embedded wherever others of their data
    set have been: under the same keys, at the same tilings.

    Args:
        dataset: The data set; all by default.
        home: The place's home.

    Raises:
        LakeError: If a source was refused, or photographs could not be embedded; after all else was done.
    """
    place = settings.load(home=home)
    report = WatchReport(sources=0, new=[], missing={}, embedded=[], committed=False)
    if tables.exists(place.lake, "ingest_sources"):
        failures = _take_in(place, dataset, report)
        if dataset is not None and not report.sources:
            # A name that was mistyped is no reason to say that there is nothing new.
            embeddings.require_dataset(place.lake, dataset)
        failures += _embed(place, dataset, flow_run_id(), report)
        report.committed = bool(report.new or report.embedded)
        if failures:
            raise LakeError("\n".join([*failures, *report.lines()]))
    return told(report)


def _take_in(place: settings.Settings, dataset: str | None, report: WatchReport) -> list[str]:
    """Take in the sources again; return what was refused, and why."""
    sources = query.answer(
        place.lake, "pending/known_sources", tables.latest(place.lake, "ingest_sources"), dataset=dataset
    ).to_pylist()
    report.sources = len(sources)
    failures: list[str] = []
    for number, source in enumerate(sources, start=1):
        try:
            done = ingest_again(source, _TERMS, place.home, f"ingest-{number}")
        except SourceError as error:
            # A disk that is not mounted, a folder that was tidied away: what it has brought stays.
            report.missing[source["source_uri"]] = str(error)
        # OSError: what is wrong with one place is no reason not to look at the others.
        except (LakeError, OSError) as error:
            failures.append(f"{plain(source['source_uri'])}: {error}")
        else:
            if done.committed:
                report.new.append(told(done))
    return failures


def _embed(place: settings.Settings, dataset: str | None, run_id: str, report: WatchReport) -> list[str]:
    """Embed what waits for its vectors; return what could not be embedded, and why."""
    snapshots = tables.latest(place.lake, "image_records", "boxes", "embeddings", "embedding_specs", "ingest_issues")
    schemes: dict[tuple[str, str], list[str]] = {}
    for row in query.answer(place.lake, "audit/embedding_coverage", snapshots).to_pylist():
        if row["embedding_key"] is not None and row["pending"] and dataset in (None, row["dataset"]):
            schemes.setdefault((row["dataset"], row["embedding_key"]), []).append(row["scheme_id"])
    failures: list[str] = []
    for number, ((owner, key), tilings) in enumerate(schemes.items(), start=1):
        at = place.model_copy(update={"tiling": "+".join(tilings)})
        try:
            done = _embed_under(at, owner, key, run_id, f"embed-{number}")
        except (LakeError, ModelingError) as error:
            # A backbone that is not there any more is no reason to leave the other data sets without vectors.
            failures.append(f"{owner} at {at.tiling}: {error}")
        else:
            report.embedded += [done] if done is not None else []
    return failures


def _embed_under(
    place: settings.Settings, dataset: str, embedding_key: str, run_id: str, stage_name: str
) -> EmbedReport | None:
    recorded = embeddings.recorded_spec(place.lake, embedding_key)
    if recorded is None:
        raise LakeError(f"nothing in embedding_specs says what the key {embedding_key} stands for")
    return ensure_embedded(place, dataset, recorded["spec"], recorded["backbone"], run_id, stage_name=stage_name)
