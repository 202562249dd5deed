import csv
import io
import json
import re
from datetime import date
from xml.sax.saxutils import quoteattr
from zipfile import ZipFile

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_pictures import lay
from source_tables import CELLS, said

from lake.errors import SourceError
from lake.files import LISTING
from lake.files.folder import FolderFiles
from lake.sources import ROWS, SPECIES
from lake.sources.darwincore import DarwinCoreSource

DWC = "http://rs.tdwg.org/dwc/terms/"
GBIF_MULTIMEDIA = "http://rs.gbif.org/terms/1.0/Multimedia"
AUDUBON = "http://rs.tdwg.org/ac/terms/Multimedia"
OPEN, CLOSE = '<archive xmlns="http://rs.tdwg.org/dwc/text/">', "</archive>"


def written(rows, delimiter):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue()


def table(tag, location, terms, row_type, delimiter=",", header_lines=1, encoding="UTF-8", quote='"', more=""):
    """Describe a table whose first column is the id of the occurrence."""
    attributes = {
        "rowType": row_type,
        "fieldsTerminatedBy": {"\t": "\\t"}.get(delimiter, delimiter),
        "linesTerminatedBy": "\\n",
        "fieldsEnclosedBy": quote,
        "ignoreHeaderLines": str(header_lines),
        "encoding": encoding,
    }
    fields = "".join(f'<field index="{place}" term="{DWC}{term}"/>' for place, term in enumerate(terms, start=1))
    id_name = "id" if tag == "core" else "coreid"
    return (
        f"<{tag} {' '.join(f'{name}={quoteattr(value)}' for name, value in attributes.items())}>"
        f'<files><location>{location}</location></files><{id_name} index="0"/>{fields}{more}</{tag}>'
    )


def lay_archive(folder, occurrences, photographs=None, row_type=GBIF_MULTIMEDIA, **described):
    """Lay out an archive. The first row of each table are its terms, after the id."""
    delimiter, header_lines = described.get("delimiter", ","), described.get("header_lines", 1)
    encoding = described.get("encoding", "UTF-8")
    meta, files = OPEN, {}
    for tag, location, rows, kind in (
        ("core", "occurrence.txt", occurrences, f"{DWC}Occurrence"),
        ("extension", "multimedia.txt", photographs, row_type),
    ):
        if rows is not None:
            meta += table(tag, location, rows[0], kind, **described)
            header = [["id", *rows[0]]] * header_lines
            files[location] = written([*header, *rows[1:]], delimiter).encode(encoding)
    return lay(folder / "archive", {"meta.xml": (meta + CLOSE).encode(), **files})


def read(*arguments, **described):
    return said(DarwinCoreSource(lay_archive(*arguments, **described), None))


def one(folder, occurrence, photograph=None):
    """Return the row and the species of one occurrence with one photograph."""
    photograph = {"identifier": "https://h/1.jpg"} | (photograph or {})
    rows, species = read(
        folder,
        [list(occurrence), ["o1", *occurrence.values()]],
        [list(photograph), ["o1", *photograph.values()]],
    )
    return rows.row(0, named=True), species.row(0, named=True) if species.height else None


def test_a_term_goes_to_its_place_and_the_rest_to_extra(tmp_path):
    occurrence = {
        "occurrenceID": "urn:1",
        "scientificName": "Vipera berus (Linnaeus, 1758)",
        "speciesKey": "0042",
        "genus": "Vipera",
        "family": "Viperidae",
        "decimalLatitude": "50.5",
        "decimalLongitude": "-2",
        "countryCode": "NA",
        "eventDate": "2020-01-31",
        "license": "CC0",
        "recordedBy": "Ko Gia",
        "sex": "female",
    }
    rows, species = one(tmp_path, occurrence, {"type": "StillImage", "title": "basking"})
    assert json.loads(rows.pop("extra")) == {
        "id": "o1",
        "multimedia.title": "basking",
        "multimedia.type": "StillImage",
        "sex": "female",
        "speciesKey": "0042",
    }
    assert {name: value for name, value in rows.items() if value is not None} == {
        "row_number": 1,
        "image_name": "h/1.jpg",
        "file_name": "1.jpg",
        "url": "https://h/1.jpg",
        "observation_id": "urn:1",
        "latitude": 50.5,
        "longitude": -2.0,
        "country_code": "NA",
        "observed_on": date(2020, 1, 31),
        "license": "CC0",
        "author": "Ko Gia",
    }
    assert species == {
        "row_number": 1,
        "species_id": "0042",
        "scientific_name": "Vipera berus (Linnaeus, 1758)",
        "genus": "Vipera",
        "family": "Viperidae",
        "is_venomous": None,
        "gbif_id": "0042",
    }


