"""Tables of an ablation."""

from moexray.formats import MISSING, count, interval, listed, number, percent
from moexray.studies.ablation_result import AblatedPolicy, Ablation, ActiveLoss
from moexray.views.tables.table import Column, Page, Table
from moexray.views.wording import note_lines

_READING = (
    "added: nats a token above the whole model; random: as many experts of the same layers, drawn; stands: how many "
    "draws cost less; excess: added minus random"
)
# Selections a token, on average, that differ by less are the same.
_SAME_K = 0.005


def ablation_page(found: Ablation) -> Page:
    """Return what was measured, each policy beside chance, then by category, layers, texts and notes."""
    model = found.model or "unknown model"
    title = (
        f"{model}: {number(found.full.overall, 3)} nats a token, over {count(found.tokens, 'token')} of {_of(found)}"
    )
    blocks: list[str | Table] = []
    if found.policies:
        blocks += [policy_table(found), _READING, category_table(found)]
    if found.usage is not None:
        blocks.append(usage_text(found))
    if found.active is not None:
        blocks.append(active_table(found.active))
    if found.example is not None:
        blocks.append(text_table(found))
    return Page(title, *blocks, *note_lines(found.notes))


def policy_table(found: Ablation) -> Table:
    """Return each policy's added loss over all prompts, beside as many experts drawn at random."""
    names = ["added", "95 %", "random", "stands", "excess", "95 %"]
    fewer = any(abs(one.mean_k - found.full.mean_k) > _SAME_K for one in found.policies)
    columns = [Column("without", whole=True), *(Column(name, numeric=True) for name in [*names, *(["k"] * fewer)])]
    rows = [
        [
            _name(one),
            number(one.overall.mean, 3),
            interval(one.overall.ci) or MISSING,
            number(one.random_overall.mean, 3),
            f"{one.random_overall.cheaper}/{found.draws}",
            number(one.random_overall.excess, 3, signed=True),
            interval(one.random_overall.excess_ci) or MISSING,
            *([number(one.mean_k, 2)] * fewer),
        ]
        for one in found.policies
    ]
    whose = "" if found.kind is None else f" for {found.kind} tokens alone"
    share = "" if found.share is None else f"; rankings leave out {percent(found.share)} of every layer"
    return Table(f"{found.meaning}{whose}, {_normalisation(found)}{share}", columns, rows)


def category_table(found: Ablation) -> Table:
    """Return each policy's added loss by category, in the last row that of experts at random."""
    columns = [Column("added", whole=True), *(Column(name, numeric=True) for name in found.categories)]
    rows = [["whole model, loss", *(number(found.full.loss[name], 3) for name in found.categories)]]
    rows += [[_name(one), *(number(one.loss[name].mean, 3) for name in found.categories)] for one in found.policies]
    shown: list[float] = []
    for one in found.policies:
        if one.random_overall.mean not in shown:  # draws of equal numbers of experts are the same
            shown.append(one.random_overall.mean)
            means = (number(one.random[name].mean, 3) for name in found.categories)
            rows.append([f"at random{'' if len(shown) == 1 else ', as ' + _name(one)}", *means])
            for end, label in (("least", "  least of them"), ("most", "  most of them")):
                rows.append([label, *(number(getattr(one.random[name], end), 3) for name in found.categories)])
    return Table("by category", columns, rows)


def active_table(active: tuple[ActiveLoss, ...]) -> Table:
    """Return the added loss of each layer without the greatest selections of its tokens, beside drawn ones."""
    names = ("layer", "without", "added", "95 %", "random", "excess", "95 %")
    rows = [
        [
            str(one.layer),
            str(one.without),
            number(one.added, 3),
            interval(one.added_ci, 3) or MISSING,
            number(one.random, 3),
            number(one.excess, 3, signed=True),
            interval(one.excess_ci, 3) or MISSING,
        ]
        for one in active
    ]
    title = "without the greatest selections, one layer at a time; random: as many of each token's selections, drawn"
    return Table(title, [Column(name, numeric=True) for name in names], rows)


def text_table(found: Ablation) -> Table:
    """Return what is written after one prompt, and how much of all texts begins as the whole model's."""
    prompt = found.example
    assert prompt is not None
    columns = [Column("without", whole=True), Column("same", numeric=True), Column("text")]
    rows = [("whole model", "", found.full.text or "")]
    rows += [(_name(one), percent(one.agreement), one.text or "") for one in found.policies]
    title = f"{count(found.new_tokens, 'greedy token')}: the share before the first that differs, and the text after"
    return Table(f"{title} {prompt.prompt}", columns, rows)


def usage_text(found: Ablation) -> str:
    """Return whether the most used experts cost more than the least used."""
    usage = found.usage
    assert usage is not None
    shown = f"hottest minus coldest: {number(usage.difference, 3, signed=True)}"
    if usage.ci is None:
        return f"{shown}: too few units to tell whether usage predicts loss"
    verdict = "usage predicts loss here" if usage.ci[0] > 0 else "usage is not seen to predict loss"
    if usage.ci[1] < 0:
        verdict = "the most used experts cost less than the least used"
    return f"{shown} {interval(usage.ci, 3)}: {verdict}"


def _of(found: Ablation) -> str:
    prompts = count(found.prompts, "prompt")
    return prompts if found.scored == "prompts" else f"the outputs of {prompts}"


def _normalisation(found: Ablation) -> str:
    return f"weights {listed(sorted({one.normalisation for one in found.policies}))}"


def _name(one: AblatedPolicy) -> str:
    if one.kind == "ranking":
        return one.policy
    ids = ",".join(f"{layer}:{expert}" for layer, experts in one.experts.items() for expert in experts)
    return f"{one.policy} {ids if len(ids) <= 24 else ids[:23] + '…'}"
