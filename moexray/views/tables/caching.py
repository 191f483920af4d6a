"""Tables of a study of caches."""

from collections.abc import Iterable, Sequence

from moexray.formats import MISSING, count, estimate, interval, number, percent, tokens_text
from moexray.stats.pairs.summaries import Interval
from moexray.studies.cache_report import CacheLayer, CacheReport, CacheTotal, CapacityFor, Predictor
from moexray.views.tables.batching import bytes_text
from moexray.views.tables.table import Column, Page, Table
from moexray.views.wording import name_of, note_lines

# Of each policy, the heading of its column.
NAMES = {
    "previous": "previous token",
    "pinned": "pinned",
    "static": "static",
    "lru": "LRU",
    "lru_continued": "warm LRU",
    "lfu": "LFU",
    "belady": "Belady",
    "chance": "chance",
}
_READING = (
    "percent of selections; below, half of the 95 % interval. pinned: the experts that other prompts use most, never "
    "exchanged; static: the same stay longest; warm LRU: never emptied; SCH: knows the next tokens; Belady: the best "
    "of all caches that start empty; chance: any cache, if experts were independent and equally likely"
)


def caching_page(found: CacheReport) -> Page:
    """Return hit rates and loads by capacity, what a wanted rate takes, predictors, consistency, layers and notes."""
    title = (
        f"{found.model or 'unknown model'}, {tokens_text(found.tokens)}: caches of experts, "
        f"{count(found.scored_prompts, 'prompt')} scored, {found.learnt_prompts:,} to learn from"
    )
    blocks: list[str | Table] = [
        rate_table(found.together, "hits, each layer with its own cache", _same_size(found.layers)),
        _READING,
        load_table(found.together, "loads a token, all layers", _same_size(found.layers)),
    ]
    if found.shared is not None:
        blocks.append(rate_table(found.shared, "hits, one cache that all layers share", None))
    blocks.append(needed_table(found.capacity_for, found.wanted))
    blocks.append(predictor_table(found))
    if found.srp:
        blocks.append(consistency_table(found))
    return Page(title, *blocks, layer_table(found), *note_lines(found.notes))


def policy_name(policy: str) -> str:
    """Return the heading of a policy's column.

    Examples
    --------
    >>> policy_name("lru"), policy_name("sch_16")
    ('LRU', 'SCH 16')
    """
    return NAMES.get(policy) or policy.replace("_", " ").upper()


def rate_table(total: CacheTotal, title: str, sizes: Sequence[int] | None) -> Table:
    """Return hit rates by capacity and policy, in percent, with half of the interval below.

    Parameters
    ----------
    total
        The caches of all layers.
    title
        What they are.
    sizes
        Capacities of one layer, where they are those of every layer.
    """
    policies = [name for name in total.hit_rate if name != "previous"]
    rows = []
    for place in range(len(total.capacities)):
        cells = []
        for name in policies:
            ci = total.ci[name][place] if name in total.ci else None
            rate = total.hit_rate[name][place]
            cells.append((number(100 * rate, 1), half(rate, ci)))
        rows.append([*_capacity(total, place, sizes), *cells])
    return Table(title, [*_capacity_columns(total, sizes), *_numeric(map(policy_name, policies))], rows)


def load_table(total: CacheTotal, title: str, sizes: Sequence[int] | None) -> Table:
    """Return what misses load a token: in bytes where they are known, and else in experts."""
    policies = [name for name in total.misses if name not in ("previous", "chance")]
    rows = []
    for place in range(len(total.capacities)):
        if total.bytes is None:
            cells = [number(total.misses[name][place], 1) for name in policies]
        else:
            cells = [bytes_text(total.bytes[name][place]) for name in policies]
        rows.append([_capacity(total, place, sizes)[0], *cells])
    what = "experts" if total.bytes is None else "bytes"
    columns = [_capacity_columns(total, sizes)[0], *_numeric(map(policy_name, policies))]
    return Table(f"{title}, in {what}", columns, rows)


def needed_table(needed: Sequence[CapacityFor], wanted: float) -> Table:
    """Return what each policy needs in every layer for the wanted hit rate."""
    rows = []
    for one in needed:
        sizes = [layer.capacity for layer in one.layers if layer.capacity is not None]
        lacking = len(one.layers) - len(sizes)
        rows.append(
            [
                policy_name(one.policy),
                MISSING if one.experts is None else f"{one.experts:,}",
                percent(one.share),
                MISSING if one.bytes is None else bytes_text(one.bytes),
                f"{min(sizes)} to {max(sizes)}" if sizes else MISSING,
                f"{lacking} of {len(one.layers)}" if lacking else "",
            ]
        )
    names = ("experts", "of all", "memory", "in a layer", "layers without")
    return Table(f"a hit rate of {percent(wanted)} in every layer takes", ["", *_numeric(names)], rows)