def test_an_occurrence_without_an_id_of_its_own_is_known_by_that_of_the_core(tmp_path):
    assert one(tmp_path, {"occurrenceID": ""})[0]["observation_id"] == "o1"


@pytest.mark.parametrize(
    ("keys", "species_id", "gbif_id"),
    [
        ({"speciesKey": "1", "acceptedTaxonKey": "2", "taxonKey": "3", "taxonID": "4"}, "1", "1"),
        ({"speciesKey": "", "acceptedTaxonKey": "2", "taxonKey": "3", "taxonID": "4"}, "2", "3"),
        ({"taxonKey": "3", "taxonID": "4"}, "3", "3"),
        ({"taxonID": "4", "scientificName": "Vipera"}, "4", None),
        ({"scientificName": "Vipera"}, "Vipera", None),
    ],
)
def test_a_species_is_known_by_the_first_key_that_there_is(tmp_path, keys, species_id, gbif_id):
    _, species = one(tmp_path, keys)
    assert (species["species_id"], species["gbif_id"]) == (species_id, gbif_id)


def test_an_occurrence_over_several_days_is_of_the_first(tmp_path):
    rows, _ = one(tmp_path, {"eventDate": "2020-01-01/2020-01-03"})
    assert rows["observed_on"] == date(2020, 1, 1)
    assert json.loads(rows["extra"])["eventDate"] == "2020-01-01/2020-01-03"


def test_what_is_no_day_or_place_is_kept_as_text(tmp_path):
    cells = {"eventDate": "1901", "decimalLatitude": "91", "decimalLongitude": "west"}
    rows, _ = one(tmp_path, cells)
    assert (rows["observed_on"], rows["latitude"], rows["longitude"]) == (None, None, None)
    assert json.loads(rows["extra"]) == cells | {"id": "o1"}


def test_what_is_said_of_the_photograph_holds_over_what_is_said_of_the_occurrence(tmp_path):
    rows, _ = one(tmp_path, {"license": "CC0", "recordedBy": "A"}, {"license": "CC-BY", "creator": "B"})
    assert (rows["license"], rows["author"]) == ("CC-BY", "B")
    assert json.loads(rows["extra"]) == {"id": "o1", "license": "CC0", "recordedBy": "A"}


@pytest.mark.parametrize(
    ("address", "image_name", "file_name"),
    [
        ("https://h/a/b.jpg", "h/a/b.jpg", "b.jpg"),
        ("http://other/a/b.jpg#top", "other/a/b.jpg", "b.jpg"),
        ("https://h/media?id=7", "h/media?id=7", "media"),
        ("https://s3/photos/129275/original.jpeg", "s3/photos/129275/original.jpeg", "129275.jpeg"),
        ("https://h", "h", None),
        (r"2020\b.jpg", "2020/b.jpg", "2020/b.jpg"),
    ],
)
def test_an_address_tells_the_name_and_the_file(tmp_path, address, image_name, file_name):
    rows, _ = one(tmp_path, {"sex": ""}, {"identifier": address})
    assert (rows["image_name"], rows["file_name"]) == (image_name, file_name)
    assert rows["url"] == (address if "://" in address else None)


@pytest.mark.parametrize(
    ("told", "is_image"),
    [
        ({"type": "", "format": ""}, True),
        ({"type": "StillImage"}, True),
        ({"type": "http://purl.org/dc/dcmitype/StillImage"}, True),
        ({"type": "", "format": "image/jpeg"}, True),
        ({"type": "", "format": "JPG"}, True),
        ({"type": "Sound"}, False),
        ({"type": "MovingImage", "format": "video/mp4"}, False),
        ({"type": "", "format": "text/html"}, False),
    ],
)
def test_what_is_no_still_image_is_set_aside(tmp_path, told, is_image):
    rows, species = one(tmp_path, {"taxonID": "1"}, told)
    assert (rows["kind"], species is not None) == (None if is_image else "not_an_image", is_image)
    assert is_image or all(value in rows["detail"] for value in told.values())


def test_rows_come_by_occurrence_and_then_by_photograph(tmp_path):
    occurrences = [["sex"], ["o2", ""], ["o3", ""], ["o1", ""]]
    photographs = [["identifier"], *(["o1", "a"], ["o2", "b"], ["o1", "c"], ["o2", "d"])]
    rows, _ = read(tmp_path, occurrences, photographs)
    assert rows.select("row_number", "observation_id", "image_name", "kind", "detail").rows() == [
        (1, "o2", "b", None, None),
        (2, "o2", "d", None, None),
        (3, "o3", None, "row_without_name", "the occurrence has no photograph"),
        (4, "o1", "a", None, None),
        (5, "o1", "c", None, None),
    ]


