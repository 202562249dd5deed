"""What came in, as figures: files in the home, and artifacts of the flow run."""

from pathlib import Path

from flows.orchestration import in_flow_run
from flows.prefect_pages import show_figures
from flows.settings import Settings
from lake import audit
from lake.files import Files, RefusedFileError
from lake.intake import Count, Intake, Sample

_MOST_BYTES = 32 << 20  # of a file that is shown on the contact sheet


def draw(place: Settings, dataset: str, work: Intake, count: Count, files: Files | None) -> list[Path]:
    """Draw the data set as it stands now, and what was set aside of a source; return the files.

    Args:
        place: Settings: the home.
        dataset: The data set.
        work: The intake, its outcomes still at hand.
        count: What became of the source.
        files: Where its photographs lie.
    """
    from modeling import intake_figures as drawing

    place.figures.mkdir(parents=True, exist_ok=True)
    seen = audit.portrait(place.lake, dataset)
    drawn = [
        drawing.draw_dataset(
            place.figures / f"{dataset}-intake.png",
            dataset,
            seen.species_counts,
            seen.coordinates,
            seen.totals,
        )
    ]
    if count.set_aside:
        entries = [
            drawing.SetAside(sample.image_name, sample.kind, sample.detail, _bytes(sample, files))
            for sample in work.set_aside_samples()
        ]
        path = place.figures / f"{dataset}-set-aside.png"
        drawn.append(drawing.contact_sheet(path, dataset, entries, count.set_aside_by_kind))
    if in_flow_run():
        show_figures(drawn, "ingest")
    return drawn


def _bytes(sample: Sample, files: Files | None) -> bytes | None:
    """Return what can be read of a file that was set aside; nothing is fetched from the web once more."""
    if files is None or sample.file is None or sample.file.byte_count > _MOST_BYTES:
        return None
    try:
        return files.read(sample.file)
    except RefusedFileError:
        return None
