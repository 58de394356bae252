import csv
import io
import json

import pyarrow.parquet as pq
import pytest

from advgen.neurons import (
    FORMATS,
    NeuronFacts,
    SignedWord,
    encode_neurons,
    neuron_row,
    provenance,
)
from advgen.records import Neuron

AWKWARD = 'say "hi", naïve; [x]'
FACTS = [
    NeuronFacts(
        Neuron(4, 10),
        0.123456789,
        1.5,
        1.75,
        2.0,
        (SignedWord(AWKWARD, 0.5000000001), SignedWord("dog", -0.25)),
        1.8,
    ),
    NeuronFacts(Neuron(3, 0), 0.5, 0.0, 0.0, 0.0, (), 0.0),
]
SOURCE = {"model": "naïve", "top_images": 6}


def read_csv(data: bytes) -> list[dict]:
    rows = []
    for row in csv.DictReader(io.StringIO(data.decode())):
        words = [{"word": word, "coefficient": value} for word, value in json.loads(row["words"])]
        numbers = {name: float(value) for name, value in row.items() if name != "words"}
        rows.append({**numbers, "words": words})
    return rows


READERS = {
    "json": lambda data: json.loads(data)["neurons"],
    "csv": read_csv,
    "parquet": lambda data: pq.read_table(io.BytesIO(data)).to_pylist(),
}


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_reads_back_to_the_same_rows(form: str) -> None:
    data = encode_neurons(FACTS, form, SOURCE)
    rows = READERS[form](data)
    assert rows == [neuron_row(entry) for entry in FACTS]
    assert rows[0]["explained_variance"] == 0.123457
    assert rows[0]["words"][0] == {"word": AWKWARD, "coefficient": 0.5}
    assert data == encode_neurons(FACTS, form, SOURCE)


def test_json_and_parquet_say_what_they_were_made_from() -> None:
    assert json.loads(encode_neurons(FACTS, "json", SOURCE))["source"] == SOURCE
    table = pq.read_table(io.BytesIO(encode_neurons([], "parquet", SOURCE)))
    assert table.num_rows == 0
    assert json.loads(table.schema.metadata[b"advgen"]) == SOURCE


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="got 'xml'"):
        encode_neurons(FACTS, "xml", SOURCE)


def test_provenance_names_model_images_and_texts(catalogue) -> None:
    source = provenance(catalogue, solver="sklearn")
    assert source["model"] == "sandbox-a"
    assert source["weights_sha256"] == catalogue.clip.weights_sha256
    assert (source["images"], source["top_images"]) == ("pictures", 6)
    assert (source["nonzeros"], source["solver"]) == (5, "sklearn")
    assert json.loads(json.dumps(source)) == source
