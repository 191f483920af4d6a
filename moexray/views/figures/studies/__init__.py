"""Figures of studies other than the analysis: one a file, listed with the others in `moexray.views.figures`."""
