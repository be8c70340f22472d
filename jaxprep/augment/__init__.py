"""Random steps for training: each draws its numbers for one image, and then does what they say."""
