"""Figures of results: one a file, listed here.

A figure is a function ``NAME(result, ax=None)``. It draws what the result holds and nothing else, on `ax` or in a new
figure, and returns the axes that it drew on: one, or a pair for a figure of two panels, which takes a pair as `ax`,
too. ``from moexray import figures; figures.layerwise(analysis)``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal


@dataclass(frozen=True)
class Entry:
    """A figure of the list.

    Attributes
    ----------
    function
        Where it is: module and function, imported when the figure is drawn.
    help
        What it shows, in a few words.
    of
        What it draws: the analysis, or the similarity matrix of the signatures.
    needs
        An option that the analysis must have been made with.
    """

    function: str
    help: str
    of: Literal["analysis", "similarity_matrix"] = "analysis"
    needs: Literal["specifications", "trace"] | None = None


FIGURES: Mapping[str, Entry] = {
    "layerwise": Entry("by_layer:layerwise", "Effect size and accuracy by layer."),
    "similarity": Entry("matrix:similarity", "Similarity of every two prompts, by category.", of="similarity_matrix"),
    "pca": Entry("components:pca", "Prompts in two principal components."),
    "load": Entry("expert_load:load", "Load of every expert."),
    "specifications": Entry(
        "specification_curve:specifications", "Effect size under every choice of analysis.", needs="specifications"
    ),
    "token_identity": Entry("same_token:token_identity", "Token identity by layer, from a trace.", needs="trace"),
}


def figure(name: str) -> Callable[..., Any]:
    """Return the function of a figure."""
    module, _, function = FIGURES[name].function.partition(":")
    found: Callable[..., Any] = getattr(import_module(f"{__name__}.{module}"), function)
    return found


def __getattr__(name: str) -> Callable[..., Any]:
    if name not in FIGURES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return figure(name)


def __dir__() -> list[str]:
    return [*globals(), *FIGURES]
