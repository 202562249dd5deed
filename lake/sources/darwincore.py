"""Darwin Core Archives, in which GBIF and museums hand out occurrences with the addresses of their photographs.

An archive is a zip or a folder: ``meta.xml`` says which text files it has, how they are written and which term stands
in which column. The core must be of occurrences; of the extensions, those of multimedia are read.
"""

import codecs
import csv
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, NoReturn
from xml.etree import ElementTree
from zipfile import BadZipFile, ZipFile

import polars as pl

from lake.errors import SourceError
from lake.files import Files
from lake.sources import ROWS, SPECIES, Batch, conform, day, extra, number, plain_path, said, unread, unread_day
from lake.sources.addresses import name_of_download
from lake.sources.delimited import DelimitedText, Part

_META = "meta.xml"
_NAMESPACE = "{http://rs.tdwg.org/dwc/text/}"
_MOST_META_BYTES = 1 << 20
# The widest that GBIF hands out have about 450; a file without a header is taken to be as wide as meta.xml says.
_MOST_COLUMNS = 10_000
_MOST_HEADER_SIGNS = 1 << 20
_ROWS_IN_BATCH = 50_000
_ESCAPES = {"\\t": "\t", "\\n": "\n", "\\r": "\r", "\\r\\n": "\r\n", "&quot;": '"'}
_LINE_ENDS = {"\n", "\r\n", "\r"}

_TAXON_IDS = ("speciesKey", "acceptedTaxonKey", "taxonKey", "taxonID", "scientificName")
_GBIF_IDS = ("speciesKey", "taxonKey")
# Terms of an occurrence, and of its photograph, that need no place in `extra` (the keys of a taxon stay there too).
_TAKEN = {
    "occurrenceID",
    "scientificName",
    "genus",
    "family",
    "countryCode",
    "multimedia.license",
    "multimedia.creator",
}
# Columns that no archive has: their names are no terms.
_JOINED_BY = "core id"
_ADDRESS = "multimedia address"
_LINE = "multimedia line"  # of which file, as text for people; null where an occurrence has no multimedia
_OCCURRENCE, _NUMBER, _KIND, _DETAIL = "number of occurrence", "number of row", "kind of row", "detail of row"
_OWN = {_JOINED_BY, _ADDRESS, _LINE, _OCCURRENCE, _NUMBER, _KIND, _DETAIL, "multimedia.id"}
_TERMS = (
    "occurrenceID",
    "genus",
    "family",
    "decimalLatitude",
    "decimalLongitude",
    "countryCode",
    "eventDate",
    "license",
)
_READ = {*_TERMS, "recordedBy", *_TAXON_IDS, "multimedia.type", "multimedia.format", *_TAKEN, *_OWN} - {
    _OCCURRENCE,
    _NUMBER,
}

_WEB = r"(?is)^https?://([^/?#][^#]*)"
# Dublin Core's StillImage, and Image, of which it is a kind; by name or by address.
_IMAGE_TYPE = r"(?i)(?:^|[/#:])(?:still ?)?image$"
# What should be a media type is at times an extension.
_IMAGE_FORMAT = r"(?i)^(?:image/.*|jpe?g|png|gif|tiff?|webp|bmp)$"


@dataclass(frozen=True)
class DarwinCoreSource:
    """One row per photograph of an occurrence, and one with the reason per occurrence without any.

    A photograph is named by its address without the scheme, ``host/path?query``: what is asked of a host is often all
    that tells two photographs apart, and a second host must not give the photographs of the first another name. An
    address that is not on the web is the name of a file.

    The rows are numbered by occurrence, then by photograph; malformed lines come before them, photographs of no
    occurrence last. Only the ids of the occurrences are held in memory: what is said of them and of the photographs
    waits in a temporary folder, which needs about the room of the unpacked archive.
    """

    archive: Path
    files: Files | None  # None: all photographs are on the web
    names_are_unique: bool = True

    @property
    def uri(self) -> str:
        """The archive."""
        return str(self.archive.resolve())

    def __iter__(self) -> Iterator[Batch]:
        """Yield the rows, then the files.

        Raises:
            SourceError: If the archive cannot be read, or is not as its ``meta.xml`` says.
        """
        core, multimedia = _description(self.archive)
        with TemporaryDirectory(prefix="darwincore-") as folder:
            count = 0
            for frame in _frames(self.archive, core, multimedia, Path(folder)):
                if not frame.is_empty():
                    yield _batch(frame, count)
                    count += frame.height
        if self.files is not None:
            for listed in self.files.listing():
                yield Batch(files=listed)


