"""Work on the host, before anything is traced: image files to arrays (`decode`)."""

from jaxprep.host.decode import find_images, read_image, to_array

__all__ = ["find_images", "read_image", "to_array"]
