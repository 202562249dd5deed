import re

import pyarrow as pa
import pytest

from lake.schemas import TABLES, UTC

each_table = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)


@each_table
def test_a_key_is_made_of_columns_that_are_never_null(table):
    assert table.key
    assert not any(table.columns.field(key).nullable for key in table.key)


@each_table
def test_the_grain_says_the_key(table):
    said = re.findall(r"\w+", table.grain)
    assert said == list(table.key) or table.name == "images"


@each_table
def test_times_are_in_utc(table):
    times = [field for field in table.columns if pa.types.is_timestamp(field.type)]
    assert all(field.type == UTC and field.name.endswith("_at") for field in times)


@each_table
def test_every_row_says_which_flow_run_wrote_it_and_when(table):
    names = table.columns.names
    assert "flow_run_id" in names
    # of an answer the row that it belongs to says when: in decisions, and in ablations
    is_part = table.name in {"observation_predictions", "ablation_answers"}
    assert any(name.endswith("_at") for name in names) or is_part


@each_table
def test_no_vector_is_of_fixed_size_or_half_precision(table):
    kinds = [field.type for field in table.columns if pa.types.is_nested(field.type)]
    assert all(kind in (pa.list_(pa.float32()), pa.list_(pa.string())) for kind in kinds)


@each_table
def test_ids_are_text(table):
    assert all(field.type == pa.string() for field in table.columns if field.name.endswith("_id"))


@each_table
def test_a_partition_is_part_of_the_key_and_text(table):
    assert set(table.partition_by) <= set(table.key)
    assert all(table.columns.field(name).type == pa.string() for name in table.partition_by)
