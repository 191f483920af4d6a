"""Similarity over pairs of prompts: sums, means, effect sizes, AUC."""
