"""Statistics layer by layer: effect, depth, peak, load."""
