"""ImageGPT: images as sequences of colours, each the number of its cluster."""

from __future__ import annotations

from jaxprep.errors import ConfigError
from jaxprep.huggingface.call import Call, Family, Results, image_results, read, run_each


def color_clusters(call: Call) -> Results:
    """Return `input_ids`, the cluster of each pixel, row after row: `(b, h * w)`; with
    `do_color_quantize=False` the images themselves.

    Raises:
        ConfigError: there are no `clusters`.

    >>> import numpy as np
    >>> from jaxprep.huggingface import ImageGPTImageProcessor
    >>> clusters = [[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]
    >>> processor = ImageGPTImageProcessor(size={"height": 2, "width": 2}, clusters=clusters)
    >>> processor(np.full((8, 8, 3), 200, np.uint8)).input_ids.tolist()
    [[1, 1, 1, 1]]
    """
    images = read(call)
    settings = call.config.effective
    if not settings.flag("do_color_quantize"):
        return image_results(call, images)
    if settings.get("clusters") is None:
        raise ConfigError(
            "Expected `clusters`, a list of colours (r, g, b) from -1 to 1, got none - at "
            "`$.clusters`. Pass `do_color_quantize=False` for the images themselves."
        )
    results = run_each(call, images)
    if isinstance(results, list):
        ids = [result.reshape(-1) for result in results]
    else:
        ids = results.reshape(results.shape[0], -1)
    return {call.config.result_name: ids}


COLOR_CLUSTERS = Family(color_clusters)
