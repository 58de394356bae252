"""All neurons of a catalogue as one file: JSON, CSV or Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from advgen.neurons.catalogue import Catalogue
from advgen.neurons.describe import NeuronFacts

FORMATS = ("json", "csv", "parquet")
DIGITS = 6
"""Decimals kept: more would differ between machines."""

_WORDS = pa.list_(pa.struct([("word", pa.string()), ("coefficient", pa.float64())]))
SCHEMA = pa.schema(
    [
        ("layer", pa.int64()),
        ("index", pa.int64()),
        ("explained_variance", pa.float64()),
        ("norm_threshold", pa.float64()),
        ("norm_quantile", pa.float64()),
        ("largest_norm", pa.float64()),
        ("concepts", pa.float64()),
        ("words", _WORDS),
    ]
)


def provenance(catalogue: Catalogue, *, solver: str) -> dict[str, Any]:
    """What the numbers and words of a catalogue depend on, as plain values."""
    config = catalogue.config
    return {
        "model": catalogue.clip.name,
        "weights_sha256": catalogue.clip.weights_sha256,
        "images": catalogue.images.name,
        "images_fingerprint": catalogue.images.fingerprint,
        "treatment": config.lens.treatment,
        "top_images": min(config.lens.top_images, len(catalogue.images)),
        "pool": config.text.pool,
        "atoms": config.text.atoms,
        "nonzeros": config.text.nonzeros,
        "solver": solver,
    }


def neuron_row(facts: NeuronFacts) -> dict[str, Any]:
    """One neuron as plain values, numbers rounded to `DIGITS` decimals."""
    return {
        "layer": facts.neuron.layer,
        "index": facts.neuron.index,
        "explained_variance": round(facts.explained_variance, DIGITS),
        "norm_threshold": round(facts.norm_threshold, DIGITS),
        "norm_quantile": round(facts.norm_quantile, DIGITS),
        "largest_norm": round(facts.largest_norm, DIGITS),
        "concepts": round(facts.concepts, DIGITS),
        "words": [
            {"word": entry.word, "coefficient": round(entry.coefficient, DIGITS)}
            for entry in facts.words
        ],
    }


def encode_neurons(facts: Sequence[NeuronFacts], form: str, source: Mapping[str, Any]) -> bytes:
    """The content of a file with one row per neuron.

    Args:
        facts: The neurons, in the order wanted.
        form: `json` (an object with `source` and `neurons`), `csv` (`words` holds JSON; no source)
            or `parquet` (`source` in the schema's metadata, key `advgen`).
        source: What the rows depend on, see `provenance`.

    Raises:
        ValueError: If `form` is none of these.
    """
    rows = [neuron_row(entry) for entry in facts]
    if form == "json":
        document = {"source": dict(source), "neurons": rows}
        return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode()
    if form == "csv":
        return _csv(rows)
    if form == "parquet":
        schema = SCHEMA.with_metadata({"advgen": json.dumps(dict(source))})
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), buffer, compression="zstd")
        return buffer.getvalue()
    raise ValueError(f"expected one of {', '.join(FORMATS)}; got {form!r}")


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, SCHEMA.names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        words = [[entry["word"], entry["coefficient"]] for entry in row["words"]]
        writer.writerow({**row, "words": json.dumps(words, ensure_ascii=False)})
    return buffer.getvalue().encode()
