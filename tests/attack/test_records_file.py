import dataclasses
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from advgen.attack.records_file import SCHEMA, read_records, sample_from_json, write_records
from advgen.errors import RunError
from advgen.records import to_json


@pytest.fixture
def samples(make_sample):
    return [
        make_sample(
            id="b", description="a \u201cdog\u201d\nin snow \u2603", words=("snow", "two words")
        ),
        make_sample(id="a", seed=2**63 - 1, fooled=True, margin=sys.float_info.min, undrawn=("x",)),
        make_sample(id="c", cos_true=0.1 + 0.2, margin=-1e-17, truth='{"sandbox_scene": {}}'),
    ]


def test_rows_come_back_exactly_and_in_order(tmp_path: Path, samples) -> None:
    path = tmp_path / "new" / "records.parquet"
    write_records(samples, path)
    assert read_records(path) == samples
    assert [sample_from_json(row) for row in to_json(samples)] == samples


def test_the_schema_is_fixed_even_without_a_row(tmp_path: Path, samples) -> None:
    schemas = []
    for name, rows in (("none", []), ("some", samples)):
        write_records(rows, tmp_path / name)
        assert read_records(tmp_path / name) == rows
        schemas.append(pq.read_schema(tmp_path / name))
    assert schemas[0].equals(schemas[1])
    types = {field.name: field.type for field in schemas[0]}
    assert types["words"] == types["undrawn"] == pa.list_(pa.string())
    assert types["margin"] == pa.float64()
    assert (types["seed"], types["fooled"], types["truth"]) == (pa.int64(), pa.bool_(), pa.string())


def test_columns_that_others_added_are_left_alone(tmp_path: Path, samples) -> None:
    path = tmp_path / "records.parquet"
    write_records(samples, path)
    table = pq.read_table(path).append_column("stars", pa.array([1, 2, 3]))
    pq.write_table(table, path)
    assert read_records(path) == samples


@pytest.mark.parametrize("name", ["margin", "words"])
def test_a_missing_column_is_named(tmp_path: Path, samples, name: str) -> None:
    path = tmp_path / "records.parquet"
    write_records(samples, path)
    pq.write_table(pq.read_table(path).drop_columns([name]), path)
    with pytest.raises(RunError, match=f"lacks the column '{name}'"):
        read_records(path)


@pytest.mark.parametrize("content", [None, b"", b"PAR1 and nothing more"])
def test_a_file_that_is_none_says_how_to_get_one(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "records.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=r"records\.parquet.*finish the run with the same command"):
        read_records(path)


def test_every_field_of_a_sample_is_a_column() -> None:
    from advgen.records import Sample

    assert SCHEMA.names == [field.name for field in dataclasses.fields(Sample)]