def test_reading_twice_gives_the_same(tmp_path):
    occurrences = [["sex"], *([f"o{number}", ""] for number in range(500))]
    photographs = [["identifier"], *([f"o{number * 7 % 500}", f"{number}.jpg"] for number in range(2_000))]
    source = DarwinCoreSource(lay_archive(tmp_path, occurrences, photographs), None)
    first, second = said(source)[0], said(source)[0]
    assert first.equals(second)
    assert first["image_name"].head(5).to_list() == ["0.jpg", "500.jpg", "1000.jpg", "1500.jpg", "143.jpg"]


def test_a_photograph_of_no_occurrence_is_set_aside(tmp_path):
    rows, _ = read(tmp_path, [["sex"], ["o1", ""]], [["identifier"], ["o1", "a"], ["o9", "b"], ["", "c"]])
    assert rows.select("row_number", "image_name", "kind", "detail").rows() == [
        (1, "a", None, None),
        (2, "b", "row_without_observation", "multimedia.txt, line 3: the archive has no occurrence o9"),
        (3, "c", "row_without_observation", "multimedia.txt, line 4: the archive has no occurrence without an id"),
    ]


def test_an_occurrence_without_an_id_has_no_photograph(tmp_path):
    rows, _ = read(tmp_path, [["sex"], ["", ""]], [["identifier"], ["", "a"]])
    assert rows["kind"].to_list() == ["row_without_name", "row_without_observation"]


def test_lines_of_another_width_are_malformed_and_the_others_are_read(tmp_path):
    archive = lay_archive(tmp_path, [["sex"], ["o1", ""]], [["identifier"], ["o1", "a"]])
    for name in ("occurrence.txt", "multimedia.txt"):
        (archive / name).write_text((archive / name).read_text() + "o2\n")
    rows, _ = said(DarwinCoreSource(archive, None))
    assert rows.select("row_number", "image_name", "kind", "detail").rows() == [
        (1, None, "row_malformed", "occurrence.txt: line 3 has 1 fields, the header has 2"),
        (2, None, "row_malformed", "multimedia.txt: line 3 has 1 fields, the header has 2"),
        (3, "a", None, None),
    ]


def test_in_audubon_core_the_address_is_the_access_uri(tmp_path):
    photographs = [["identifier", "accessURI"], ["o1", "urn:7", "https://h/7.jpg"]]
    rows, _ = read(tmp_path, [["sex"], ["o1", ""]], photographs, row_type=AUDUBON)
    assert rows["url"].to_list() == ["https://h/7.jpg"]
    assert json.loads(rows["extra"].item())["multimedia.identifier"] == "urn:7"


def test_without_multimedia_the_occurrences_name_their_photographs(tmp_path):
    occurrences = [["associatedMedia"], ["o1", "https://h/1.jpg | https://h/2.jpg|"], ["o2", " "], ["o3", "3.jpg"]]
    rows, _ = read(tmp_path, occurrences)
    assert rows.select("row_number", "observation_id", "image_name", "kind").rows() == [
        (1, "o1", "h/1.jpg", None),
        (2, "o1", "h/2.jpg", None),
        (3, "o2", None, "row_without_name"),
        (4, "o3", "3.jpg", None),
    ]


def test_without_any_media_every_occurrence_is_set_aside(tmp_path):
    rows, species = read(tmp_path, [["taxonID"], ["o1", "1"]])
    assert (rows["kind"].to_list(), species.height) == (["row_without_name"], 0)


@pytest.mark.parametrize("delimiter", ["\t", ",", ";", "|"])
@pytest.mark.parametrize("header_lines", [0, 1, 2])
def test_a_table_is_read_as_it_is_described(tmp_path, delimiter, header_lines):
    remark = 'on a "heath",\nin May;\tat noon|'
    rows, _ = read(
        tmp_path,
        [["occurrenceRemarks"], ["o1", remark], ["o2", ""]],
        [["identifier"], ["o1", "a.jpg"], ["o2", "b.jpg"]],
        delimiter=delimiter,
        header_lines=header_lines,
    )
    assert rows.select("observation_id", "image_name").rows() == [("o1", "a.jpg"), ("o2", "b.jpg")]
    assert json.loads(rows["extra"][0])["occurrenceRemarks"] == remark


