"""Shows what presets do: `show` draws what a model sees of a photograph, `compare` says what two
presets do differently.
"""

from jaxprep.looking.compare import Comparison, Difference, compare
from jaxprep.looking.show import show

__all__ = ["Comparison", "Difference", "compare", "show"]
