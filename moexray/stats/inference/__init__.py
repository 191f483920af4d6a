"""Tests and intervals that know nothing of routing: permutation, jackknife, folds, logistic regression."""