def predictor_table(found: CacheReport) -> Table:
    """Return what can be known before a token's experts are selected, and what it is good for."""
    middle = (len(found.together.capacities) - 1) // 2
    share = percent(found.together.share[middle])
    rows = [_predictor(one, middle) for one in found.predictors]
    lru = found.together.hit_rate["lru"][middle], found.together.misses["lru"][middle]
    rows.append(["LRU alone", "", "", percent(lru[0]), number(lru[1], 1)])
    title = f"predictors: recall of the k experts that they name; hits and loads with a cache of {share}"
    return Table(title, ["", "known", *_numeric(("recall", "hits", "loads a token"))], rows)


def consistency_table(found: CacheReport) -> Table:
    """Return how well one choice of experts serves a window of tokens."""
    rows = []
    for one in found.srp:
        of_layers = [value for value in one.layers if value is not None]
        rows.append(
            [
                f"{one.m:,}",
                f"{one.windows:,}",
                estimate(one.value, one.ci, 3),
                number(one.load_matched, 3),
                number(one.uniform, 3),
                f"{min(of_layers):.3f} to {max(of_layers):.3f}",
            ]
        )
    names = ("tokens", "windows", "SRP", "load alone", "even load", "layers")
    return Table("local routing consistency: F1 of one choice of experts for a window", _numeric(names), rows)


def layer_table(found: CacheReport) -> Table:
    """Return each layer at one capacity, and what it takes for the wanted hit rate."""
    middle = (len(found.together.capacities) - 1) // 2
    needed = next(one for one in found.capacity_for if one.policy == "lru_continued")
    rows = []
    for one, takes in zip(found.layers, needed.layers, strict=True):
        rates = [percent(one.hit_rate[name][middle]) for name in ("lru", "belady", "chance")]
        span = MISSING if takes.capacity is None else f"{takes.capacity} {_ends(takes.least, takes.most)}".strip()
        reuse = MISSING if one.reuse is None else f"{percent(one.reuse)} {half(one.reuse, one.reuse_ci)}".strip()
        rows.append([str(one.layer), f"{one.capacities[middle]} of {one.experts}", *rates, span, reuse])
    names = ("layer", "cache", "LRU", "Belady", "chance", f"warm LRU, {percent(found.wanted)}", "token before")
    return Table("by layer; token before: experts that it used as well", _numeric(names), rows)


def _predictor(one: Predictor, place: int) -> list[str]:
    recall = f"{percent(one.recall)} {half(one.recall, one.recall_ci)}".strip()
    return [name_of(one.name), one.known, recall, percent(one.hit_rate[place]), number(one.loads[place], 1)]


def _same_size(layers: Sequence[CacheLayer]) -> Sequence[int] | None:
    return layers[0].capacities if len({one.capacities for one in layers}) == 1 else None


def _capacity_columns(total: CacheTotal, sizes: Sequence[int] | None) -> list[Column]:
    names = ["experts" if sizes is None else "a layer", "of all"]
    return _numeric([*names, "memory"] if total.memory is not None else names)


def _capacity(total: CacheTotal, place: int, sizes: Sequence[int] | None) -> list[str]:
    cells = [f"{total.capacities[place] if sizes is None else sizes[place]:,}", percent(total.share[place])]
    return cells if total.memory is None else [*cells, bytes_text(total.memory[place])]


def _numeric(names: Iterable[str]) -> list[Column]:
    return [Column(name, numeric=True) for name in names]


def half(rate: float, ci: Interval | None) -> str:
    """Return half of an interval of a share, in points; nothing where there is none.

    Where 0 or 1 cuts one side off, it is the other side: half of what is left would be too little.

    Examples
    --------
    >>> half(0.5, (0.4, 0.6)), half(0.99, (0.95, 1.0)), half(0.5, None)
    ('±10.0', '±4.0', '')
    """
    return "" if ci is None else f"±{100 * max(rate - ci[0], ci[1] - rate):.1f}"


def _ends(least: int | None, most: int | None) -> str:
    """Return the ends of an interval of capacities; the upper one is missing where no cache is surely enough."""
    if least is None:
        return ""
    return f"[{least:,}, {MISSING}]" if most is None else interval((least, most), 0)
