"""The paper's neuron experiments: every table and figure of Sections 3 and 4 on any CLIP."""

from advgen.experiments.settings import ExperimentConfig, experiment_preset
from advgen.experiments.subject import Subject, open_subject

__all__ = ["ExperimentConfig", "Subject", "experiment_preset", "open_subject"]
