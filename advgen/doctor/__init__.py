"""Whether this machine can run an attack, and what to do where it cannot."""

from advgen.doctor.check import Check, passed
from advgen.doctor.examination import examine

__all__ = ["Check", "examine", "passed"]
