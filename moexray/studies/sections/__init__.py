"""Sections of an analysis: each file holds a result and the function that computes it.

`moexray.studies.analysis.Analysis` lists them.
"""