@dataclass(frozen=True)
class _Field:
    """What stands in a column."""

    name: str
    index: int | None  # None: the default stands in every row
    default: str


@dataclass(frozen=True)
class _Table:
    """One table of an archive, which may lie in several files, as ``meta.xml`` describes it."""

    row_type: str
    locations: tuple[str, ...]
    delimiter: str
    quote: str | None
    encoding: str
    header_lines: int
    id_index: int | None  # of an extension, the id of the occurrence in the core
    fields: tuple[_Field, ...]

    @property
    def width(self) -> int:
        """Columns that the description needs."""
        indices = (self.id_index, *(field.index for field in self.fields))
        return max((index for index in indices if index is not None), default=-1) + 1


def _frames(archive: Path, core: _Table, multimedia: list[_Table], folder: Path) -> Iterator[pl.DataFrame]:
    """Yield what the archive says, all as text: a row per photograph, per occurrence without any, per bad line."""
    if not multimedia:
        for location, part in _parts(archive, core):
            yield _malformed(location, part)
            yield _associated(_terms(core, part.frame))
        return
    ids = [_terms(core, _no_rows(core)).select(_JOINED_BY)]
    for place, (location, part) in enumerate(_parts(archive, core)):
        yield _malformed(location, part)
        terms = _terms(core, part.frame)
        _write(terms, folder / f"core-{place}.parquet")
        ids.append(terms.select(_JOINED_BY))
    for which, table in enumerate(multimedia):
        _write(_photographs(table, _no_rows(table), ""), folder / f"multimedia-{which}-0.parquet")
        for place, (location, part) in enumerate(_parts(archive, table), start=1):
            yield _malformed(location, part)
            _write(_photographs(table, part.frame, location), folder / f"multimedia-{which}-{place}.parquet")
    # Each photograph gets the number of its occurrence, so that the wide rows are joined a part at a time: a join of
    # both whole tables keeps one of them in memory, and the order costs the other.
    occurrences = pl.concat(ids).with_row_index(_OCCURRENCE)
    written = pl.concat([_scan(folder, f"multimedia-{which}") for which in range(len(multimedia))], how="diagonal")
    numbered = written.join(occurrences.lazy(), on=_JOINED_BY, how="left", maintain_order="left")
    numbered.sink_parquet(folder / "multimedia.parquet", compression="lz4", engine="streaming")
    photographs = pl.scan_parquet(folder / "multimedia.parquet")
    start = 0
    for place in range(len(ids) - 1):
        terms = pl.read_parquet(folder / f"core-{place}.parquet").with_row_index(_OCCURRENCE, offset=start)
        theirs = pl.col(_OCCURRENCE).is_between(start, start + terms.height, closed="left")
        own = photographs.filter(theirs).drop(_JOINED_BY).collect(engine="streaming")
        pairs = terms.select(_OCCURRENCE).join(own, on=_OCCURRENCE, how="left", maintain_order="left_right")
        for some in pairs.iter_slices(_ROWS_IN_BATCH):
            yield some.join(terms, on=_OCCURRENCE, how="left", maintain_order="left")
        start += terms.height
    reason = pl.format("{}: the archive has no occurrence {}", _LINE, pl.col(_JOINED_BY).fill_null("without an id"))
    orphans = photographs.filter(pl.col(_OCCURRENCE).is_null()).with_columns(
        pl.lit("row_without_observation").alias(_KIND), reason.alias(_DETAIL)
    )
    yield from orphans.collect_batches(chunk_size=_ROWS_IN_BATCH, maintain_order=True, engine="streaming")


