"""Steps of four kinds, and pipelines of them that run as one program."""

from jaxprep.pipeline.pipeline import Pipeline
from jaxprep.pipeline.plan import Plan
from jaxprep.pipeline.ragged import Ragged
from jaxprep.pipeline.step import Geometry, Layout, Opaque, Pointwise, Step

__all__ = ["Geometry", "Layout", "Opaque", "Pipeline", "Plan", "Pointwise", "Ragged", "Step"]