def test_where_no_sign_encloses_a_field_a_quote_is_a_sign_like_any_other(tmp_path):
    archive = lay_archive(tmp_path, [["sex"], ["o1", ""]], [["identifier"], ["o1", "a"]], delimiter="\t", quote="")
    (archive / "occurrence.txt").write_text('id\tsex\no1\t"open\n')
    assert json.loads(said(DarwinCoreSource(archive, None))[0]["extra"].item())["sex"] == '"open'


def test_an_archive_is_read_in_its_encoding(tmp_path):
    rows, _ = read(tmp_path, [["recordedBy"], ["o1", "José"]], [["identifier"], ["o1", "a"]], encoding="ISO-8859-1")
    assert rows["author"].to_list() == ["José"]


def test_a_default_stands_where_nothing_is_said(tmp_path):
    core = table(
        "core",
        "occurrence.txt",
        [],
        f"{DWC}Occurrence",
        more=f'<field index="1" term="{DWC}countryCode" default="AT"/><field default="CC0" term="{DWC}license"/>',
    )
    lay(tmp_path, {"meta.xml": f"{OPEN}{core}{CLOSE}".encode(), "occurrence.txt": b"id,code\no1,\no2,NA\n"})
    rows, _ = said(DarwinCoreSource(tmp_path, None))
    assert rows.select("country_code", "license").rows() == [("AT", "CC0"), ("NA", "CC0")]


def test_columns_without_a_term_and_terms_of_one_name_are_kept(tmp_path):
    more = f'<field index="1" term="http://purl.org/dc/terms/type"/><field index="2" term="{DWC}type"/>'
    core = table("core", "occurrence.txt", [], f"{DWC}Occurrence", more=more)
    lay(tmp_path, {"meta.xml": f"{OPEN}{core}{CLOSE}".encode(), "occurrence.txt": b"id,a,b,c\no1,A,B,C\n"})
    extra = json.loads(said(DarwinCoreSource(tmp_path, None))[0]["extra"].item())
    assert extra == {"id": "o1", "type": "A", f"{DWC}type": "B", "column 4": "C"}


def test_a_table_may_lie_in_several_files(tmp_path):
    archive = lay_archive(tmp_path, [["sex"], ["o1", ""]], [["identifier"], ["o2", "a"], ["o1", "b"]])
    meta = (archive / "meta.xml").read_text()
    (archive / "meta.xml").write_text(meta.replace("occurrence.txt</", "occurrence.txt</location><location>more.txt</"))
    (archive / "more.txt").write_text("id,sex\no2,\n")
    rows, _ = said(DarwinCoreSource(archive, None))
    assert rows.select("observation_id", "image_name").rows() == [("o1", "b"), ("o2", "a")]


def zipped(folder):
    with ZipFile(folder.with_suffix(".zip"), "w") as members:
        for path in sorted(folder.iterdir()):
            members.write(path, path.name)
    return folder.with_suffix(".zip")


def test_a_zip_is_read_like_the_folder(tmp_path):
    folder = lay_archive(tmp_path, [["sex"], ["o1", "female"]], [["identifier"], ["o1", "a"]])
    assert said(DarwinCoreSource(zipped(folder), None))[0].equals(said(DarwinCoreSource(folder, None))[0])


def test_frames_have_the_types_of_their_schemas(tmp_path):
    archive = lay_archive(tmp_path, [["taxonID"], ["o1", "1"]], [["identifier"], ["o1", "https://h/a.jpg"]])
    files = FolderFiles(lay(tmp_path / "photographs", {"2020/a.jpg": b"", "b.jpg": b""}))
    source = DarwinCoreSource(archive, files)
    batches = list(source)
    assert all(batch.rows.schema == ROWS for batch in batches)
    assert all(batch.species.schema == SPECIES for batch in batches)
    assert all(batch.files.schema == LISTING for batch in batches)
    listed = pl.concat([batch.files for batch in batches])["file_name"]
    assert (sorted(listed), source.names_are_unique) == (["2020/a.jpg", "b.jpg"], True)


def refusal(archive):
    with pytest.raises(SourceError) as refused:
        list(DarwinCoreSource(archive, None))
    return str(refused.value)


def test_an_archive_that_is_missing_or_no_zip_is_refused(tmp_path):
    assert "there is no archive" in refusal(tmp_path / "none.zip")
    assert "cannot be read as a zip" in refusal(lay(tmp_path, {"a.zip": b"PK"}) / "a.zip")


