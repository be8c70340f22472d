"""Shows what a preset does: `show` draws what a model sees of a photograph."""

from jaxprep.looking.show import show

__all__ = ["show"]
