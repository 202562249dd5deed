import re
from pathlib import Path

import duckdb
import pytest

from lake.query import CHECKS, SQL
from lake.schemas import TABLES

QUESTIONS = sorted([*SQL.rglob("*.sql"), *CHECKS.rglob("*.sql")])
# Results of other questions, and what Python hands in, under these names.
FRAMES = {
    *("source_rows", "source_species", "source_files", "matched_rows", "files_to_read", "outcomes"),
    *("current_changes", "current_labels", "current_species", "accepted_species"),
    *("groups", "hash_clusters", "image_clusters", "near_hashes", "waiting"),
    *("answers", "scope", "tags", "truth"),
    *("train_observations", "asked_observations", "most_frequent_species", "train_counts"),
    *("scores", "scores_before", "scores_after", "train_places", "observation_places", "known_species"),
    *("species_f1", "observation_f1", "facts"),
    *("submission_rows", "submission_answers", "expected_observations", "current_scores", "score_pairs"),
    *("first_answers", "second_answers", "observation_changes"),
    *("parts", "base_quadrats", "venomous_species", "costs", "members"),
    *("observation_numbers", "species_numbers", "part_scores", "part_tiles", "chosen_parts"),
    *("known_taxa", "weights"),
    *("learnt", "offered"),
    *("corrections", "queue", "reasons", "probabilities", "scheme_answers", "model_answers"),
    *("rivals", "reviewed_observations"),
}

each_question = pytest.mark.parametrize("file", QUESTIONS, ids=lambda file: file.stem)


@pytest.fixture(scope="module")
def engine():
    with duckdb.connect() as connection:
        yield connection


def header(file: Path) -> list[str]:
    return file.read_text().splitlines()[:4]


def body(file: Path) -> str:
    return "\n".join(file.read_text().splitlines()[4:])


def listed(line: str, title: str) -> set[str]:
    names = line.removeprefix(f"-- {title}: ")
    return set() if names == "none" else set(names.split(", "))


def without_params(text: str) -> str:
    return re.sub(r"\$\w+", "null", text)


def without_comments(text: str) -> str:
    return re.sub(r"--.*", "", text)


def test_there_are_questions():
    assert len(QUESTIONS) > 20


@each_question
def test_a_question_begins_with_four_lines(file):
    question, grain, tables, params = header(file)
    assert re.fullmatch(r"-- [A-Z].+\.", question)
    assert re.fullmatch(r"-- grain: one row( per .+)?", grain)
    assert re.fullmatch(r"-- tables: \w+(, \w+)*", tables)
    assert re.fullmatch(r"-- params: (none|\$\w+(, \$\w+)*)", params)
    assert not body(file).startswith("--")


@each_question
def test_the_tables_it_names_are_those_it_reads(engine, file):
    read = engine.get_table_names(without_params(body(file)))
    assert listed(header(file)[2], "tables") == read
    assert read <= TABLES.keys() | FRAMES


@each_question
def test_the_params_it_names_are_those_it_takes(file):
    assert listed(header(file)[3], "params") == set(re.findall(r"\$\w+", without_comments(body(file))))


@each_question
def test_its_keywords_are_lower_case(file):
    text = without_params(body(file))
    tokens = duckdb.tokenize(text)
    ends = [start for start, _ in tokens[1:]] + [len(text)]
    words = [text[start:end] for (start, kind), end in zip(tokens, ends, strict=True) if kind.name == "keyword"]
    assert words
    assert [word for word in words if word != word.lower()] == []


@each_question
def test_it_is_one_select_and_ends_with_a_line(engine, file):
    kinds = [statement.type for statement in engine.extract_statements(file.read_text())]
    assert kinds == [duckdb.StatementType.SELECT]
    assert file.read_text().endswith("\n")


@each_question
def test_it_has_a_test_of_its_name(file):
    here = Path(__file__).parent
    folder = here / "checks" if file.parent == CHECKS else here / "sql" / file.relative_to(SQL).parent
    tests = folder / f"test_{file.stem}.py"
    assert tests.is_file()
    assert "def test_" in tests.read_text()
