"""The contract of every table: what a row is, its columns and key, who writes it and who reads it.

Types are Arrow's. Key columns are not nullable; all times are UTC, in microseconds. Vectors are ``list<float>``:
Delta has no fixed-size list, and a file that was written with one cannot be read by ``polars.scan_delta``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import pyarrow as pa
from deltalake import ColumnProperties, WriterProperties

UTC = pa.timestamp("us", tz="UTC")
VECTOR = pa.list_(pa.float32())

# Float32 vectors hardly compress, and the defaults would try.
VECTORS = WriterProperties(
    compression="UNCOMPRESSED",
    default_column_properties=ColumnProperties(dictionary_enabled=False),
    max_row_group_size=16_384,
)
# Photographs are compressed already. With statistics the footer would hold whole photographs as smallest and
# largest value; with large row groups one photograph would cost the reading of a thousand.
BLOBS = WriterProperties(
    compression="UNCOMPRESSED",
    default_column_properties=ColumnProperties(dictionary_enabled=False),
    column_properties={"bytes": ColumnProperties(dictionary_enabled=False, statistics_enabled="NONE")},
    max_row_group_size=64,
)
ROWS = WriterProperties(compression="ZSTD")


@dataclass(frozen=True)
class Table:
    """One table's contract."""

    name: str
    grain: str  # completes "one row per ..."
    key: tuple[str, ...]
    columns: pa.Schema
    written_by: str
    read_by: str
    partition_by: tuple[str, ...] = ()
    writer: WriterProperties = field(default_factory=lambda: ROWS)


def _columns(**types: pa.DataType | tuple[pa.DataType, str]) -> pa.Schema:
    """Build a schema; a type that stands alone is not nullable, ``_optional(type)`` is."""
    return pa.schema(
        [
            pa.field(name, kind[0], nullable=True) if isinstance(kind, tuple) else pa.field(name, kind, nullable=False)
            for name, kind in types.items()
        ]
    )


def _optional(kind: pa.DataType) -> tuple[pa.DataType, str]:
    return kind, "optional"


TEXT = pa.string()
COUNT = pa.int64()
SMALL = pa.int32()
REAL = pa.float64()
YES_NO = pa.bool_()

