"""Figures of results: one a file, listed here.

A figure is a function ``NAME(result, ax=None)``. It draws what the result holds and nothing else, on `ax` or in a new
figure, and returns the axes that it drew on: one, or as many as it has panels, which it takes as `ax`, too. ``from
moexray import figures; figures.layerwise(analysis)``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

ANALYSIS, MATRIX, SHARES, PAIRS = "analysis", "similarity_matrix", "category_shares", "layer_coactivation"
# What is made of signatures when it is drawn; all else is read from a file.
OF_SIGNATURES = (ANALYSIS, MATRIX, SHARES, PAIRS)


@dataclass(frozen=True)
class Entry:
    """A figure of the list.

    Attributes
    ----------
    function
        Where it is: module and function, imported when the figure is drawn. A module that bears the figure's own name
        would hide it, but for those in a folder.
    help
        What it shows, in a few words.
    of
        What it draws: one of `OF_SIGNATURES`, or the result of another study, by the command that makes it, as in
        `moexray.views.studies.STUDIES`.
    needs
        What must be there beside signatures, or an option that the analysis must have been made with.
    """

    function: str
    help: str
    of: str = ANALYSIS
    needs: Literal["specifications", "trace"] | None = None

    @property
    def of_study(self) -> bool:
        """Whether it draws the result of another study than the analysis."""
        return self.of not in OF_SIGNATURES


# Of several figures of one study, the first is drawn where none is named.
FIGURES: Mapping[str, Entry] = {
    "layerwise": Entry("by_layer:layerwise", "Effect size and accuracy by layer."),
    "similarity": Entry("matrix:similarity", "Similarity of every two prompts, by category.", of=MATRIX),
    "pca": Entry("components:pca", "Prompts in two principal components."),
    "load": Entry("expert_load:load", "Load of every expert."),
    "specifications": Entry(
        "specification_curve:specifications", "Effect size under every choice of analysis.", needs="specifications"
    ),
    "distributions": Entry(
        "pair_distributions:distributions", "Similarity of pairs within and across categories, beside both nulls."
    ),
    "categories": Entry(
        "shares_of_experts:categories", "What every expert gets of each category, beside uniform routing.", of=SHARES
    ),
    "coactivation": Entry("expert_pairs:coactivation", "Experts that are selected together.", of=PAIRS, needs="trace"),
    "segments": Entry("by_segment:segments", "Prompt against generated tokens."),
    "token_identity": Entry("same_token:token_identity", "Token identity by layer, from a trace.", needs="trace"),
    "ablation": Entry("studies.ablation:ablation", "Loss without some experts.", of="ablate"),
    "batching": Entry("studies.batching:batching", "Distinct experts by size of batch.", of="batch"),
    "budget": Entry("studies.budget:budget", "Loss with fewer experts a token.", of="budget"),
    "caching": Entry("studies.caching:caching", "Hits of caches by capacity.", of="cache"),
    "claims": Entry("studies.claims:claims", "Difference of each claim from its published value.", of="claims"),
    "comparison": Entry("studies.comparison:comparison", "Two captures, layer by layer.", of="compare"),
    "coverage": Entry("studies.coverage:coverage", "What the most used experts take, and how stable.", of="coverage"),
    "experts": Entry("studies.experts:experts", "Categories that experts get more of.", of="experts"),
    "kinds": Entry("studies.kinds:kinds", "Bias of every expert between two kinds of tokens.", of="kinds"),
    "kind_devices": Entry("studies.kind_devices:kind_devices", "Busiest device by share of a kind.", of="kinds"),
    "placement": Entry("studies.placement:placement", "Balance against devices touched.", of="place"),
    "placement_kinds": Entry(
        "studies.placement_kinds:placement_kinds", "Selections off the home of their kind.", of="place"
    ),
    "pool": Entry("studies.pool:pool", "Effect of every capture, and their mean.", of="pool"),
    "power": Entry("studies.power:power", "Power by size of study.", of="power"),
}


def figure(name: str) -> Callable[..., Any]:
    """Return the function of a figure."""
    module, _, function = FIGURES[name].function.partition(":")
    found: Callable[..., Any] = getattr(import_module(f"{__name__}.{module}"), function)
    return found


def figures_of(*kinds: str) -> list[str]:
    """Return the figures that draw a kind of result, or one of several, in the order of the list."""
    return [name for name, entry in FIGURES.items() if entry.of in kinds]


def __getattr__(name: str) -> Callable[..., Any]:
    if name not in FIGURES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return figure(name)


def __dir__() -> list[str]:
    return [*globals(), *FIGURES]
