"""Tables of a study of batches."""

from moexray.formats import MISSING, count, estimate, interval, number, percent, tokens_text
from moexray.studies.batch_curves import LayerCurve, MeanCurve
from moexray.studies.batch_groups import Grouping
from moexray.studies.batch_policy import Policy
from moexray.studies.batch_report import Batching
from moexray.studies.prefill_decode import PrefillDecode
from moexray.views.tables.table import Column, Page, Table
from moexray.views.wording import note_lines

# The size whose experts are shown layer by layer, where there are batches of it.
_SIZE_OF_LAYERS = 16
_READING = (
    "even load to load alone: some experts are used more; from load alone down to experts: tokens of one step or "
    "passage select alike, so batches of requests at different steps read what load alone says; reuse: tokens of "
    "a batch that share one read of an expert"
)
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def batching_page(found: Batching) -> Page:
    """Return distinct experts of decoding and of prefill by size, then by layer, and the notes."""
    of = "" if found.tokens == "all" else f", {tokens_text(found.tokens)}"
    title = (
        f"{found.model or 'unknown model'}, {count(found.prompts, 'prompt')}{of}: distinct experts that a step reads, "
        "mean of layers"
    )
    known = any(value is not None for value in found.mean.observed)
    tables = [curve_table(found.mean, "decoding: a batch of different prompts", "prompts", found)] if known else []
    if found.prefill is not None:
        tables.append(curve_table(found.prefill.mean, "prefill: consecutive tokens of one prompt", "tokens", found))
    if known:
        tables.append(layer_table(found.layers))
    grouped = [] if found.grouping is None else [grouping_table(found.grouping)]
    predicted = [] if found.prefill_decode is None else [prefill_text(found.prefill_decode)]
    replayed = [] if found.policy is None else [policy_table(found.policy)]
    return Page(title, *tables, _READING, *grouped, *predicted, *replayed, *note_lines(found.notes))


def curve_table(mean: MeanCurve, title: str, things: str, found: Batching) -> Table:
    """Return what batches of each size read, beside what load alone and even load predict."""
    columns = [
        Column(name, numeric=True) for name in (things, "experts", "95 %", "load alone", "even load", "of all", "reuse")
    ]
    of_bytes = None if found.bytes is None else (found.bytes.decode if mean is found.mean else found.bytes.prefill)
    if of_bytes is not None:
        columns.append(Column("bytes", numeric=True))
    rows = []
    for place, size in enumerate(mean.sizes):
        if mean.observed[place] is None:
            continue
        ci = mean.observed_ci[place]
        row = [
            f"{size:,}",
            number(mean.observed[place], 1),
            interval(ci, 1) or MISSING,
            number(mean.load_matched[place], 1),
            number(mean.uniform[place], 1),
            percent(mean.share[place]),
            number(mean.tokens_per_expert[place], 1),
        ]
        rows.append([*row, bytes_text(of_bytes[place])] if of_bytes is not None else row)
    return Table(title, columns, rows)


def layer_table(layers: tuple[LayerCurve, ...]) -> Table:
    """Return what one size of batch reads of each layer."""
    sizes = layers[0].sizes
    there = [place for place, _ in enumerate(sizes) if any(one.observed[place] is not None for one in layers)]
    place = min(there, key=lambda one: abs(sizes[one] - _SIZE_OF_LAYERS))
    columns = [Column(name, numeric=True) for name in ("layer", "of", "experts", "95 %", "load alone", "even load")]
    rows = []
    for one in layers:
        ci = one.observed_ci[place]
        rows.append(
            [
                str(one.layer),
                f"{one.experts:,}",
                number(one.observed[place], 1),
                interval(ci, 1) or MISSING,
                number(one.load_matched[place], 1),
                number(one.uniform[place], 1),
            ]
        )
    return Table(f"decoding by layer, {count(sizes[place], 'prompt')}", columns, rows)


def grouping_table(found: Grouping) -> Table:
    """Return what batches of one size read, by how prompts are put together."""
    rows = []
    for name, part in (
        ("at random", found.random),
        ("one category", found.category),
        ("prefill signature", found.signature),
        ("2-means of two batches", found.hamming),
        ("oracle", found.oracle),
    ):
        if part is None:
            rows.append([name, MISSING, "", "", "", ""])
            continue
        # The share of what it is compared with: random batches of the same prompts, which may not be all of them.
        saved = None if part.difference is None else part.difference / (part.experts - part.difference)
        rows.append(
            [
                name,
                number(part.experts, 1),
                interval(part.ci, 1),
                "" if part.difference is None else number(part.difference, 1, signed=True),
                interval(part.difference_ci, 1, signed=True),
                "" if saved is None else percent(saved),
            ]
        )
    title = (
        f"decoding: batches of {found.size} of the same {count(found.prompts, 'prompt')}, "
        f"{count(found.steps, 'step')}, put together by"
    )
    columns = [
        Column(whole=True),
        *(Column(name, numeric=True) for name in ("experts", "95 %", "difference", "95 %", "share")),
    ]
    return Table(title, columns, rows)


def policy_table(found: Policy) -> Table:
    """Return what batches read under a rule, and how far it departs from the model's own routing."""
    names = ("prompts", "model", "experts", "95 %", "a token", "kept")
    columns = [Column(name, numeric=True) for name in (*names, *(() if found.mass is None else ("probability",)))]
    rows = []
    for place, size in enumerate(found.sizes):
        if found.distinct[place] is None:
            continue
        row = [
            f"{size:,}",
            number(found.model[place], 1),
            number(found.distinct[place], 1),
            interval(found.distinct_ci[place], 1) or MISSING,
            number(found.experts[place], 1),
            percent(found.kept[place]),
        ]
        rows.append(row if found.mass is None else [*row, percent(found.mass[place])])
    title = (
        f"decoding, opportunistic activation with {count(found.k0, 'expert')} kept: distinct experts, experts of a "
        f"token, and what it keeps of its own; {count(found.prompts, 'prompt')}, {count(found.steps, 'step')}"
    )
    return Table(title, columns, rows)


def prefill_text(found: PrefillDecode) -> str:
    """Return how well the prompt phase predicts decoding."""
    own, same, other = (estimate(one.r, one.ci, 2) for one in (found.own, found.same_category, found.other_category))
    return (
        f"correlation of a prompt's expert counts in prefill with its own in decoding {own}, with another prompt's of "
        f"its category {same}, with one's of another category {other}"
    )


def bytes_text(number_of: float | None) -> str:
    """Return a number of bytes in decimal units, with three digits.

    Examples
    --------
    >>> bytes_text(12_582_912), bytes_text(999), bytes_text(None)
    ('12.6 MB', '999 B', '–')
    """
    if number_of is None:
        return MISSING
    power = 0
    while power < len(_UNITS) - 1 and number_of >= 999.5:
        number_of, power = number_of / 1000, power + 1
    digits = 0 if number_of >= 99.95 or power == 0 else 1 if number_of >= 9.995 else 2
    return f"{number_of:.{digits}f} {_UNITS[power]}"
