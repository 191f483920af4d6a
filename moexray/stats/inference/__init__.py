"""Tests and intervals for any data: permutation, multiple testing, jackknife, folds, logistic regression."""