def _batch(frame: pl.DataFrame, before: int) -> Batch:
    """Return the rows and species of a frame, numbered after those before."""
    absent = [pl.lit(None, pl.String).alias(name) for name in sorted(_READ - set(frame.columns))]
    frame = frame.with_columns(absent).with_row_index(_NUMBER, offset=before + 1)
    address = pl.col(_ADDRESS)
    on_web = address.str.extract(_WEB)
    in_folder = plain_path(_ADDRESS).replace("", None)
    kind, detail = _reason()
    rows = frame.select(
        pl.col(_NUMBER).alias("row_number"),
        pl.coalesce(on_web, in_folder).alias("image_name"),
        pl.when(on_web.is_null()).then(in_folder).otherwise(name_of_download(_ADDRESS)).alias("file_name"),
        pl.when(on_web.is_null()).then(None).otherwise(address).alias("url"),
        pl.coalesce(said("occurrenceID"), _JOINED_BY).alias("observation_id"),
        number("decimalLatitude", -90, 90).alias("latitude"),
        number("decimalLongitude", -180, 180).alias("longitude"),
        said("countryCode").alias("country_code"),
        day("eventDate").alias("observed_on"),
        pl.coalesce(said("multimedia.license"), said("license")).alias("license"),
        pl.coalesce(said("multimedia.creator"), said("recordedBy")).alias("author"),
        _rest(frame),
        kind.alias("kind"),
        detail.alias("detail"),
    )
    species = frame.filter(rows["kind"].is_null()).select(
        pl.col(_NUMBER).alias("row_number"),
        pl.coalesce(said(column) for column in _TAXON_IDS).alias("species_id"),
        said("scientificName").alias("scientific_name"),
        said("genus"),
        said("family"),
        pl.coalesce(said(column) for column in _GBIF_IDS).alias("gbif_id"),
    )
    return Batch(rows=conform(rows, ROWS), species=conform(species.drop_nulls("species_id"), SPECIES))


def _reason() -> tuple[pl.Expr, pl.Expr]:
    """Return why a row is set aside, as kind and detail, null where it is not."""
    type_, format_ = said("multimedia.type"), said("multimedia.format")
    is_told = type_.is_not_null() | format_.is_not_null()
    is_image = type_.str.contains(_IMAGE_TYPE).fill_null(False) | format_.str.contains(_IMAGE_FORMAT).fill_null(False)
    of_row = pl.col(_KIND).is_not_null()
    no_photograph = pl.col(_LINE).is_null() & pl.col(_ADDRESS).is_null()
    is_other = is_told & ~is_image
    other = pl.format("its type is {} and its format {}", type_.fill_null("not told"), format_.fill_null("not told"))
    kind = pl.when(of_row).then(_KIND).when(no_photograph).then(pl.lit("row_without_name"))
    detail = pl.when(of_row).then(_DETAIL).when(no_photograph).then(pl.lit("the occurrence has no photograph"))
    return kind.when(is_other).then(pl.lit("not_an_image")), detail.when(is_other).then(other)


def _rest(frame: pl.DataFrame) -> pl.Series:
    """Return the terms that have no place of their own, those of the photograph as ``multimedia.<term>``."""
    overruled = {"license": "multimedia.license", "recordedBy": "multimedia.creator"}
    rest = frame.with_columns(
        unread("decimalLatitude", 90),
        unread("decimalLongitude", 180),
        unread_day("eventDate"),
        *(
            pl.when(said(by).is_null()).then(pl.lit("")).otherwise(column).alias(column)
            for column, by in overruled.items()
        ),
    )
    kept = [name for name in frame.columns if name not in _TAKEN | _OWN]
    # Of GBIF's two hundred terms most are empty throughout, and writing JSON is most of the work.
    is_filled = rest.select((pl.col(kept).str.len_bytes() > 0).any()).row(0)
    # Not by select: where nothing is filled, one null would be the whole column.
    return rest.with_columns(extra(name for name, filled in zip(kept, is_filled, strict=True) if filled))["extra"]


