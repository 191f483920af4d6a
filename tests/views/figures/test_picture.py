"""The figure of a picture tints each place of its grid by the expert of its result."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from moexray.studies.pictures import PictureRouting, study_picture
from moexray.views.figures.picture import picture
from moexray.views.figures.style import COLOURS, figure_of

from ...pictured import pictured


def result(folder: Path) -> PictureRouting:
    return study_picture(pictured(folder / "a.trace.parquet"), "p0")


def test_it_draws_the_experts_of_the_result(tmp_path: Path) -> None:
    found = result(tmp_path)
    panels = picture(found)
    assert len(panels) == 3
    for axes, layer in zip(panels, found.layers, strict=True):
        (drawn,) = axes.get_images()
        grid = np.asarray(drawn.get_array())
        for place, expert in np.ndenumerate(layer.strongest):
            rank = layer.leading.index(expert) if expert in layer.leading else None
            colour = "0.6" if rank is None else (*COLOURS[:6], COLOURS[7])[rank]
            assert grid[place].tolist() == list(to_rgb(colour))
        assert [text.get_text() for text in axes.texts] == [str(expert) for expert in layer.strongest.ravel()]
        legend = [text.get_text() for text in axes.get_legend().get_texts()]
        assert legend[0] == f"{layer.leading[0]}: {100 * layer.shares[0]:.1f} %"
        assert len(legend) == len(layer.leading) + (layer.others > 0)
        assert axes.get_title(loc="left").startswith(f"layer {layer.layer}\n")
    title = figure_of(panels[0]).get_suptitle()
    assert title.startswith("Experts of pictures/0.png, prompt p0")


def test_the_picture_lies_under_the_tint_and_beside_it_in_its_shape(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 50, 3)).astype(np.uint8)
    panels = picture(result(tmp_path), pixels)
    beside, *layers = figure_of(panels[0]).get_axes()
    assert layers == list(panels)
    assert np.asarray(beside.get_images()[0].get_array()).tolist() == pixels.tolist()
    for axes in panels:
        under, tint = axes.get_images()
        assert np.asarray(under.get_array()).shape == (20, 50)
        assert under.get_extent() == tint.get_extent()
        assert 0 < tint.get_alpha() < 1
        assert axes.get_box_aspect() == 20 / 50


def test_large_grids_have_no_numbers_in_them_and_names_are_harmless(tmp_path: Path) -> None:
    found = result(tmp_path)
    large = replace(found.layers[0], strongest=np.full((2, 40), -1))
    image = replace(found.image, name="a\x1b[31m$x$" + "b" * 90)
    mine = Figure().subplots()
    (axes,) = picture(replace(found, image=image, layers=(large,)), ax=[mine])
    assert axes is mine
    assert not axes.texts
    assert np.asarray(axes.get_images()[0].get_array()).min() == 1.0  # no expert: white
    assert "\x1b" not in axes.get_title(loc="left")
