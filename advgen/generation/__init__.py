"""From words to images: describers, synthesizers, and the run directory."""

from advgen.generation.protocols import Describer, DescribeRequest, Drawn, DrawRequest, Synthesizer

__all__ = ["DescribeRequest", "Describer", "DrawRequest", "Drawn", "Synthesizer"]
