"""Goes back from a model's input to the photograph: `denormalize` for values, `undo` for boxes,
keypoints, masks and heat maps.
"""

from jaxprep.undoing.geometry import Moved, Undo
from jaxprep.undoing.of_preset import undo
from jaxprep.undoing.values import denormalize

__all__ = ["Moved", "Undo", "denormalize", "undo"]
