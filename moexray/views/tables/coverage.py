"""Tables of a study of coverage."""

from moexray.formats import MISSING, count, estimate, interval, number, percent, token_text
from moexray.studies.coverage_report import Coverage, MostUsed, Rare
from moexray.studies.rankings import Stability
from moexray.views.tables.table import Column, Page, Table
from moexray.views.wording import note_lines


def coverage_page(found: Coverage) -> Page:
    """Return what is reached seldom, the most used experts, the stability of rankings, layers, and the notes."""
    title = (
        f"{found.model or 'unknown model'}, {count(found.prompts, 'prompt')}, "
        f"{count(found.selected_tokens, token_text(found.tokens))}: coverage of {count(found.experts, 'expert')}"
    )
    tables = [rare_table(found), fewer_table(found)]
    if found.most_used is not None:
        tables.append(most_used_table(found.most_used))
    if found.stability is not None:
        tables.append(stability_table(found.stability))
    tables.append(layer_table(found))
    return Page(title, *tables, *note_lines(found.notes))


def rare_table(found: Coverage) -> Table:
    """Return how many experts are reached seldom, by tokens and by prompts, beside what load alone predicts."""
    names = ("experts", "share", "load alone", "even load")
    columns = [Column(whole=True), *(Column(name, numeric=True) for name in names)]
    rows = [["never selected", f"{found.never:,}", percent(found.never / found.experts), "", ""]]
    for name, rare in (("tokens", found.by_tokens), ("prompts", found.by_prompts)):
        share = percent(rare.found / found.experts)
        rows.append([f"in fewer than {found.below} {name}", f"{rare.found:,}", share, *_expected(rare)])
    return Table("", columns, rows)


def fewer_table(found: Coverage) -> Table:
    """Return what fewer prompts would leave."""
    curve = found.fewer_prompts
    columns = [Column("prompts", numeric=True), Column("experts", numeric=True), Column("share", numeric=True)]
    rows = []
    for prompts, experts in zip(curve.prompts, curve.experts, strict=True):
        if prompts < found.below and prompts != curve.prompts[-1]:
            continue
        rows.append((f"{prompts:,}", number(experts, 1), percent(experts / found.experts)))
        if number(experts, 1) == number(curve.experts[-1], 1):  # more prompts leave as many
            break
    return Table(f"experts that fewer than {found.below} of so many of these prompts reach", columns, rows)


def most_used_table(found: MostUsed) -> Table:
    """Return the share of selections that the most used experts take."""
    names = ("experts", "other half", "95 %", "same half", "even load")
    rows = [
        (f"{size:,}", percent(share), interval(ci, write=percent) or MISSING, percent(same), percent(even))
        for size, share, ci, same, even in zip(
            found.numbers, found.share, found.ci, found.same_prompts, found.even, strict=True
        )
    ]
    return Table(
        "selections that the most used experts of a layer take, chosen by half of the prompts",
        [Column(name, numeric=True) for name in names],
        rows,
    )


def stability_table(found: Stability) -> Table:
    """Return the overlap of the least used half of experts between sets of prompts."""
    rows = [["two halves of the prompts", estimate(found.halves, found.halves_ci, write=percent)]]
    if found.same_category is not None:
        rows += [
            ["two halves of one category", estimate(found.same_category, found.same_category_ci, write=percent)],
            ["halves of two categories", estimate(found.other_category, found.other_category_ci, write=percent)],
            ["difference", estimate(found.difference, found.difference_ci, write=percent)],
        ]
    rows.append(["chance", percent(found.chance)])
    return Table(
        "least used half of a layer's experts: share that two sets of prompts agree on",
        [Column(whole=True), Column("overlap", numeric=True)],
        rows,
    )


def layer_table(found: Coverage) -> Table:
    """Return what is reached seldom in each layer, and the overlap of its least used half."""
    overlaps = {} if found.stability is None else {one.layer: one for one in found.stability.layers}
    names = ("layer", "of", "never", f"< {found.below} tokens", f"< {found.below} prompts", "load alone")
    by_category = found.stability is not None and found.stability.same_category is not None
    more = ("halves", *(("category", "others") if by_category else ())) if overlaps else ()
    rows = []
    for one in found.layers:
        row = [
            str(one.layer),
            f"{one.experts:,}",
            f"{one.never:,}",
            f"{one.tokens.found:,}",
            f"{one.prompts.found:,}",
            number(one.prompts.load_matched, 1),
        ]
        if overlaps:
            own = overlaps[one.layer]
            shown = (own.halves, own.same_category, own.other_category) if by_category else (own.halves,)
            row += [percent(value) for value in shown]
        rows.append(row)
    return Table("by layer", [Column(name, numeric=True) for name in (*names, *more)], rows)


def _expected(rare: Rare) -> list[str]:
    return [number(rare.load_matched, 1), number(rare.uniform, 1)]
