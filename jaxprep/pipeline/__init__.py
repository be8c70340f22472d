"""Steps of four kinds, and pipelines of them that run as one program.

Read the modules in the order in which a call meets them; their words are explained in
`jaxprep/resample/__init__.py`:

1. `step.py`: what a step says about itself.
2. `pipeline.py`: the checks of a call, and which of the ways below it takes. (`pre(image)` of the
   facade calls `eager.run_image` itself.)
3. `lower.py`, `segment.py`: from steps to segments, and the tables of one for a size.
4. `plan.py`: the tables of many sizes, in shapes that programs share.
5. `eager.py` (images on the host, one program for each canvas) and `traced.py` (inside a program).
   `eager.run_image` prepares an image and its tables, `eager.run_images` many; they call `run_one`,
   `run_batch` and `run_in_turn` of:
6. `program.py`: all stages of an image, by an engine of `jaxprep/resample/engines`.

Beside them: `cores.py` (threads), `placement.py` (on which device a result belongs), `draws.py`
(random numbers of steps), `ragged.py` (results of many sizes), `warm.py` (programs compiled ahead).
"""

from jaxprep.pipeline.pipeline import Pipeline
from jaxprep.pipeline.plan import Plan
from jaxprep.pipeline.ragged import Ragged
from jaxprep.pipeline.step import Geometry, Layout, Opaque, Pointwise, Step

__all__ = ["Geometry", "Layout", "Opaque", "Pipeline", "Plan", "Pointwise", "Ragged", "Step"]
