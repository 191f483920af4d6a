"""The figure of caches draws the hit rates of the result."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import moexray as mx
from moexray.studies.cache_report import CacheReport
from moexray.studies.caching import study_caches
from moexray.views.figures.studies.caching import caching
from moexray.views.figures.style import figure_of


@pytest.fixture(scope="module")
def result() -> CacheReport:
    return study_caches(mx.example().trace, capacities=[8, 32], tokens="generated")


def test_every_line_is_the_hit_rate_of_its_policy(result: CacheReport) -> None:
    axes = caching(result)
    names = {"Belady": "belady", "warm LRU": "lru_continued", "LFU": "lfu", "LRU": "lru", "static": "static",
             "pinned": "pinned", "chance": "chance"}  # fmt: skip
    drawn = {str(line.get_label()): line for line in axes.get_lines()}
    for label, name in names.items():
        assert np.asarray(drawn[label].get_xdata()).tolist() == [8 / 64, 32 / 64]
        assert np.asarray(drawn[label].get_ydata()).tolist() == list(result.together.hit_rate[name])
    assert "generated tokens" in figure_of(axes).get_suptitle()


def test_it_can_be_drawn_into_somebodys_axes(result: CacheReport) -> None:
    mine = Figure().subplots()
    assert caching(result, mine) is mine