def _terms(table: _Table, frame: pl.DataFrame) -> pl.DataFrame:
    """Name the columns of a frame by their terms, and fill in the defaults."""
    fields = []
    for field in table.fields:
        default = pl.lit(field.default)
        if field.index is None:
            fields.append(default.alias(field.name))
        else:
            given = pl.col(str(field.index))
            value = pl.when(given.str.len_bytes() > 0).then(given).otherwise(default) if field.default else given
            fields.append(value.alias(field.name))
    told = {field.index for field in table.fields}
    untold = [
        pl.col(name).alias("id" if name == str(table.id_index) else f"column {int(name) + 1}")
        for name in frame.columns
        if name != "row_number" and int(name) not in told
    ]
    joined_by = pl.lit(None, pl.String) if table.id_index is None else said(str(table.id_index))
    # The number is taken along for the height only: defaults alone would be one row.
    return frame.select("row_number", joined_by.alias(_JOINED_BY), *fields, *untold).drop("row_number")


def _photographs(table: _Table, frame: pl.DataFrame, location: str) -> pl.DataFrame:
    """Return the rows of a multimedia extension, their terms as ``multimedia.<term>``."""
    # In Audubon Core the identifier is that of the record, not the address.
    address = "accessURI" if "tdwg.org/ac/" in table.row_type else "identifier"
    terms = _terms(table, frame)
    if address not in terms.columns:
        raise SourceError(
            f"{_META} gives the multimedia no {address}, so that no photograph has an address; "
            f"it gives {', '.join(field.name for field in table.fields)}"
        )
    line = pl.format("{}, line {}", pl.lit(location), pl.col("row_number"))
    named = terms.select(
        _JOINED_BY, said(address).alias(_ADDRESS), pl.all().exclude(_JOINED_BY, address).name.prefix("multimedia.")
    )
    return named.with_columns(frame.select(line.alias(_LINE)).to_series())


def _associated(terms: pl.DataFrame) -> pl.DataFrame:
    """Return a row per address that the occurrences name themselves, and one per occurrence that names none."""
    if "associatedMedia" not in terms.columns:
        return terms
    addresses = pl.col("associatedMedia").str.split("|").list.eval(pl.element().str.strip_chars())
    named = terms.with_columns(addresses.list.eval(pl.element().filter(pl.element() != "")).alias(_ADDRESS))
    return named.drop("associatedMedia").explode(_ADDRESS, empty_as_null=True)


def _malformed(location: str, part: Part) -> pl.DataFrame:
    details = [f"{location}: {detail}" for _, detail in part.malformed]
    kinds = ["row_malformed"] * len(details)
    return pl.DataFrame({_KIND: kinds, _DETAIL: details}, schema={_KIND: pl.String, _DETAIL: pl.String})


def _no_rows(table: _Table) -> pl.DataFrame:
    return pl.DataFrame(schema={"row_number": pl.Int64, **{str(place): pl.String for place in range(table.width)}})


def _write(frame: pl.DataFrame, path: Path) -> None:
    frame.write_parquet(path, compression="lz4")


def _scan(folder: Path, name: str) -> pl.LazyFrame:
    """Scan the parts of a table in the order in which they were written."""
    found = sorted(folder.glob(f"{name}-*.parquet"), key=lambda path: int(path.stem.rpartition("-")[2]))
    return pl.scan_parquet(found, missing_columns="insert", extra_columns="raise")


