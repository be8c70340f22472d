"""What applies tap tables to an image: one engine per platform, all equal in every bit.

`plain.py` is the definition, and what GPUs run; `cpu.py` and `tpu.py` compute the same in the order
of memory and with the instructions that are fast there. An engine has two methods: `run_segment`
takes one image, its `Passes` and an `Epilogue`, and `map_images` runs a function on each image of a
batch. `jaxprep/pipeline/program.py` chooses one for a program, with `lax.platform_dependent`: no
code for one platform stands in another's program.
"""
