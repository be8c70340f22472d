"""Work on the host, before anything is traced: finding image files, and decoding them to arrays."""

from jaxprep.host.decode import read_image, to_array
from jaxprep.host.find import find_images

__all__ = ["find_images", "read_image", "to_array"]
