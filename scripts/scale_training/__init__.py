"""The parts of the scale model's training: text, architecture, optimiser and the final examination."""
