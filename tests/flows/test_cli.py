import subprocess
import sys

import pytest
from homes import REPOSITORY, plants, quadrats

HEAVY = ("torch", "transformers", "mlflow", "prefect", "duckdb", "deltalake", "polars", "pandas", "matplotlib")


def test_help_imports_no_heavy_library():
    script = (
        "import sys; sys.argv = ['taxalake', '--help']\n"
        "from flows.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "identify" in done.stdout
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["demo", "--help"],
        ["ingest", "folder", "--help"],
        ["ingest", "table", "--help"],
        ["ingest", "boxes", "--help"],
        ["embed", "--help"],
        ["train", "--help"],
        ["ablate", "--help"],
        ["lineage", "--help"],
        ["replay", "--help"],
        ["import-timm", "--help"],
        ["predict", "--help"],
        ["evaluate", "--help"],
        ["retrain", "--help"],
        ["identify", "--help"],
        ["sweep", "--help"],
        ["score", "--help"],
        ["compare", "--help"],
        ["ensemble", "--help"],
        ["prior", "--help"],
        ["submit", "--help"],
        ["submission", "check", "--help"],
        ["submission", "compare", "--help"],
        ["submission", "score", "--help"],
        ["submission", "scores", "--help"],
        ["status", "--help"],
        ["sql", "--help"],
    ],
    ids=" ".join,
)
def test_every_command_explains_itself(words):
    from typer.testing import CliRunner

    from flows.cli import app

    told = CliRunner().invoke(app, words)
    assert told.exit_code == 0
    assert "Usage" in told.output


def test_a_home_without_a_lake_says_what_to_do(command, tmp_path):
    home = tmp_path / "nowhere"
    told = command("status", at=home)
    assert told.code == 1
    assert "no table" in told.err
    assert str(home) in told.err
    assert "taxalake ingest" in told.err
    assert "Traceback" not in told.err
    assert not home.exists(), "a look makes nothing"


def test_json_stands_alone_on_standard_output_wherever_the_option_stands(taxalake, command, flora):
    first = command(*quadrats(flora), "--json")
    assert first.json["found"] == first.json["kept"] == 3
    assert taxalake("--json", *quadrats(flora)).json["already_known"] == 3
    assert taxalake("sql", "select count(*) as n from image_records", "--json").json["rows"] == [{"n": 3}]


def test_an_unknown_column_is_named_with_its_neighbour(taxalake, flora):
    told = taxalake(
        "ingest",
        "table",
        flora.plants_csv,
        "--dataset",
        "p",
        "--image-column",
        "imag",
        "--species-column",
        "species_id",
    )
    assert told.code == 1
    assert "'imag'" in told.err
    assert "'image'" in told.err


def test_an_unknown_data_set_or_model_is_answered_with_those_there_are(taxalake, flora):
    taxalake(*plants(flora))
    assert "data sets: plants" in taxalake("embed", "--dataset", "plant").err
    assert "no model 'flora'" in taxalake("evaluate", "--dataset", "plants", "--model", "flora").err


def test_a_hub_name_that_cannot_be_had_is_a_message(taxalake, flora):
    taxalake(*plants(flora))
    told = taxalake("embed", "--dataset", "plants", "--backbone", "nobody/nothing")
    assert told.code == 1
    assert "nobody/nothing" in told.err
    assert "--backbone" in told.err
    assert "Traceback" not in told.err


def test_sql_cannot_leave_the_tables(taxalake, flora):
    taxalake(*plants(flora))
    assert taxalake("sql", f"select * from read_csv('{REPOSITORY}/pyproject.toml')").code == 1
    assert taxalake("sql", "copy images to 'x.csv'").code == 1


def test_an_answer_keeps_columns_of_one_name_apart_and_shows_cells_as_they_are(taxalake, flora):
    taxalake(*plants(flora))
    told = taxalake("sql", "select 1 as a, 2 as a, '[/x] [bold]' as b, [encode('x')] as c", "--json")
    assert told.json["rows"] == [{"a": 1, "a_2": 2, "b": "[/x] [bold]", "c": ["<1 bytes>"]}]
    assert "[/x] [bold]" in taxalake("sql", "select '[/x] [bold]' as b").out


def test_a_name_that_a_store_would_refuse_is_refused_before_the_work(taxalake, flora):
    words = ["plants (2024)" if word == "plants" else word for word in plants(flora)]
    assert "'plants (2024)' is no name for a data set" in taxalake(*words).err
    taxalake(*plants(flora))
    assert "is no name for a model" in taxalake("train", "--dataset", "plants", "--name", "my/model").err


def test_a_tiling_has_one_name(monkeypatch, tmp_path):
    from flows import settings

    assert settings.load(home=tmp_path, tiling="grid-1x1").tiling == "whole"
    several = settings.load(home=tmp_path, tiling="grid-2x2+grid-1x1+whole")
    assert several.tiling == "grid-2x2+whole"
    assert several.tilings == ["grid-2x2", "whole"]
