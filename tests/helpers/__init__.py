"""Functions that several tests share: images, references, compilation counts, a local hub."""
