"""Tables of a report on experts."""

from moexray.formats import count, number
from moexray.studies.expert_report import Expert, ExpertReport, LayerOfExperts, Partner
from moexray.views.tables.table import Column, Page, Table
from moexray.views.wording import note_lines

_SHOWN = 3
_MOST_PARTNERS = 5
_WIDEST = 6


def experts_page(report: ExpertReport) -> Page:
    """Return what one expert does; or the experts of one layer and its balance; or the most special of every layer."""
    experts = [one for layer in report.layers for one in layer.experts]
    if len(experts) == 1:
        title = f"{report.model or 'unknown model'}, layer {report.layers[0].layer}, expert {experts[0].expert}"
        return Page(title, expert_table(report, experts[0]))
    balance = [balance_table(report.layers[0])] if len(report.layers) == 1 else []
    title = f"{report.model or 'unknown model'}: share of each category's {report.of} that an expert gets"
    return Page(title, layers_table(report), *balance, *note_lines(report.notes))


def layers_table(report: ExpertReport) -> Table:
    """Return all experts of one layer, by load; or of every layer the three that differ most between categories.

    Each category is a column where that fits a screen; else one column names the largest shares.
    """
    one_layer, wide = len(report.layers) == 1, len(report.categories) > _WIDEST
    names = ("layer", "expert", "load", *(() if wide else report.categories))
    columns = [Column(name, numeric=True, key=place < 2) for place, name in enumerate(names)]
    if wide:
        columns.append(Column("largest shares"))
    rows = []
    for layer in report.layers:
        order = sorted(layer.experts, key=lambda one: one.rank if one_layer else -_spread(one))
        for one in order if one_layer else order[:_SHOWN]:
            more = ", ".join(special.category for special in one.special or () if special.difference > 0)
            shares = [_largest(one)] if wide else [number(one.categories[name], 3) for name in report.categories]
            rows.append([str(layer.layer), str(one.expert), number(one.load, 4), *shares, more])
    return Table("", [*columns, "more of"], rows)


def balance_table(layer: LayerOfExperts) -> Table:
    """Return how evenly a layer spreads its load."""
    found = layer.balance
    rows = [
        ("entropy", number(found.entropy, 3)),
        ("Gini coefficient", number(found.gini, 3)),
        ("coefficient of variation", number(found.cv)),
        ("busiest expert", f"{number(found.max_over_mean)} times the mean"),
        ("never selected", str(found.dead_experts)),
    ]
    return Table("", ["", ""], rows)


def expert_table(report: ExpertReport, expert: Expert) -> Table:
    """Return the load, categories, tokens, partners and examples of one expert."""
    rows = [("load", f"{number(expert.load, 4)} of the layer's selections, rank {expert.rank}")]
    special = {one.category: "more" if one.difference > 0 else "less" for one in expert.special or ()}
    for name, share in sorted(expert.categories.items(), key=lambda pair: -pair[1]):
        than = f", {special[name]} than of others" if name in special else ""
        rows.append(("category", f"{name}: {number(share, 3)} of its {report.of}{than}"))
    rows += [
        ("token", f"{token.token!r}: {number(token.share)} of {count(token.occurrences, 'occurrence')}")
        for token in expert.tokens or ()
    ]
    rows += [("partner", _partner(one)) for one in (expert.partners or ())[:_MOST_PARTNERS]]
    rows += [("example", f"{one.prompt}: {' '.join(one.text.split())}") for one in expert.examples or ()]
    return Table("", [Column(whole=True), Column()], rows)


def _partner(partner: Partner) -> str:
    return f"expert {partner.expert}: {number(partner.share)} of its tokens, odds ratio {number(partner.odds_ratio, 1)}"


def _largest(expert: Expert) -> str:
    order = sorted(expert.categories.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{name} {number(share, 3)}" for name, share in order[:_SHOWN])


def _spread(expert: Expert) -> float:
    shares = expert.categories.values()
    return max(shares) - min(shares)