_ALL = (
    Table(
        name="images",
        grain="distinct image content",
        key=("image_id",),
        columns=_columns(
            image_id=TEXT,  # sha256 of the bytes, hex
            bytes=_optional(pa.binary()),  # exactly as they were found; null where they lie in a file of their own
            blob_uri=_optional(TEXT),  # that file, below the lake's root, named by the image_id
            format=TEXT,  # as Pillow names it: JPEG, PNG, ...
            width_px=SMALL,  # upright: after the orientation of the EXIF block
            height_px=SMALL,
            byte_count=COUNT,
            ingested_at=UTC,
            flow_run_id=TEXT,
        ),
        written_by="ingest",
        read_by="ingest, boxes, embed, audit, train",
        writer=BLOBS,
    ),
    Table(
        name="file_reads",
        grain="(location, byte_count, modified_ns, attempt)",
        key=("location", "byte_count", "modified_ns", "attempt"),
        columns=_columns(
            location=TEXT,  # a path, a path!/member of an archive, or an address on the web
            byte_count=COUNT,  # as listed: a file of the same size and time is not read again; -1 on the web
            modified_ns=COUNT,  # since 1970; -1 on the web
            attempt=SMALL,  # 1 is the first; the last one holds
            image_id=_optional(TEXT),  # what it holds
            kind=_optional(TEXT),  # or why it was refused
            detail=_optional(TEXT),
            read_at=UTC,
            flow_run_id=TEXT,
        ),
        written_by="ingest",
        read_by="ingest",
    ),
    Table(
        name="image_records",
        grain="(dataset, image_name)",
        key=("dataset", "image_name"),
        columns=_columns(
            dataset=TEXT,
            image_name=TEXT,  # the path inside the source, with forward slashes
            image_id=TEXT,
            observation_id=TEXT,
            split_tag=_optional(TEXT),  # train, val, test as the source gave it; splits decide
            organ=_optional(TEXT),
            latitude=_optional(REAL),
            longitude=_optional(REAL),
            country_code=_optional(TEXT),
            base_quadrat=_optional(TEXT),  # the same ground over several dates
            transect=_optional(TEXT),  # the line of quadrats that it belongs to
            observed_on=_optional(pa.date32()),
            license=_optional(TEXT),
            author=_optional(TEXT),
            source_uri=TEXT,
            extra=_optional(TEXT),  # the rest of the source's row, as a JSON object of strings
            ingested_at=UTC,
            flow_run_id=TEXT,
        ),
        written_by="ingest",
        read_by="every stage",
    ),
    Table(
        name="labels",
        grain="(dataset, observation_id, species_id, labelled_at)",
        key=("dataset", "observation_id", "species_id", "labelled_at"),
        columns=_columns(
            dataset=TEXT,
            observation_id=TEXT,
            species_id=TEXT,
            source=TEXT,  # who says so: the folder or table that it was read from, or a review by its plain name
            status=TEXT,  # given, or withdrawn: the source no longer says so
            reviewer=_optional(TEXT),  # of a review: who looked
            note=_optional(TEXT),  # and what there is to say beside
            labelled_at=UTC,  # the latest set of an observation is the one that holds
            flow_run_id=TEXT,
        ),
        written_by="ingest, labels",
        read_by="ingest, audit, train, predict, evaluate, review, labels, status, report",
    ),
    Table(
        name="species",
        grain="(species_id, source, recorded_at)",
        key=("species_id", "source", "recorded_at"),
        columns=_columns(
            species_id=TEXT,
            scientific_name=_optional(TEXT),  # for people; nothing is ever joined on it
            genus=_optional(TEXT),
            family=_optional(TEXT),
            is_venomous=_optional(YES_NO),
            gbif_id=_optional(TEXT),
            source=TEXT,  # who says so; each column's latest word holds
            recorded_at=UTC,
            flow_run_id=TEXT,
        ),
        written_by="ingest, labels",
        read_by="ingest, train, import-timm, review, labels, demo",
    ),
    Table(
        name="taxon_changes",
        grain="(old_species_id, new_species_id, recorded_at)",
        key=("old_species_id", "new_species_id", "recorded_at"),
        columns=_columns(
            old_species_id=TEXT,
            new_species_id=TEXT,
            kind=TEXT,  # rename, merge or split
            source=TEXT,
            recorded_at=UTC,  # the latest set of an old id is the one that holds
            flow_run_id=TEXT,
        ),
        written_by="ingest",
        read_by="ingest, audit, train, predict, evaluate",
    ),
    Table(
        name="ingest_sources",
        grain="(dataset, source_id, recorded_at)",
        key=("dataset", "source_id", "recorded_at"),
        columns=_columns(
            dataset=TEXT,
            source_id=TEXT,  # hash of format and options
            source_uri=TEXT,
            format=TEXT,  # folder, table, plantclef, ...
            options=TEXT,  # how it was read, as canonical JSON
            recorded_at=UTC,  # the latest row of a source_uri is how it is read now
            flow_run_id=TEXT,
        ),
        written_by="ingest",
        read_by="ingest, watch",
    ),
    Table(
        name="ingest_issues",
        grain="(dataset, image_name, kind, last_seen_at)",
        key=("dataset", "image_name", "kind", "last_seen_at"),
        columns=_columns(
            dataset=TEXT,
            image_name=TEXT,
            kind=TEXT,
            detail=TEXT,
            row_count=COUNT,  # rows or files of the source that it stands for; 0 when it is so no longer
            is_set_aside=YES_NO,  # false: noted only, the photograph is kept
            is_on_record=YES_NO,  # whether a photograph of this name was on record all the same
            species_ids=_optional(pa.list_(pa.string())),  # as the source labels it
            attempts=SMALL,  # to read the file; 0 where there is none to read
            source_uri=_optional(TEXT),
            first_seen_at=UTC,
            last_seen_at=UTC,  # the latest row of a name and kind holds
            flow_run_id=TEXT,
        ),
        written_by="ingest, boxes, labels, embed, audit, train",
        read_by="ingest, boxes, labels, embed, audit, train, status, report",
    ),
    Table(
        name="perceptual_hashes",
        grain="image_id",
        key=("image_id",),
        columns=_columns(
            image_id=TEXT,
            phash=COUNT,  # 64 bits: near-duplicates differ in few of them
            hashed_at=UTC,
            flow_run_id=TEXT,
        ),
        written_by="audit, train",
        read_by="audit, train",
    ),
    Table(
        name="splits",
        grain="(split_id, observation_id)",
        key=("split_id", "observation_id"),
        columns=_columns(
            split_id=TEXT,  # names data set, held-out shares, grouping and seed
            observation_id=TEXT,
            split=TEXT,  # train, val or test
            reason=TEXT,  # given by the source, joined its group, drawn, or kept to be learnt from
            group_id=TEXT,  # observations of one group stand on one side
            assigned_at=UTC,
            flow_run_id=TEXT,
        ),
        written_by="audit, train",
        read_by="audit, train, evaluate",
    ),
    Table(
        name="boxes",
        grain="(scheme_id, image_id, tile_index)",
        key=("scheme_id", "image_id", "tile_index"),
        columns=_columns(
            scheme_id=TEXT,  # boxes-NAME; an image that has boxes under it gets no others
            image_id=TEXT,
            tile_index=SMALL,  # in the order in which they were given
            x0=SMALL,  # in pixels of the upright image and inside of it, right and lower edge exclusive
            y0=SMALL,
            x1=SMALL,
            y1=SMALL,
            score=_optional(REAL),  # how sure its detector was, in a measure of its own
            recorded_at=UTC,
            flow_run_id=TEXT,
        ),
        written_by="boxes",
        read_by="boxes, embed",
    ),
    Table(
        name="embedding_specs",
        grain="embedding_key",
        key=("embedding_key",),
        columns=_columns(
            embedding_key=TEXT,  # hash of the canonical JSON of the spec
            backbone=TEXT,
            weights_hash=TEXT,
            dimension=SMALL,
            spec=TEXT,  # everything that changes a number in a vector, as canonical JSON
            cosine_to_float32=_optional(pa.float32()),  # on a sample, how near; null for float32 itself
            recorded_at=UTC,
            flow_run_id=TEXT,
        ),
        written_by="embed",
        read_by="embed, train, status, report",
    ),
    Table(
        name="embeddings",
        grain="(embedding_key, image_id, scheme_id, tile_index)",
        key=("embedding_key", "image_id", "scheme_id", "tile_index"),
        columns=_columns(
            embedding_key=TEXT,
            image_id=TEXT,
            scheme_id=TEXT,
            tile_index=SMALL,  # over the whole scheme, in its order
            tile_row=SMALL,  # within its level, from the top left
            tile_column=SMALL,
            tile_level=SMALL,  # k of a pyramid, 1 elsewhere
            x0=SMALL,  # in pixels of the upright source image, right and lower edge exclusive
            y0=SMALL,
            x1=SMALL,
            y1=SMALL,
            cls=VECTOR,
            mean_patch=VECTOR,
            dct=VECTOR,
            dct_published=VECTOR,
            embedded_at=UTC,
            flow_run_id=TEXT,
        ),
        written_by="embed",
        read_by="train, predict",
        partition_by=("embedding_key",),
        writer=VECTORS,
    ),
    Table(
        name="class_maps",
        grain="(class_map_id, class_index)",
        key=("class_map_id", "class_index"),
        columns=_columns(
            class_map_id=TEXT,  # hash of the ordered species ids
            class_index=SMALL,
            species_id=TEXT,
            train_count=COUNT,  # photographs that it was first trained on
            is_dropped=YES_NO,
            recorded_at=UTC,
            flow_run_id=TEXT,
        ),
        written_by="train, import-timm",
        read_by="people",
    ),
    Table(
        name="tile_predictions",
        grain="(model_version, image_id, scheme_id, tile_index, rank)",
        key=("model_version", "image_id", "scheme_id", "tile_index", "rank"),
        columns=_columns(
            model_version=TEXT,  # NAME/VERSION:RUN, the run telling models of one name apart
            image_id=TEXT,
            scheme_id=TEXT,
            tile_index=SMALL,
            rank=SMALL,  # 1 is the best; the best k only
            species_id=TEXT,
            logit=pa.float32(),
            probability=pa.float32(),
            class_map_id=TEXT,
            predicted_at=UTC,
            flow_run_id=TEXT,
        ),
        written_by="predict",
        read_by="predict, evaluate",
    ),
    Table(
        name="decisions",
        grain="decision_id",
        key=("decision_id",),
        columns=_columns(
            decision_id=TEXT,  # hash of rule, model version, data set, split and the tiles that were read
            dataset=TEXT,
            model_version=TEXT,
            scheme_id=TEXT,
            split=TEXT,  # train, val, test or all
            rule_id=TEXT,  # hash of the rule
            rule=TEXT,  # the decision rule, as canonical JSON
            observation_count=COUNT,
            unanswered=TEXT,  # the observations among them that have no answer, as a JSON list
            snapshots=TEXT,  # the tables read, as a JSON object of name to version
            decided_at=UTC,
            flow_run_id=TEXT,
        ),
        written_by="predict, evaluate, ensemble",
        read_by="score, compare, ensemble, submit, people",
    ),
    Table(
        name="observation_predictions",
        grain="(decision_id, observation_id, species_id)",
        key=("decision_id", "observation_id", "species_id"),
        columns=_columns(
            decision_id=TEXT,
            observation_id=TEXT,
            species_id=TEXT,
            score=REAL,  # as the rule pools it: a probability, a sum or a z-score
            votes=COUNT,  # tiles whose best species it is
            rank=SMALL,  # 1 is the best of the observation
            is_answer=YES_NO,  # false for the runners-up of a one-species answer
            flow_run_id=TEXT,
        ),
        written_by="predict, evaluate, ensemble",
        read_by="score, compare, ensemble, submit, people, demo",
    ),
    Table(
        name="evaluations",
        grain="(evaluation_id, metric, slice)",
        key=("evaluation_id", "metric", "slice"),
        columns=_columns(
            evaluation_id=TEXT,  # hash of decision, truth and what they were scored by
            metric=TEXT,
            slice=TEXT,  # all, KIND:VALUE (site, month, organ, country, support, species), or without_looking:NAME
            value=REAL,
            ci_low=_optional(REAL),  # 95 of 100 resamples lie between; null where nothing can be resampled
            ci_high=_optional(REAL),
            metric_version=TEXT,  # hash of the questions that it was computed by
            decision_id=TEXT,
            dataset=TEXT,
            split=TEXT,  # train, val, test or all
            model_version=TEXT,
            observation_count=COUNT,  # of the slice
            snapshots=TEXT,  # the tables read, as a JSON object of name to version
            evaluated_at=UTC,
            flow_run_id=TEXT,
        ),
        written_by="evaluate, score",
        read_by="submission scores, report, people",
    ),
    Table(
        name="prior_specs",
        grain="prior_id",
        key=("prior_id",),
        columns=_columns(
            prior_id=TEXT,  # NAME-HASH of all that it was made from
            kind=TEXT,  # country, month, cluster, mask or taxonomy
            spec=TEXT,  # how it was made, as canonical JSON
            place_count=COUNT,
            snapshots=TEXT,  # the tables read, as a JSON object of name to version
            recorded_at=UTC,
            flow_run_id=TEXT,
        ),
        written_by="prior",
        read_by="predict, evaluate, sweep, people",
    ),
    Table(
        name="priors",
        grain="(prior_id, place, species_id)",
        key=("prior_id", "place", "species_id"),
        columns=_columns(
            prior_id=TEXT,
            place=TEXT,  # a country, a month, a cluster, or all
            species_id=TEXT,
            weight=REAL,  # of the species there, 0 to 1, the same under its former ids; those of a mask are 0 or 1
            recorded_at=UTC,
            flow_run_id=TEXT,
        ),
        written_by="prior",
        read_by="predict, evaluate, sweep",
    ),
    Table(
        name="prior_places",
        grain="(prior_id, dataset, observation_id)",
        key=("prior_id", "dataset", "observation_id"),
        columns=_columns(
            prior_id=TEXT,
            dataset=TEXT,
            observation_id=TEXT,
            place=TEXT,  # of priors; an observation of no known place has no row
            recorded_at=UTC,
            flow_run_id=TEXT,
        ),
        written_by="prior",
        read_by="predict, evaluate, sweep",
    ),
    Table(
        name="sweeps",
        grain="(sweep_id, rule_id, metric)",
        key=("sweep_id", "rule_id", "metric"),
        columns=_columns(
            sweep_id=TEXT,  # hash of the rules, the predictions and the truth
            rule_id=TEXT,
            metric=TEXT,
            value=REAL,
            ci_low=_optional(REAL),
            ci_high=_optional(REAL),
            rule=TEXT,  # the decision rule, as canonical JSON
            dataset=TEXT,
            model_version=TEXT,
            split=TEXT,  # train, val, test or all
            observation_count=COUNT,
            snapshots=TEXT,  # the tables read, as a JSON object of name to version
            swept_at=UTC,
            flow_run_id=TEXT,
        ),
        written_by="sweep",
        read_by="sweep, people",
    ),
    Table(
        name="submissions",
        grain="submission_id",
        key=("submission_id",),
        columns=_columns(
            submission_id=TEXT,  # hash of the file's bytes and the decision
            decision_id=TEXT,
            dialect=TEXT,  # plantclef2024, plantclef2025 or snakeclef
            path=TEXT,  # where it was first written
            row_count=COUNT,
            written_at=UTC,
            flow_run_id=TEXT,
        ),
        written_by="submit",
        read_by="people",
    ),
    Table(
        name="official_scores",
        grain="(decision_id, metric, entered_at)",
        key=("decision_id", "metric", "entered_at"),
        columns=_columns(
            decision_id=TEXT,
            metric=TEXT,  # as the contest calls it
            value=REAL,
            source=TEXT,  # who says so
            entered_at=UTC,  # the latest row of a decision and metric holds
            flow_run_id=TEXT,
        ),
        written_by="submission score",
        read_by="submission scores, people",
    ),
    Table(
        name="reviews",
        grain="(review_id, observation_id, reason)",
        key=("review_id", "observation_id", "reason"),
        columns=_columns(
            review_id=TEXT,  # hash of the decision and of all that is said of it here
            observation_id=TEXT,
            reason=TEXT,  # why a person should look: label_doubted, low_confidence, models_disagree, ...
            detail=TEXT,  # in words
            weight=REAL,  # 0 to 1: how strongly it speaks for a look
            rank=COUNT,  # 1 is the first observation to look at, that of the largest sum of weights
            dataset=TEXT,
            model_version=TEXT,
            decision_id=TEXT,
            snapshots=TEXT,  # the tables read, as a JSON object of name to version
            queued_at=UTC,
            flow_run_id=TEXT,
        ),
        written_by="review",
        read_by="people",
    ),
    Table(
        name="ablations",
        grain="cell_id",
        key=("cell_id",),
        columns=_columns(
            cell_id=TEXT,  # hash of everything that the result depends on
            dataset=TEXT,
            choices=TEXT,  # what sets it apart from others, as a JSON object
            recipe=TEXT,  # JSON
            embedding_key=_optional(TEXT),
            class_map_id=_optional(TEXT),
            split_id=_optional(TEXT),
            refusal=_optional(TEXT),  # why these choices do not go together; there are no scores then
            observation_count=COUNT,  # of validation
            accuracy=_optional(REAL),
            macro_f1=_optional(REAL),
            ece=_optional(REAL),  # expected calibration error
            seconds=REAL,
            mlflow_run_id=_optional(TEXT),
            recorded_at=UTC,
            flow_run_id=TEXT,
        ),
        written_by="ablate",
        read_by="ablate, people",
    ),
    Table(
        name="ablation_answers",
        grain="(cell_id, observation_id)",
        key=("cell_id", "observation_id"),
        columns=_columns(
            cell_id=TEXT,
            observation_id=TEXT,
            species_id=TEXT,  # the best answer
            probability=REAL,  # calibrated
            is_right=YES_NO,
            flow_run_id=TEXT,
        ),
        written_by="ablate",
        read_by="ablate, people",
    ),
    Table(
        name="stage_runs",
        grain="(flow_run_id, stage)",
        key=("flow_run_id", "stage"),
        columns=_columns(
            flow_run_id=TEXT,
            stage=TEXT,
            dataset=TEXT,
            rows=COUNT,  # written
            reused=COUNT,  # found done
            seconds=REAL,
            decode_seconds=_optional(REAL),  # the split of an embedding's time
            forward_seconds=_optional(REAL),
            write_seconds=_optional(REAL),
            bytes=COUNT,  # of photographs read; 0 where a stage reads none
            images_per_second=_optional(REAL),
            finished_at=UTC,
        ),
        written_by="every stage of a data set that wrote something",
        read_by="report, people",
    ),
    Table(
        name="retrain_decisions",
        grain="retrain_id",
        key=("retrain_id",),
        columns=_columns(
            retrain_id=TEXT,  # hash of the models, of what was decided and of what it was decided on
            flow_run_id=TEXT,
            dataset=TEXT,
            model=TEXT,
            champion=_optional(TEXT),  # model version that held the alias before
            challenger=_optional(TEXT),  # null where nothing was trained
            metric=_optional(TEXT),
            champion_score=_optional(REAL),
            challenger_score=_optional(REAL),
            decision=TEXT,  # first, promoted, refused, overtaken, failed, or nothing to do
            reason=TEXT,  # in words
            signals=TEXT,  # what had changed since the last version that was judged, as a JSON object
            checks=TEXT,  # what was asked of the challenger, and what was found, as a JSON list
            decided_at=UTC,
        ),
        written_by="retrain",
        read_by="report, people",
    ),
    Table(
        name="promotions",
        grain="(promotion_id, step)",
        key=("promotion_id", "step"),
        columns=_columns(
            promotion_id=TEXT,  # hash of model, both versions, and how many promotions went before
            step=TEXT,  # intended, before an alias moves; done, after all have; given up where the version is gone
            model=TEXT,
            kind=TEXT,  # promote or rollback
            from_version=_optional(TEXT),  # the champion before, NAME/VERSION:RUN
            to_version=TEXT,
            reason=TEXT,
            recorded_at=UTC,
            flow_run_id=TEXT,
        ),
        written_by="retrain, promote, rollback",
        read_by="retrain, promote, rollback, report, people",
    ),
)

TABLES: Mapping[str, Table] = MappingProxyType({table.name: table for table in _ALL})
