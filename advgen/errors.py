"""The errors that a user can act on.

Every class here names a *state* that the user can change: a missing file, an unknown model name,
a package that is not installed. The message says what to do next. A wrong argument in a call is a
``ValueError`` (what was expected, what came), never one of these.
"""


class AdvgenError(Exception):
    """Base of all user-fixable faults; the command line prints its message without a traceback."""


class ConfigError(AdvgenError):
    """A setting, preset or name cannot be used as given, or an optional package is missing."""


class ModelError(AdvgenError):
    """A model cannot be found, read, or is of a kind that the requested step does not support."""


class DataError(AdvgenError):
    """Images, word pools or a dataset folder are missing, empty or malformed."""


class StoreError(AdvgenError):
    """The artifact store cannot be read or written where it was asked to be."""


class RunError(AdvgenError):
    """A resumable run cannot start or continue from what is on disk."""


class GenerationError(AdvgenError):
    """A describer, synthesizer or judge gave nothing that can be used."""


class SandboxError(AdvgenError):
    """The embedded sandbox world, its sprites or its weights are incomplete."""