def _parts(archive: Path, table: _Table) -> Iterator[tuple[str, Part]]:
    """Yield (location, rows) of a table, the columns named by their index.

    Raises:
        SourceError: If a file is missing, broken, or narrower than its description.
    """
    for location in table.locations:
        name = f"{location} of {archive}"
        try:
            width = _width(archive, table, location)
            if table.header_lines and 0 < width < table.width:
                raise SourceError(
                    f"{_META} needs {table.width} columns of {name}, whose header has {width}; "
                    f"is {table.delimiter!r} what parts them?"
                )
            text = DelimitedText(
                name,
                partial(_opened, archive, location),
                table.delimiter,
                table.encoding,
                table.quote,
                header=[str(place) for place in range(max(width, table.width))],
                skipped_lines=table.header_lines,
            )
            for part in text.parts():
                yield location, part
        except (BadZipFile, zlib.error, EOFError) as error:
            raise SourceError(f"{name} is broken: {error}. Get the archive anew.") from error


def _width(archive: Path, table: _Table, location: str) -> int:
    """Return the number of fields in the last line of the header, or in the first row where there is none."""
    with (
        _opened(archive, location) as file,
        TextIOWrapper(file, table.encoding, errors="replace", newline="") as text,
    ):
        lines = iter(lambda: text.readline(_MOST_HEADER_SIGNS), "")
        reader = csv.reader(
            lines,
            delimiter=table.delimiter,
            quotechar=table.quote,
            quoting=csv.QUOTE_NONE if table.quote is None else csv.QUOTE_MINIMAL,
        )
        try:
            return len(next(islice(reader, max(table.header_lines - 1, 0), None), []))
        except csv.Error:
            return 0  # the reader of the rows meets it again, and says where


def _opened(archive: Path, location: str) -> IO[bytes]:
    """Open a file of an archive.

    Raises:
        SourceError: If it is not there, or lies outside.
    """
    if archive.is_dir():
        path = archive / location
        if not path.resolve().is_relative_to(archive.resolve()):
            raise SourceError(f"{location} of {archive} is a link out of it, to {path.resolve()}")
        if not path.is_file():
            raise SourceError(f"{archive} has no {location}; it has {_some(path.name for path in archive.iterdir())}")
        return path.open("rb")
    if not archive.is_file():
        raise SourceError(f"there is no archive {archive}")
    try:
        with ZipFile(archive) as members:
            if location not in members.namelist():
                raise SourceError(f"{archive} has no {location}; it has {_some(members.namelist())}")
            return members.open(location)
    except (BadZipFile, NotImplementedError, RuntimeError) as error:  # RuntimeError: a password is asked for
        raise SourceError(f"{archive} cannot be read as a zip: {error}") from error


def _some(names: Iterator[str] | list[str]) -> str:
    return ", ".join(islice(sorted(names), 20)) or "nothing"


