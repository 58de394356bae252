"""Zero-shot segmentation (Sec. 5.3, Table 4): heat maps of a class, scored as masks."""

from advgen.evaluate.segmentation.protocol import Segmenter, SegmenterInputs, open_segmenter

__all__ = ["Segmenter", "SegmenterInputs", "open_segmenter"]
