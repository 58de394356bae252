"""What an attack will load, fetch, draw and write, told before anything is done."""

from advgen.plan.contents import Counts, Plan, PlannedImages, PlannedModel, Stage
from advgen.plan.making import attack_plan

__all__ = ["Counts", "Plan", "PlannedImages", "PlannedModel", "Stage", "attack_plan"]
