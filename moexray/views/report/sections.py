"""The sections of a page: what each shows, how it is read, and what it cannot show; a new one is an entry.

A section with a figure has it as a still picture, which stands in the page before any script; one that is named in
`moexray.views.report.still` has tables there. A section with a view has a function of that name in
``frontend/src/views``, which draws in the place of the picture.
"""

from dataclasses import dataclass
from typing import Literal

Needs = Literal[
    "layers", "pairs", "pca", "prompts", "loads", "specifications", "token_identity", "categories", "controls",
    "phases", "segments", "distributions",
]  # fmt: skip


@dataclass(frozen=True)
class Section:
    """A section of a page.

    Attributes
    ----------
    name
        Its anchor in the page, and the name of its view.
    title
        What it shows.
    reading, limits
        How it is read, and what it cannot show.
    command
        What follows the file in the command that gives it: ``moexray plot FILE --layerwise``.
    figure
        A figure of `moexray.views.figures.FIGURES` that stands in the page without a script.
    live
        Whether the script draws a view of it.
    needs
        What it needs of the data; without it the section is left out.
    live_reading
        How what only the view shows is read; it is not said where the view is not.
    """

    name: str
    title: str
    reading: str
    limits: str
    command: str
    figure: str | None = None
    live: bool = True
    needs: Needs = "prompts"
    live_reading: str = ""


SECTIONS = (
    Section(
        "layers",
        "Effect by layer",
        "Each point is one MoE layer: how far apart pairs of prompts within and across categories are (Cohen's d), and "
        "how often a classifier that sees this layer alone names the category. Bands are 95 % intervals.",
        "It does not say why a layer tells categories apart: words and length do so, too, and the controls below weigh "
        "that for all layers together. Neighbouring layers are no independent findings.",
        "plot {file} --layerwise",
        figure="layerwise",
        needs="layers",
    ),
    Section(
        "similarity",
        "Similarity of prompts",
        "A cell is the cosine similarity of the signatures of two prompts, which stand in the order of their "
        "categories. Blocks along the diagonal that are lighter than the rest are categories that are routed alike.",
        "It has no test: the table above has. The diagonal, a prompt with itself, is left out. Short prompts have "
        "noisier signatures, and are less similar to all others for that alone.",
        "plot {file} --similarity",
        figure="similarity",
        needs="pairs",
        live_reading="Signatures are of all layers, or of the chosen one.",
    ),
    Section(
        "distributions",
        "Pairs within and across categories",
        "How many pairs of prompts have which similarity: within and across categories, and under random routing that "
        "keeps the load of each expert, or balances it. Long lines are the means of the first two. The further the "
        "first lies right of the second, the larger the effect.",
        "Pairs that share a prompt are not independent, so the heights have no interval; the test is above. Each null "
        "has a scale of its own.",
        "plot {file} --distributions",
        figure="distributions",
        needs="distributions",
    ),
    Section(
        "map",
        "Map of prompts",
        "Each mark is a prompt, placed by the two principal components of all signatures: near each other means routed "
        "alike along the directions in which prompts differ most.",
        "Two components are a part of the variance, which the axes name; prompts that are apart in other directions "
        "lie together here.",
        "plot {file} --pca",
        figure="pca",
        needs="pca",
    ),
    Section(
        "categories",
        "Categories and experts",
        "How often each category selects each expert of a layer, beside an even spread over the experts.",
        "A share above uniform says nothing by itself: an expert that is busy for every category is above uniform "
        "everywhere. Compare the rows. No cell has a test here; moexray experts tests each.",
        "experts {file}",
        figure="categories",
        needs="categories",
        live_reading="A cell is a share of the selections in the chosen layer: 1 means that the expert gets as much as "
        "each would if all were used alike. Below, the shares of one category beside those of all prompts.",
    ),
    Section(
        "load",
        "Load of experts",
        "A cell is the load of an expert over all prompts, relative to an even spread over its layer: 1 is balance, "
        "and colours go by doublings. On the right, the busiest expert of each layer; a dashed line is balance.",
        "It is the load of these prompts: others may use the experts that these leave idle. An uneven load is no fault "
        "by itself, and no cell has a test.",
        "plot {file} --load",
        figure="load",
        needs="loads",
        live_reading="Below, every expert of the chosen layer.",
    ),
    Section(
        "controls",
        "What words, characters and length explain",
        "Estimates, with 95 % intervals where there are some: classifiers that read one thing alone, beside that of "
        "signatures and chance; then what signatures gain over each and, where the analysis had a trace, what token "
        "ids explain. A gain whose interval lies above zero is more than that control explains.",
        "A control rules out what it reads and nothing else: topic, template and language reach routing by other ways. "
        "That words do as well does not say that routing follows words.",
        "analyze {file}",
        needs="controls",
    ),
    Section(
        "token-identity",
        "Token identity",
        "Above, the share of experts that two occurrences of one token have in common, within categories minus across, "
        "layer by layer; the band holds 95 % of permuted labels. Below, the range of the separation that the tokens "
        "themselves explain.",
        "What tokens bring and what context brings overlap, so the share is a range; of tokens that occur nowhere else "
        "it says nothing.",
        "plot {file} --token-identity",
        figure="token_identity",
        needs="token_identity",
    ),
    Section(
        "phases",
        "Prompt and generated tokens",
        "The same prompts, once by the tokens that were given and once by those that the model wrote: the effect size "
        "of each, and how similar a prompt's signature is to that of what was written to it. Bars are 95 % intervals.",
        "The two differ in length and in position, too, so a difference does not say that writing is routed otherwise. "
        "Who wrote the tokens and what they say are not told apart.",
        "plot {file} --segments",
        figure="segments",
        needs="phases",
        live_reading="Accuracies are to be compared with chance, the share of the largest category.",
    ),
    Section(
        "segments",
        "Tokens by segment",
        "How many tokens, or selections, each category has of every segment that was counted apart.",
        "Segments have unlike tokens in unlike numbers, so an expert that one of them prefers may follow the tokens. "
        "No cell has a test here; it is of all recorded tokens, whichever the analysis is of.",
        "info {file}",
        needs="segments",
        live_reading="Below, an expert's share of the selections of a segment in the chosen layer, times the uniform "
        "share.",
    ),
    Section(
        "specifications",
        "Every other choice of analysis",
        "Each column is the effect size under another choice of measure, layers, tokens and prompts left out, in the "
        "order of the effect; filled points have p < 0.05, not adjusted. Marks below say what was chosen.",
        "Choices are not independent, and none is the right one: it shows how much the headline depends on them. Only "
        "the test of all together is a test.",
        "plot {file} --specifications",
        figure="specifications",
        needs="specifications",
    ),
    Section(
        "prompt",
        "One prompt",
        "Where tokens were recorded, each is tinted by its expert in the chosen layer: by the seven experts that lead "
        "in this prompt, by one expert, or by the category that its experts are used for most by other prompts. "
        "Written tokens are underlined. Below: what the prompt selected in every layer, and how many experts it "
        "reaches.",
        "One prompt is an example, not a finding. A tint shows one expert of a token, which has others; the last "
        "written token passes no router and is not here. Affinity to categories rests on the other prompts, of which "
        "some may share words with this one.",
        "experts {file}",
    ),
)