def test_an_archive_without_a_description_is_refused(tmp_path):
    archive = lay_archive(tmp_path, [["sex"]])
    (archive / "meta.xml").unlink()
    assert "has no meta.xml; it has occurrence.txt" in refusal(archive)
    assert "has no meta.xml; it has occurrence.txt" in refusal(zipped(archive))


def test_a_broken_zip_is_refused(tmp_path):
    path = zipped(lay_archive(tmp_path, [["sex"], *(["o1", "female"] for _ in range(99))]))
    path.write_bytes(path.read_bytes().replace(b"female", b"FEMALE"))
    assert re.search("occurrence.txt of .* is broken", refusal(path))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_description_with_entities_of_its_own_is_refused(tmp_path, encoding):
    archive = lay_archive(tmp_path, [["sex"]])
    text = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a [<!ENTITY b "c">]>{OPEN}&b;{CLOSE}'
    (archive / "meta.xml").write_bytes(text.encode(encoding))
    assert "DOCTYPE" in refusal(archive)


@pytest.mark.parametrize(
    "location", ["../secret.txt", "a/../../secret.txt", "/etc/passwd", r"..\secret.txt", "C:/x", "https://h/x.txt", ""]
)
def test_a_file_outside_of_the_archive_is_refused(tmp_path, location):
    archive = lay_archive(tmp_path, [["sex"]])
    meta = (archive / "meta.xml").read_text()
    (archive / "meta.xml").write_text(meta.replace("occurrence.txt", location))
    assert "not lie inside the archive" in refusal(archive)


def test_a_link_out_of_the_archive_is_refused(tmp_path):
    archive = lay_archive(tmp_path, [["sex"]])
    (archive / "occurrence.txt").rename(tmp_path / "elsewhere.txt")
    (archive / "occurrence.txt").symlink_to(tmp_path / "elsewhere.txt")
    assert "is a link out of it" in refusal(archive)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("</archive>", "", "is no XML"),
        ("tdwg.org/dwc/text/", "example.org/", "describes no core"),
        (f"{DWC}Occurrence", f"{DWC}Taxon", "only archives of occurrences"),
        ("<location>occurrence.txt</location>", "", "not in which file"),
        ('fieldsTerminatedBy=","', 'fieldsTerminatedBy="::"', "a single sign"),
        ('fieldsTerminatedBy=","', 'fieldsTerminatedBy=""', "parts the fields"),
        (r'linesTerminatedBy="\n"', 'linesTerminatedBy="|"', "ends the lines"),
        ('encoding="UTF-8"', 'encoding="UTF-9"', "UTF-9"),
        ('ignoreHeaderLines="1"', 'ignoreHeaderLines="-1"', "a number from 0"),
        ('<id index="0"/>', '<id index="99999999"/>', "a number from 0"),
        ('<id index="0"/>', '<id index="7"/>', "needs 8 columns of .*, whose header has 2"),
        ('<id index="0"/>', "", "gives occurrence.txt no id"),
        (f'"{DWC}identifier"', f'"{DWC}title"', "no identifier.*it gives title"),
        (f'"{DWC}sex"', '""', "twice, or none"),
    ],
)
def test_a_description_that_cannot_be_followed_is_refused(tmp_path, old, new, reason):
    archive = lay_archive(tmp_path, [["sex"], ["o1", ""]], [["identifier"], ["o1", "a"]])
    meta = (archive / "meta.xml").read_text()
    assert old in meta
    (archive / "meta.xml").write_text(meta.replace(old, new))
    assert re.search(reason, refusal(archive))


@settings(max_examples=50, deadline=None)
@given(
    remarks=st.lists(CELLS, max_size=5),
    titles=st.lists(st.tuples(st.integers(0, 4), CELLS), max_size=5),
    delimiter=st.sampled_from("\t,;"),
)
def test_the_rows_read_are_the_rows_written(tmp_path_factory, remarks, titles, delimiter):
    rows, _ = read(
        tmp_path_factory.mktemp("fuzz"),
        [["occurrenceRemarks"], *([f"o{place}", text] for place, text in enumerate(remarks))],
        [["identifier", "title"], *([f"o{place}", "a.jpg", text] for place, text in titles)],
        delimiter=delimiter,
    )
    whole = rows.filter(pl.col("kind").is_null())["extra"]
    read_back = [
        (extra.get("occurrenceRemarks", ""), extra.get("multimedia.title", "")) for extra in map(json.loads, whole)
    ]
    assert read_back == [(remark, text) for place, remark in enumerate(remarks) for of, text in titles if of == place]
