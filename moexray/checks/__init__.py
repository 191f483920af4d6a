"""Whether recorded routing is that of the model: arrays in, frozen results out."""
