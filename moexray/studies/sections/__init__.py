"""The sections of an analysis: each file holds a result and the function that computes it."""
