"""What stands around the tokens of a prompt: its title, the legend, and a line of blocks over the layers."""

from collections.abc import Iterator

from moexray.formats import count, number, percent
from moexray.studies.shown_report import LeadingExpert, ShownLayer, ShownPrompt
from moexray.views.sparkline import BLOCKS, sparkline
from moexray.views.tables.table import Column, Page, Table, Tone
from moexray.views.wording import note_lines

# Layers of one line of blocks: with the words before it, it fits 80 columns.
_LAYERS = 48
LEADS: tuple[Tone, ...] = ("lead1", "lead2", "lead3", "lead4", "lead5", "lead6", "lead7")


def title_of(found: ShownPrompt) -> str:
    """Return one line: which prompt, how many tokens, and which layer."""
    layers = [one.layer for one in found.layers]
    return (
        f"{found.model or 'unknown model'}, prompt {found.prompt} ({found.category}), "
        f"{count(len(found.sequence), 'token')}: layer {found.layer} of MoE layers {layers[0]} to {layers[-1]}, "
        f"{count(found.experts, 'expert')}, {found.top_k} a token"
    )


def legend_page(found: ShownPrompt, *, blocks: str = BLOCKS) -> Page:
    """Return the legend, the line of blocks over all layers, and the notes."""
    legend = leading_table(found) if found.expert is None else expert_table(found, found.expert)
    return Page("", legend, *explained(found), "", *layer_lines(found, blocks=blocks), *note_lines(found.notes))


def leading_table(found: ShownPrompt) -> Table:
    """Return the leading experts with their tokens and shares, and what these would be if all were used alike."""
    total = len(found.sequence)
    tones = {str(one.expert): tone for one, tone in zip(found.leading, LEADS, strict=False)}
    first = "first choice of" if found.ranked else "selected by"
    names = (first, "share", *(("selected by", "share") if found.ranked and found.top_k > 1 else ()))
    columns = [Column("expert", numeric=True, tones=tones), *(Column(name, numeric=True) for name in names)]
    rows = [
        [str(one.expert), count(one.tokens, "token"), percent(one.tokens / total),
         count(one.selected, "token"), percent(one.selected / total)]
        for one in found.leading
    ]  # fmt: skip
    rows.append(["others", count(found.others, "token"), percent(found.others / total), "", ""])
    rows.append(["even", "", percent(found.even), "", percent(found.top_k / found.experts)])
    return Table("", columns, [row[: len(columns)] for row in rows])


def expert_table(found: ShownPrompt, one: LeadingExpert) -> Table:
    """Return how many tokens select one expert, beside an even share."""
    total = len(found.sequence)
    columns = [Column(whole=True), Column("tokens", numeric=True), Column("share", numeric=True)]
    rows = [[f"select expert {one.expert}", f"{one.selected:,}", percent(one.selected / total)]]
    rows.append(["even", "", percent(found.top_k / found.experts)])
    if found.ranked and found.top_k > 1:
        rows.append([f"first choice is {one.expert}", f"{one.tokens:,}", percent(one.tokens / total)])
        rows.append(["even", "", percent(1 / found.experts)])
    return Table("", columns, rows)


def explained(found: ShownPrompt) -> Iterator[str]:
    """Yield a sentence on what tints a token."""
    if found.expert is None:
        yield (
            "A token is tinted by its first choice"
            if found.ranked
            else "A token is tinted by the one of its experts that most tokens select: their order is not known"
        ) + "; one of no leading expert is grey. Even: all experts used alike."
    elif found.weighted:
        greatest = number(found.greatest_weight, 3)
        yield (
            f"The stronger the tint, the greater the gate weight, in quarters of {greatest}, this layer's greatest. "
            "Numbers beside tokens are gate weights."
        )
    elif found.ranked:
        yield (
            "The stronger the tint, the higher the expert's rank among the token's: gate weights are not recorded. "
            "Numbers beside tokens are ranks."
        )
    else:
        yield "A token that selects it is tinted: neither its gate weight nor its rank is known."


def layer_lines(found: ShownPrompt, *, blocks: str = BLOCKS) -> Iterator[str]:
    """Yield the share of experts that two tokens have in common, layer by layer, and the shown layer's in numbers."""
    layers = found.layers
    here = next(one for one in layers if one.layer == found.layer)
    known = [value for one in layers for value in (one.shared, one.shared_between) if value is not None]
    if known:
        low, high = min(known), max(known)
        yield "experts that two tokens share, by layer"
        yield f"  {blocks[0]} {percent(low)}, {blocks[-1]} {percent(high)}; ^ layer {found.layer}; {_even(found)}"
        yield ""
        for start in range(0, len(layers), _LAYERS):
            yield from _block_lines(found, layers[start : start + _LAYERS], (low, high), blocks)
        yield ""
    yield _in_numbers(found, here)


def _block_lines(
    found: ShownPrompt, some: tuple[ShownLayer, ...], ends: tuple[float, float], blocks: str
) -> Iterator[str]:
    name = f"layers {some[0].layer}-{some[-1].layer}"
    rows = (("this prompt", [one.shared for one in some]), ("other prompts", [one.shared_between for one in some]))
    for heading, values in rows:
        if any(value is not None for value in values):
            yield f"  {name:<15}{heading:<14} {sparkline(values, *ends, blocks=blocks)}"
            name = ""
    marks = "".join("^" if one.layer == found.layer else " " for one in some)
    if marks.strip():
        yield f"{'':32}{marks}".rstrip()


def _even(found: ShownPrompt) -> str:
    shares = sorted({one.top_k / one.experts for one in found.layers})
    return f"even load: {' to '.join(map(percent, dict.fromkeys((shares[0], shares[-1]))))}"


def _in_numbers(found: ShownPrompt, layer: ShownLayer) -> str:
    parts = []
    if layer.shared is not None:
        beside = "" if layer.shared_between is None else f"those of two other prompts {percent(layer.shared_between)}, "
        parts.append(
            f"Two tokens of this prompt share {percent(layer.shared)} of their experts, {beside}"
            f"at even load {percent(layer.top_k / layer.experts)}"
        )
    chance = "" if layer.expected is None else f"{number(layer.expected, 1)} if routed as other prompts' tokens, "
    parts.append(
        f"Its {count(len(found.sequence), 'token')} reach {layer.reached} of {count(layer.experts, 'expert')}; "
        f"{chance}{number(layer.uniform, 1)} at even load"
    )
    return f"Layer {layer.layer}. {'. '.join(parts)}."