class _Described(ElementTree.TreeBuilder):
    """A document without entities of its own: a few lines of them can unfold to gigabytes, or read other files."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> NoReturn:
        raise SourceError(f"{_META} declares a DOCTYPE, which no Darwin Core Archive needs; it is not read")


def _description(archive: Path) -> tuple[_Table, list[_Table]]:
    """Return the core and the multimedia extensions.

    Raises:
        SourceError: If ``meta.xml`` is missing, no XML, or describes something else.
    """
    with _opened(archive, _META) as file:
        content = file.read(_MOST_META_BYTES + 1)
    if len(content) > _MOST_META_BYTES:
        raise SourceError(f"{_META} of {archive} has more than {_MOST_META_BYTES:,} bytes; this is no description")
    try:
        root = ElementTree.fromstring(content, ElementTree.XMLParser(target=_Described()))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise SourceError(f"{_META} of {archive} is no XML: {error}") from error
    core = root.find(f"{_NAMESPACE}core")
    if core is None:
        raise SourceError(f"{_META} of {archive} describes no core in the namespace {_NAMESPACE[1:-1]}")
    kind = core.get("rowType", "")
    if _local(kind) != "Occurrence":
        raise SourceError(
            f"the core of {archive} is of {kind!r}; only archives of occurrences have photographs to name"
        )
    extensions = root.findall(f"{_NAMESPACE}extension")
    described = [one for one in extensions if _local(one.get("rowType", "")) == "Multimedia"]
    tables = _table(core, "id"), [_table(one, "coreid") for one in described]
    for table in (tables[0], *tables[1]):
        if described and table.id_index is None:
            raise SourceError(
                f"{_META} of {archive} gives {', '.join(table.locations)} no id, "
                f"by which photographs would be joined to their occurrences"
            )
    return tables


def _table(element: ElementTree.Element, id_name: str) -> _Table:
    locations = tuple(
        _inside((found.text or "").strip()) for found in element.iterfind(f"{_NAMESPACE}files/{_NAMESPACE}location")
    )
    if not locations:
        raise SourceError(f"{_META} says of a table of {element.get('rowType')!r} not in which file it lies")
    delimiter = _sign(element, "fieldsTerminatedBy", ",")
    quote = _sign(element, "fieldsEnclosedBy", "")
    line_end = element.get("linesTerminatedBy", "\n")
    if delimiter in {"", quote, "\n", "\r"}:
        raise SourceError(f"{_META} says that {delimiter!r} parts the fields of {locations[0]}, which it cannot")
    if _ESCAPES.get(line_end, line_end).strip(" ") not in {*_LINE_ENDS, ""}:  # XML makes a space of a written line end
        raise SourceError(
            f"{_META} says that {line_end!r} ends the lines of {locations[0]}; understood are \\n, \\r\\n, \\r"
        )
    encoding = element.get("encoding", "").strip() or "UTF-8"
    try:
        codecs.lookup(encoding)
    except LookupError as error:
        raise SourceError(f"{_META} says that {locations[0]} is written in {encoding!r}, which is unknown") from error
    ids = element.find(f"{_NAMESPACE}{id_name}")
    fields = []
    names = {"id"}  # the column of the id, where no term says what it is
    for found in element.iterfind(f"{_NAMESPACE}field"):
        term = found.get("term", "").strip()
        name = _local(term) if _local(term) not in names else term  # dc:type and dcterms:type are two columns
        if not name or name in names:
            raise SourceError(f"{_META} gives {locations[0]} the term {term!r} twice, or none")
        names.add(name)
        index = _count(found, "index") if "index" in found.attrib else None
        fields.append(_Field(name, index, found.get("default", "")))
    return _Table(
        row_type=element.get("rowType", ""),
        locations=locations,
        delimiter=delimiter,
        quote=quote or None,
        encoding=encoding,
        header_lines=_count(element, "ignoreHeaderLines") if "ignoreHeaderLines" in element.attrib else 0,
        id_index=None if ids is None else _count(ids, "index"),
        fields=tuple(fields),
    )


def _inside(location: str) -> str:
    """Return the path of a file inside the archive.

    Raises:
        SourceError: If it leads out of it.
    """
    if not location or re.match(r"[/\\]|[A-Za-z][A-Za-z0-9+.-]*:", location) or ".." in re.split(r"[/\\]", location):
        raise SourceError(
            f"{_META} names {location!r} for a file, which does not lie inside the archive; it is not read"
        )
    return location.removeprefix("./")


def _sign(element: ElementTree.Element, attribute: str, default: str) -> str:
    """Return one sign, or none."""
    written = element.get(attribute, default)
    sign = _ESCAPES.get(written, written)
    if len(sign) > 1:
        raise SourceError(f"{_META} gives {written!r} for {attribute}; it must be a single sign, or \\t")
    return sign


def _count(element: ElementTree.Element, attribute: str) -> int:
    written = element.get(attribute, "").strip()
    if not re.fullmatch(r"[0-9]{1,9}", written) or int(written) >= _MOST_COLUMNS:
        raise SourceError(
            f"{_META} gives {written!r} for {attribute}; it must be a number from 0 to {_MOST_COLUMNS - 1}"
        )
    return int(written)


def _local(term: str) -> str:
    """Return the last part of a term's address, by which it is known among people."""
    return re.split(r"[/#]", term.strip())[-1]
