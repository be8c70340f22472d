"""Chains of steps as one program."""

from jaxprep.pipeline.pipeline import Pipeline
from jaxprep.pipeline.plan import Plan

__all__ = ["Pipeline", "Plan"]
