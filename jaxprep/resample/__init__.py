"""Resampling as tap tables: filters, references, tables, passes.

Everything that a geometric step does along one axis of an image (resize, crop, pad, flip) becomes
one small table, and one pass over the pixels applies it. Read the modules in the order in which a
call meets them:

1. `references.py`: whose arithmetic is reproduced, a row of data each.
2. `filters.py`: the weights of that arithmetic, in float32 or float64.
3. `interpolation.py`: those of the nearest pixels, without a filter that widens.
4. `tables.py`: axis steps, and the tap table that a list of them makes.
5. `sample.py`: tables for positions that are not on a grid.
6. `passes.py`: how a table is applied to an image, in its plain form.
7. `engines/`: the same for CPU, GPU and TPU, each in the form that is fast there.

`jaxprep/pipeline` calls them: it knows steps and batches, which nothing here does.

Words, here and in `jaxprep/pipeline`:

tap
    One source pixel that contributes to an output pixel, with its weight.
tap table (`Taps`)
    For every output row or column: the first tap, and the weights of K taps. Rows outside of the
    image have weight 0 and are filled afterwards (`AxisTable.edge`).
reference
    Whose arithmetic a resize reproduces: Pillow's, torch's, `jax.image`'s, ...
axis step
    What a geometric step does along one axis: `Window`, `Reverse`, `Take`, `Resample`, `Sample`.
segment
    Steps that run as one group: an opaque step, or geometric ones with at most one resize, then
    those whose numbers are drawn, then pointwise steps.
canvas
    The array in whose top-left corner an image of any size lies.
bucket
    One of the few canvas sizes and tap counts that programs are compiled for.
stage
    One segment of a compiled program, with its canvas sizes and tap counts.
program
    What is compiled: the stages, and the layout in which the last of them stores its result.
plan
    The tables of a batch of known sizes, and the program that takes them.
read window (`ReadWindow`)
    The pixels of an image that the first segment with a table reads: no others are copied.
in turn
    Several large images of a call that one program takes, one after the other.
draws
    The numbers that random steps drew for an image.
rows (`Rows`)
    An image as its rows: as it is, or as a matrix `(height, width * channels)`, or by channel.
epilogue (`Epilogue`)
    What is computed on the result of the last pass before it is stored.
"""
