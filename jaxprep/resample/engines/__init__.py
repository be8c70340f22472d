"""What applies tap tables to an image: one engine per platform.

`plain.py` is the definition, and what GPUs run; `cpu.py` and `tpu.py` compute the same in the order
of memory and with the instructions that are fast there, equal in every bit (on TPU, sums of floats
within their rounding). An engine has three methods: `run_segment` takes one image, its `Passes` and
an `Epilogue`; `pixels` is the image as an array, where the engine was given a view of one; and
`map_images` runs a function on each image of a batch (`CpuEngine.map_in_turn`: on one after the
other). `shapes.py` is no platform's: its engine computes shapes alone.

`jaxprep/pipeline/program.py` chooses one for a program: a jitted call for the platform that it is
compiled for, by `lax.platform_dependent`, an eager call for the device that it runs on. All three
are traced for a jitted call; what XLA compiles for a platform has no code of another's.
"""
