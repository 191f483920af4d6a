"""Tables of a study of budgets."""

from collections.abc import Sequence
from typing import Literal

from moexray.formats import MISSING, count, interval, number, percent
from moexray.studies.budget_result import ALL, Budget, LossChange, PolicyCost
from moexray.views.tables.table import Column, Page, Table
from moexray.views.wording import note_lines

# Categories that stand in one table.
_TOGETHER = 4
_FIRST = (Column("keep", numeric=True), Column("policy", whole=True))
_READING = (
    "loss: what a policy adds, in nats a token, to that of full routing on the same tokens, with its 95 % interval; vs "
    "random: its loss minus that of random drops"
)
_AGREEMENT = "same tokens: the share of the tokens that full routing writes, before the first that differs"
_KINDS = (
    "vs even: the loss minus that of the same policy with one share for all tokens that comes to as many; shares "
    "by kind stand as image/text"
)
_TIMES = (
    "seconds as ratios to full routing in the same turn, their median, least and greatest, on this machine; another "
    "machine has others"
)


def budget_page(found: Budget) -> Page:
    """Return what each policy costs, then by category, by segment and by batch, and the notes."""
    full = found.full
    title = (
        f"{found.model or 'unknown model'}, {count(found.scored, 'prompt')} scored, {found.learnt:,} to learn from: "
        f"full routing has {full.mean_k:.3g} experts a token and {number(full.loss[ALL], 3)} nats a token"
    )
    categories = [name for name in full.loss if name != ALL]
    blocks: list[str | Table] = [cost_table(found), _READING]
    if full.kinds is not None:
        blocks += [kind_table(found, list(full.kinds)), _KINDS]
    starts = range(0, len(categories), _TOGETHER)
    blocks += [change_table(found, "loss", categories[start : start + _TOGETHER]) for start in starts]
    blocks.append(change_table(found, "segments", [name for name, loss in full.segments.items() if loss is not None]))
    if any(one.agreement is not None for one in found.policies):
        blocks += [agreement_table(found), _AGREEMENT]
    if full.distinct:
        blocks.append(distinct_table(found))
    if full.seconds:
        blocks += [time_table(found), _TIMES]
    return Page(title, *blocks, *note_lines(found.notes))


def cost_table(found: Budget) -> Table:
    """Return the experts of each policy and the loss that it adds."""
    names = ("experts", "loss", "95 %", "vs random", "95 %")
    rows = []
    for one in found.policies:
        change, against = one.loss[ALL], one.against_random
        beside = ("", "") if against is None else _change(against)
        rows.append([*_names(one), number(one.mean_k), *_change(change), *beside])
    return Table("what fewer experts cost", [*_FIRST, *(Column(name, numeric=True) for name in names)], rows)


def kind_table(found: Budget, kinds: Sequence[str]) -> Table:
    """Return the experts of tokens of each kind, and what shares by kind add to one share for all tokens."""
    full = found.full.kinds or {}
    rows = [["100 %", "full", *(number(full[kind].mean_k) for kind in kinds), "", ""]]
    for one in found.policies:
        of_kind = one.kinds or {}
        beside = ("", "") if one.against_even is None else _change(one.against_even)
        rows.append([*_names(one), *(number(of_kind[kind].mean_k) for kind in kinds), *beside])
    tokens = ", ".join(f"{full[kind].tokens:,} {kind}" for kind in kinds)
    names = (*kinds, "vs even", "95 %")
    return Table(
        f"experts by kind of token ({tokens} tokens)", [*_FIRST, *(Column(name, numeric=True) for name in names)], rows
    )


def change_table(found: Budget, part: Literal["loss", "segments"], names: Sequence[str]) -> Table:
    """Return the loss that each policy adds in some categories, or segments, with half of its interval."""
    rows = [[*_names(one), *(_plus_minus(getattr(one, part)[name]) for name in names)] for one in found.policies]
    title = f"loss added by {'category' if part == 'loss' else 'segment'}, and half of its 95 % interval"
    return Table(title, [*_FIRST, *(Column(name, numeric=True) for name in names)], rows)


def agreement_table(found: Budget) -> Table:
    """Return how much of the greedy text of full routing each policy writes as well."""
    names = ("same tokens", "95 %", "same texts", "95 %")
    rows = []
    for one in found.policies:
        same = one.agreement
        if same is not None:
            shares = ((same.tokens, same.tokens_ci), (same.texts, same.texts_ci))
            cells = [text for value, ci in shares for text in (percent(value), interval(ci, 2) or MISSING)]
            rows.append([*_names(one), *cells])
    return Table("greedy text", [*_FIRST, *(Column(name, numeric=True) for name in names)], rows)


def distinct_table(found: Budget) -> Table:
    """Return how many distinct experts a batch of generated tokens reads, by its size."""
    sizes = [size for size, value in found.full.distinct.items() if value is not None]
    rows = [["100 %", "full", *(number(found.full.distinct[size], 1) for size in sizes)]]
    rows += [[*_names(one), *(number(one.distinct.get(size), 1) for size in sizes)] for one in found.policies]
    return Table(
        "distinct experts of a layer that one decoding step reads, by prompts of the batch",
        [*_FIRST, *(Column(size, numeric=True) for size in sizes)],
        rows,
    )


def time_table(found: Budget) -> Table:
    """Return seconds as ratios to full routing, by the size of the batch."""
    sizes = list(found.full.seconds)
    rows = [[*_names(one), *(_ratio(one, size) for size in sizes)] for one in found.policies]
    return Table("time by prompts of the batch", [*_FIRST, *(Column(size, numeric=True) for size in sizes)], rows)


def _ratio(one: PolicyCost, size: str) -> str:
    return " ".join(filter(None, [number(one.seconds_ratio.get(size)), interval(one.seconds_range.get(size), 2)]))


def _plus_minus(change: LossChange) -> str:
    if change.mean is None:
        return MISSING
    half = "" if change.ci is None else f" ±{change.ci[1] - change.mean:.3f}"
    return number(change.mean, 3, signed=True) + half


def _names(one: PolicyCost) -> tuple[str, str]:
    if one.keep_kinds is None:
        return f"{one.keep:g} %", one.policy
    return "/".join(f"{one.keep_kinds[kind]:g}" for kind in sorted(one.keep_kinds)) + " %", one.policy


def _change(change: LossChange) -> tuple[str, str]:
    return number(change.mean, 3, signed=True), interval(change.ci, 3, signed=True)
