"""The figure of a comparison draws the numbers of its layers, and what chance alone makes of one router."""

import numpy as np
from matplotlib.figure import Figure

from moexray.views.figures.studies.comparison import comparison

from . import shapes
from .shapes import along, up


def test_lines_intervals_and_chance_are_those_of_the_result() -> None:
    result = shapes.comparison(6)
    upper, lower = comparison(result)
    similarity, agreement = upper.get_lines()
    assert up(similarity) == [one.similarity for one in result.layers]
    assert up(agreement) == [one.agreement for one in result.layers]
    bands = [np.asarray(band.get_paths()[0].vertices) for band in upper.collections]
    for band, ends in zip(bands, ("similarity_ci", "agreement_ci"), strict=True):
        known = [getattr(one, ends) for one in result.layers]
        assert band[:, 1].min() == min(low for low, _ in known)
        assert band[:, 1].max() == max(high for _, high in known)
    divergence, filled, hollow, chance = [line for line in lower.get_lines() if along(line)]
    assert up(divergence) == [one.jensen_shannon for one in result.layers]
    assert along(filled) == [one.layer for one in result.layers if one.p_value < 0.05]
    assert along(hollow) == [one.layer for one in result.layers if one.p_value >= 0.05]
    assert hollow.get_markerfacecolor() == "white"
    assert up(chance) == [one.jensen_shannon_expected for one in result.layers]


def test_tables_of_counts_have_a_line_for_each_corpus_and_no_chance() -> None:
    result = shapes.comparison(3, corpora=4, agreement=False, tested=False)
    mine = tuple(Figure().subplots(2, 1))
    upper, lower = comparison(result, mine)
    assert (upper, lower) == mine
    assert len(upper.get_lines()) == len(lower.get_lines()) == 4
    assert [line.get_label() for line in lower.get_lines()] == list(shapes.named(4))
    assert not upper.collections


def test_more_corpora_than_there_are_marks_are_grey_lines_without_a_legend() -> None:
    upper, lower = comparison(shapes.comparison(3, corpora=13, agreement=False, tested=False))
    assert lower.get_legend() is None
    assert {line.get_color() for line in (*upper.get_lines(), *lower.get_lines())} == {"0.5"}
    assert "a line for each of 13 corpora" in " ".join(text.get_text() for text in upper.texts)
