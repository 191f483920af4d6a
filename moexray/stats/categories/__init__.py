"""Differences between categories of prompts: nulls, classifiers, controls for words and length, clusters."""
