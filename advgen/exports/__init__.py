"""A dataset in the formats that other tools read, and decisions back from them.

`export_dataset` writes one format, `read_import` reads what people decided elsewhere. One file per
format, each behind the `Exporter` protocol; `FORMATS` names them.
"""

from advgen.exports.imports import IMPORT_FORMATS, read_import
from advgen.exports.protocol import Exporter, ExportOptions
from advgen.exports.source import Row, Source, open_source
from advgen.exports.votes import ImportReport, Vote, decide
from advgen.exports.writing import FORMATS, ExportReport, export_dataset, load_exporter

__all__ = [
    "FORMATS",
    "IMPORT_FORMATS",
    "ExportOptions",
    "ExportReport",
    "Exporter",
    "ImportReport",
    "Row",
    "Source",
    "Vote",
    "decide",
    "export_dataset",
    "load_exporter",
    "open_source",
    "read_import",
]
