"""Calls of image processors of Hugging Face, ours and the originals, on the cases of the goldens.

One module per family of inputs; the tests in `tests/huggingface` and the script
`tests/goldens/conformance.py` compare what the calls return.
"""
