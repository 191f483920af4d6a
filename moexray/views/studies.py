"""Every kind of result that a command prints as JSON: its class and its page; a new one is an entry.

The class and the functions stand as ``module:name`` and are imported when they are used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from moexray.errors import AnalysisError
from moexray.studies.result_files import read_kind
from moexray.studies.results import Result
from moexray.views.tables.table import Page


@dataclass(frozen=True)
class Study:
    """A kind of result; its figures are those of `moexray.views.figures.figures_of`.

    Attributes
    ----------
    result
        Its class.
    page
        The function that turns it into a page, in ``moexray.views.tables``.
    title, reading, limits
        What it shows, how it is read, and what it cannot show.
    """

    result: str
    page: str
    title: str
    reading: str
    limits: str


# By the command that makes it.
STUDIES: Mapping[str, Study] = {
    "analyze": Study(
        "moexray.studies.analysis:Analysis",
        "analysis:analysis_page",
        "Analysis",
        "How alike prompts of a category are routed, beside prompts of different ones.",
        "It does not say why categories differ: words and length make routing differ, too, as its controls show.",
    ),
    "ablate": Study(
        "moexray.studies.ablation_result:Ablation",
        "ablation:ablation_page",
        "Loss without some experts",
        "What text costs when experts are left out, beside as many experts of the same layers at random: an excess "
        "above 0 says that these experts matter more than others.",
        "An expert whose loss is small may still matter elsewhere: the scored text is all that was looked at. The "
        "model was run without training it anew.",
    ),
    "batch": Study(
        "moexray.studies.batch_report:Batching",
        "batching:batching_page",
        "Experts that a batch reads",
        "How many distinct experts of a layer one step reads, by the size of the batch, beside what the same load "
        "would read if tokens chose independently (load alone) and what even load would read.",
        "Batches are put together from recorded prompts, and no server was run: scheduling, memory and time are not "
        "in it.",
    ),
    "budget": Study(
        "moexray.studies.budget_result:Budget",
        "budget:budget_page",
        "Fewer experts a token",
        "What each way to use fewer experts adds to the loss of the same tokens, beside dropping as many at random.",
        "Loss is not quality of an answer, and seconds are those of one machine and one implementation.",
    ),
    "cache": Study(
        "moexray.studies.cache_report:CacheReport",
        "caching:caching_page",
        "Caches of experts",
        "The share of selections that a cache of some experts serves, by its size and rule, beside chance and the best "
        "that a cache could do that starts empty (Belady); those that do not, as pinned and warm LRU, may serve more.",
        "Recorded routing is replayed: transfers, prefetching and time are not in it.",
    ),
    "check": Study(
        "moexray.checks.result:RoutingCheck",
        "check:check_page",
        "Is the recorded routing true?",
        "Recorded rows beside those of the model itself: equal, a near tie that rounding explains, or different.",
        "It vouches for the rows that were compared. Without a model it can only say whether rows are those of some "
        "router.",
    ),
    "claims": Study(
        "moexray.claims.report:ClaimsReport",
        "claims:claims_document",
        "Published claims",
        "Each claim beside the value here, and how it was decided; a verdict in parentheses is what the test says of a "
        "claim that does not apply.",
        "A claim about another model or other settings is neither confirmed nor refuted. Inconclusive means that these "
        "data could not tell.",
    ),
    "compare": Study(
        "moexray.studies.comparison:Comparison",
        "comparison:comparison_page",
        "Two captures",
        "How the loads of the experts differ between two captures, layer by layer, beside what chance alone makes "
        "differ.",
        "It does not say what caused a difference. Experts of two models have the same number, not the same meaning, "
        "unless one was trained from the other.",
    ),
    "coverage": Study(
        "moexray.studies.coverage_report:Coverage",
        "coverage:coverage_page",
        "Coverage of experts",
        "How many experts these prompts reach seldom or never, and whether another set of prompts would name the same "
        "ones.",
        "An expert that these prompts do not reach is not an expert that nothing reaches.",
    ),
    "experts": Study(
        "moexray.studies.expert_report:ExpertReport",
        "experts:experts_page",
        "What experts are used for",
        "The share of each category's tokens, or selections, that an expert gets. Of several layers, the three experts "
        "of each are shown whose shares differ most; the numbers that are saved are of all. A category is named beside "
        "an expert only where a test that counts all experts says that it gets more of it.",
        "A share says what an expert is used for, not what it does. Words that prompts of a category have in common "
        "have a part in it.",
    ),
    "kinds": Study(
        "moexray.studies.kinds_result:Kinds",
        "kinds:kinds_page",
        "Kinds of tokens",
        "How far apart the routing of two kinds of tokens is, layer by layer, beside a floor where kinds are exchanged "
        "within prompts.",
        "Kinds differ in position and content as well: it does not say which of these the router reads.",
    ),
    "place": Study(
        "moexray.studies.placement_results:PlacementStudy",
        "placement:placement_page",
        "Experts on devices",
        "How even loads are and how many devices a token touches, for each placement, scored on prompts that it was "
        "not learnt on, beside random placements.",
        "No device was run: time on a network depends on more than what is counted here.",
    ),
    "pool": Study(
        "moexray.studies.pooling:Pooled",
        "pooled:pooled_page",
        "Several captures together",
        "The effect on average over captures of the same prompts, and how much it varies between them.",
        "Captures that are alike, such as seeds of one model, say little about other models.",
    ),
    "power": Study(
        "moexray.studies.power_result:Power",
        "power:power_page",
        "Size of the next study",
        "How often a study of each size would find a difference as large as that of the pilot, or as stated.",
        "It is as good as the size of the difference that was put in: see the ends of its interval.",
    ),
}
_WITHOUT_PAGE: Mapping[str, str] = {"show": "moexray.studies.shown_report:ShownPrompt"}
KINDS: Mapping[str, str] = {command: one.result for command, one in STUDIES.items()}


def read_result(path: Path) -> tuple[str, Result]:
    """Read a result, and name the command that made it, a key of `STUDIES`.

    Raises
    ------
    AnalysisError
        If the file is no result, one that has neither a page nor a figure, damaged, or of a newer schema.
    """
    command, result = read_kind(path, {**KINDS, **_WITHOUT_PAGE}, wanted="a result that moexray knows")
    if command in _WITHOUT_PAGE:
        message = f"{path} is {result.WHAT}, which `moexray {command}` and the page of prompts of a report show"
        raise AnalysisError(message)
    return command, result


def page_of(command: str, result: Result) -> Page:
    """Return the page of a result that a command made."""
    module, _, name = STUDIES[command].page.partition(":")
    make: Callable[[Result], Page] = getattr(import_module(f"moexray.views.tables.{module}"), name)
    return make(result)
