"""Similarity of pairs of prompts: sums without forming pairs, summaries, AUC, permutation tests."""
