"""What applies tap tables to an image: one engine per platform, all equal in every bit."""
