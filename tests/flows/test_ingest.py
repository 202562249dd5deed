"""Every format through its flow and its command: real tables with drawn photographs, a server on the loopback."""

import csv
import http.server
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from io import BytesIO
from pathlib import Path

import pytest
from homes import content, versions
from PIL import Image

from flows import ingest, intake
from flows.ingest import ingest_folder, ingest_inaturalist, ingest_plantclef, ingest_snakeclef, ingest_table
from lake import labels, query, tables
from lake.errors import LakeError, LossError
from lake.files import folder
from lake.tables import Lake


def photograph(number: int) -> bytes:
    """Return a small JPEG; another number is another one, which the same picture is shown by."""
    file = BytesIO()
    Image.new("RGB", (16, 12), (10, 160, 60)).save(file, "JPEG")
    said = f"{number:08}".encode()
    return file.getvalue()[:2] + b"\xff\xfe" + (len(said) + 2).to_bytes(2, "big") + said + file.getvalue()[2:]


def lay(folder: Path, names) -> Path:
    """Draw a photograph under each name."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photograph(number))
    return folder


def ask(home, text):
    return query.ask(Lake(str(home / "lake")), text).to_pylist()


def column(path, name):
    with path.open(encoding="utf-8", newline="") as file:
        return [row[name] for row in csv.DictReader(file)]


@pytest.fixture
def server(tmp_path):
    """A server on the loopback that shows a folder; it answers 503 while there is a file ``busy`` in it."""
    shown = tmp_path / "shown"
    shown.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(shown))

        def do_GET(self):
            if (shown / "busy").exists():
                self.send_error(503)
            else:
                super().do_GET()

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield shown, f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("table", "photographs", "observations", "species"),
    [("TrainMetadata-HM.csv", 13_843, 9_745, 889), ("ValMetadata.csv", 14_117, 7_816, 1_599)],
)
def test_snakeclefs_real_tables_come_in_whole(shared, home, tmp_path, table, photographs, observations, species):
    metadata = shared / "snakeclef-metadata"
    names = column(metadata / table, "image_path")
    root = lay(tmp_path / "root", names)
    report = ingest_snakeclef.fn(
        metadata / table, "snakes", root, metadata / "venomous_status_list.csv", max_loss=0.0, home=home
    )
    assert (report.found, report.kept, report.set_aside) == (photographs, photographs, 0)
    (counts,) = ask(
        home,
        "select count(*) as photographs, count(distinct observation_id) as observations, "
        "(select count(distinct species_id) from labels) as species, "
        "(select count(*) from species where is_venomous) as venomous from image_records",
    )
    assert list(counts.values()) == [photographs, observations, species, 285]
    kept = ask(
        home,
        r"select regexp_extract(image_name, '\.(\w+)$', 1) as form, count(*) as n from image_records group by form",
    )
    assert {row["form"]: row["n"] for row in kept} == Counter(name.rpartition(".")[2] for name in names)
    codes = Counter(row["country_code"] for row in ask(home, "select country_code from image_records"))
    assert codes == Counter(column(metadata / table, "code"))
    assert None not in codes


def test_half_of_the_photographs_in_another_spelling_stop_the_intake(shared, home, tmp_path):
    metadata = shared / "snakeclef-metadata"
    names = column(metadata / "ValMetadata.csv", "image_path")
    root = lay(tmp_path / "root", [name for name in names if name.endswith(".jpg")])
    with pytest.raises(LossError) as stopped:
        ingest_snakeclef.fn(metadata / "ValMetadata.csv", "snakes", root, home=home)
    lines = str(stopped.value).splitlines()
    assert lines[0].startswith("7,806 of 14,117 new rows and files")
    assert re.match(r" +row_without_file +jpeg +7,537 +1,\d+  ", lines[2])
    assert versions(home)["image_records"] == versions(home)["images"] == 0


SPLITS = ("train", "val", "test")
PLANTCLEF = (
    "image_name;organ;species_id;obs_id;license;partner;author;altitude;latitude;longitude;gbif_species_id;species;genus;"
    "family;dataset;publisher;references;url;learn_tag;image_backup_url"
)


def test_plantclefs_table_comes_in_with_all_its_columns(home, tmp_path):
    rows = [
        f"{number:040x}.jpg;leaf;{1355868 + number % 3};{number // 2};cc-by-sa;tela;Ann;12;43.5;3.5;{number};"
        f"Poa annua L.;Poa;Poaceae;plantnet;plantnet;;http://example.org/{number};{SPLITS[number % 3]};"
        for number in range(12)
    ]
    (tmp_path / "table.csv").write_text("\n".join([PLANTCLEF, *rows]), encoding="utf-8")
    folders = [f"{SPLITS[number % 3]}/{1355868 + number % 3}/{number:040x}.jpg" for number in range(12)]
    archive = shutil.make_archive(str(tmp_path / "photographs"), "tar", lay(tmp_path / "root", folders))
    report = ingest_plantclef.fn(tmp_path / "table.csv", "plants", Path(archive), max_loss=0.0, home=home)
    assert (report.found, report.kept) == (12, 12)
    record = content(home, "image_records")[0]
    assert (record["organ"], record["observation_id"], record["split_tag"], record["latitude"]) == (
        "leaf",
        "0",
        "train",
        43.5,
    )
    placed = {"image_name", "organ", "species_id", "obs_id", "license", "author", "latitude", "longitude"}
    placed |= {"gbif_species_id", "species", "genus", "family", "learn_tag"}
    # every column is somewhere; these are empty in the table: references, image_backup_url
    assert set(json.loads(record["extra"])) == set(PLANTCLEF.split(";")) - placed - {"references", "image_backup_url"}
    assert {row["family"] for row in content(home, "species")} == {"Poaceae"}


def test_an_export_of_inaturalist_comes_in_from_the_web(shared, home, tmp_path, server, monkeypatch):
    shown, address = server
    export, host = tmp_path / "observations.csv", "https://inaturalist-open-data.s3.amazonaws.com"
    with (shared / "snake-observations-europe/observations.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["image_url"].startswith(host)][:40]
    for row in rows:
        row["image_url"] = row["image_url"].replace(host, address)
    with export.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    names = [row["image_url"].removeprefix(f"{address}/") for row in rows]
    lay(shown, names[1:])
    with pytest.raises(LossError, match=r"address_refused"):
        ingest_inaturalist.fn(export, "snakes", home=home)
    monkeypatch.setenv("TAXALAKE_ALLOW_PRIVATE_ADDRESSES", "true")
    first = ingest_inaturalist.fn(export, "snakes", home=home)
    assert (first.found, first.kept, first.set_aside_by_kind) == (40, 39, {"not_found": 1})
    lay(shown, names[:1])
    again = ingest_inaturalist.fn(export, "snakes", home=home)
    assert (again.files_read, again.committed) == (0, False)
    retried = ingest.ingest_retry.fn("snakes", ["not_found"], home=home)
    assert [(report.files_read, report.kept) for report in retried.sources] == [(1, 1)]
    assert ingest.ingest_retry.fn("snakes", home=home).sources == []


def test_what_the_web_did_not_give_is_asked_for_again_each_time(home, tmp_path, server, monkeypatch):
    shown, address = server
    lay(shown, ["a.jpg"])
    (shown / "busy").touch()
    (tmp_path / "t.csv").write_text(f"url,species\n{address}/a.jpg,s1\n")
    monkeypatch.setenv("TAXALAKE_ALLOW_PRIVATE_ADDRESSES", "true")
    monkeypatch.setattr(intake, "Web", lambda *given: _Hasty(*given))
    words = {"url_column": "url", "species_column": "species", "home": home}
    assert ingest_table.fn(tmp_path / "t.csv", "web", **words).set_aside_by_kind == {"not_reachable": 1}
    (shown / "busy").unlink()
    assert ingest_table.fn(tmp_path / "t.csv", "web", **words).kept == 1


class _Hasty(intake.Web):
    def __init__(self, *given):
        super().__init__(*given, attempts=2, back_off_s=0.01)


def test_an_intake_leaves_pictures_of_what_came_in_and_of_what_did_not(home, tmp_path):
    root = lay(tmp_path / "root", [f"s{number % 3}/{number}.jpg" for number in range(9)])
    (root / "s1/cut.jpg").write_bytes(photograph(77)[:200])
    report = ingest_folder.fn(root, "grasses", home=home)
    assert [Path(picture).name for picture in report.figures] == ["grasses-intake.png", "grasses-set-aside.png"]
    for picture in report.figures:
        with Image.open(picture) as image:
            image.load()
            assert min(image.size) > 200
    assert ingest_folder.fn(root, "grasses", home=home).figures == []


def test_a_source_is_remembered_once_with_how_it_was_read(home, tmp_path):
    root = lay(tmp_path / "root", ["s1/a.jpg"])
    for _ in range(2):
        ingest_folder.fn(root, "d", "train", home=home)
    ingest_folder.fn(root, "d", "val", home=home)
    remembered = content(home, "ingest_sources")
    assert sorted(json.loads(row["options"])["split_tag"] for row in remembered) == ["train", "val"]
    assert {row["format"] for row in remembered} == {"folder"}


def test_what_was_corrected_since_is_not_brought_back_by_a_retry(home, tmp_path):
    root = lay(tmp_path / "root", ["a.jpg"])
    (root / "t.csv").write_text("image,right,wrong\na.jpg,r,w\nlost.jpg,r,w\n")
    for column in ("right", "wrong", "right"):
        ingest_table.fn(root / "t.csv", "d", "image", column, home=home)
    retried = ingest.ingest_retry.fn("d", home=home)
    assert [report.committed for report in retried.sources] == [False]
    assert [row["species_id"] for row in labels.current(Lake(str(home / "lake")), "d").to_pylist()] == ["r"]


def test_a_source_that_is_gone_does_not_keep_the_others_waiting(home, tmp_path):
    root = lay(tmp_path / "root", ["a.jpg"])
    for name in ("1.csv", "2.csv"):
        (root / name).write_text("image,species\na.jpg,s\nlost.jpg,s\n")
        ingest_table.fn(root / name, "d", "image", "species", home=home)
    (root / "1.csv").unlink()
    (root / "lost.jpg").write_bytes(photograph(5))
    with pytest.raises(LakeError, match=r"there is no table .*1\.csv\n.*2\.csv\n.*kept 1"):
        ingest.ingest_retry.fn("d", home=home)
    assert len(content(home, "image_records")) == 2


@pytest.mark.parametrize("place", ["/etc/passwd", "secret.jpg"])
def test_a_path_in_a_column_of_addresses_is_never_opened_not_even_to_be_shown(home, tmp_path, monkeypatch, place):
    root = lay(tmp_path / "root", ["a.jpg"])
    lay(tmp_path, ["secret.jpg"])
    path = str(tmp_path / place)
    (root / "t.csv").write_text(f"image,url,species\na.jpg,,s\n,{path},s\nb.jpg,{path},s\nd.jpg,http://xn--a/a.png,s\n")
    opened, open_it = [], folder._open

    def open_and_note(path, flags):
        opened.append(path)
        return open_it(path, flags)

    monkeypatch.setattr(folder, "_open", open_and_note)
    report = ingest_table.fn(root / "t.csv", "d", "image", "species", url_column="url", home=home)
    assert report.set_aside_by_kind == {"row_without_name": 1, "address_refused": 2}
    assert [Path(figure).name for figure in report.figures] == ["d-intake.png", "d-set-aside.png"]
    assert str(root / "a.jpg") in opened
    assert path not in opened
    assert not any("bytes" in row["detail"] for row in content(home, "ingest_issues"))


def test_a_second_intake_of_refused_addresses_is_quiet(home, tmp_path):
    (tmp_path / "t.csv").write_text("url,species\nftp://example.org/a.jpg,s\nhttp://127.0.0.1/a.jpg,s\n")
    words = {"url_column": "url", "species_column": "species", "home": home}
    assert ingest_table.fn(tmp_path / "t.csv", "d", **words).committed
    before = versions(home)
    assert not ingest_table.fn(tmp_path / "t.csv", "d", **words).committed
    assert versions(home) == before


def test_a_compressed_tar_is_told_how_to_become_a_plain_one(taxalake, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "p"), "gztar", lay(tmp_path / "root", ["s1/a.jpg"]))
    assert "gunzip" in taxalake("ingest", "folder", archive, "--dataset", "d").err


def test_signs_that_a_terminal_acts_on_are_shown_and_not_sent(taxalake, home, tmp_path):
    root = lay(tmp_path / "root", [f"s1/{number}\x1b[2J.jpg" for number in range(3)])
    for number in range(25):
        (root / f"s1/x\x1b[2J{number}.tx\x1bt").write_bytes(b"x")
    stopped = taxalake("ingest", "folder", root, "--dataset", "d")
    assert stopped.code == 1
    assert "\x1b" not in stopped.err
    assert taxalake("ingest", "folder", root, "--dataset", "d", "--max-loss", "1").code == 0
    assert "\x1b" not in taxalake("sql", "select image_name from image_records").out


def test_labels_follow_the_taxonomy_of_today(taxalake, home, tmp_path):
    root = lay(tmp_path / "root", ["old/a.jpg", "other/b.jpg", "wide/c.jpg"])
    assert taxalake("ingest", "folder", root, "--dataset", "d").code == 0
    changes = tmp_path / "changes.csv"
    changes.write_text("old_species_id,new_species_id,kind\nold,new,rename\nwide,w1,split\nwide,w2,split\n")
    assert "3 of them new" in taxalake("ingest", "taxon-changes", changes).out
    assert "0 of them new" in taxalake("ingest", "taxon-changes", changes).out
    assert labels.current(Lake(str(home / "lake")), "d").to_pylist() == [
        {"observation_id": "old/a.jpg", "species_id": "new"},
        {"observation_id": "other/b.jpg", "species_id": "other"},
    ]


def test_a_loss_is_one_message_and_the_option_in_it_accepts_it(taxalake, home, tmp_path):
    root = lay(tmp_path / "root", [f"s1/{number}.jpg" for number in range(20)])
    for number in range(30):
        (root / f"s1/broken{number}.jpeg").write_bytes(b"junk")
    words = ("ingest", "folder", root, "--dataset", "d")
    stopped = taxalake(*words)
    assert stopped.code == 1
    assert re.search(r"unreadable +jpeg +30 +1  s1/broken0\.jpeg", stopped.err)
    accepted = re.search(r"accept it with (--max-loss) ([\d.]+)", stopped.err).groups()
    assert taxalake(*words, *accepted).code == 0
    # what was accepted once does not stop the next one
    assert "nothing new" in taxalake(*words).out


def test_every_command_of_the_intake_takes_in_what_it_says(taxalake, home, tmp_path):
    quadrats = lay(tmp_path / "quadrats", ["CBN-PdlC-A1-20130807.jpg", "OPTMix-0598-P4-108-20231207.jpg"])
    assert taxalake("ingest", "plantclef-quadrats", quadrats, "--dataset", "q").code == 0
    kept = ask(home, "select base_quadrat, transect, observed_on from image_records order by image_name")
    assert [tuple(map(str, row.values())) for row in kept] == [
        ("CBN-PdlC-A1", "CBN-PdlC", "2013-08-07"),
        ("OPTMix-0598", "OPTMix", "2023-12-07"),
    ]
    archive = tmp_path / "dwca"
    archive.mkdir()
    (archive / "meta.xml").write_text(
        '<archive xmlns="http://rs.tdwg.org/dwc/text/"><core rowType="http://rs.tdwg.org/dwc/terms/Occurrence" '
        'fieldsTerminatedBy="\\t" ignoreHeaderLines="1"><files><location>o.txt</location></files><id index="0"/>'
        '<field index="1" term="http://rs.tdwg.org/dwc/terms/scientificName"/></core>'
        '<extension rowType="http://rs.gbif.org/terms/1.0/Multimedia" fieldsTerminatedBy="\\t" ignoreHeaderLines="1">'
        '<files><location>m.txt</location></files><coreid index="0"/>'
        '<field index="1" term="http://purl.org/dc/terms/identifier"/></extension></archive>'
    )
    (archive / "o.txt").write_text("id\tname\n1\tPoa annua\n")
    (archive / "m.txt").write_text("id\turl\n1\thttp://example.org/p/a.jpg\n")
    root = lay(tmp_path / "fetched", ["a.jpg"])
    assert "kept 1" in taxalake("ingest", "darwincore", archive, "--dataset", "g", "--root", root).out
    assert "nothing is set aside" in taxalake("ingest", "retry", "--dataset", "g").out
    assert (
        "nothing is set aside as truncated" in taxalake("ingest", "retry", "--dataset", "g", "--kind", "truncated").err
    )


def test_a_root_that_is_an_archive_is_read_where_it_lies(home, tmp_path):
    lay(tmp_path / "root", ["x/a.jpg", "x/b.jpg"])
    archive = Path(shutil.make_archive(str(tmp_path / "photographs"), "zip", tmp_path / "root"))
    shutil.rmtree(tmp_path / "root")
    (tmp_path / "t.csv").write_text("image,species\nx/a.jpg,s1\nx/b.jpg,s1\n")
    report = ingest_table.fn(tmp_path / "t.csv", "d", "image", "species", root=archive, home=home)
    assert report.kept == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "photographs.zip", "t.csv"]


def test_the_tables_of_a_lake_made_by_another_version_are_refused(home, tmp_path, monkeypatch):
    root = lay(tmp_path / "root", ["s1/a.jpg"])
    ingest_folder.fn(root, "d", home=home)
    table = tables.open_table(Lake(str(home / "lake")), "labels")
    from deltalake import Field

    table.alter.add_columns([Field("colour", "string")])
    with pytest.raises(LakeError, match=r"made by another version of taxalake \(it differs in colour\)"):
        ingest_folder.fn(root, "d", home=home)


def test_a_disk_without_room_is_one_message_and_the_same_command_goes_on(command, home, tmp_path):
    root = tmp_path / "root" / "s1"
    root.mkdir(parents=True)
    for number in range(12):
        noise = Image.frombytes("RGB", (120, 100), random.Random(number).randbytes(36_000))
        noise.save(root / f"{number}.png")
    words = [sys.executable, "-m", "flows.cli", "ingest", "folder", str(root.parent), "--dataset", "d"]
    # No file may grow above 200 kB, as if the disk were full there.
    full = subprocess.run(
        ["prlimit", "--fsize=200000", *words],
        env={**os.environ, "TAXALAKE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert full.returncode == 1
    assert "rows cannot be written to 'images'" in full.stderr.splitlines()[-1]
    assert "Traceback" not in full.stderr
    assert "kept 12" in command(*words[3:]).out


def test_a_home_among_the_photographs_is_not_taken_in(tmp_path):
    root = lay(tmp_path / "root", ["s1/a.jpg", "s2/b.jpg"])
    first = ingest_folder.fn(root, "d", home=root / "taxalake-home")
    assert first.kept == 2
    again = ingest_folder.fn(root, "d", home=root / "taxalake-home")
    assert (again.found, again.already_known, again.committed) == (2, 2, False)
