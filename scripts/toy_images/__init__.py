"""The parts of `scripts/train_toy_images.py`, one a module."""
