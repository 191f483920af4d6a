"""An analysis on screen: tables that read like a study's results."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Column, Table

from moexray.cli.phase_table import phase_rows
from moexray.cli.token_table import token_rows
from moexray.formats import p_text, percent
from moexray.stats.categories.alternatives import Specification
from moexray.studies.codec import pair_name
from moexray.studies.sections.alternatives import by_choice

_WIDEST = 6
_PHASES = {"all": "prompt and generated tokens", "prompt": "prompt tokens", "generated": "generated tokens"}


def print_analysis(document: Mapping[str, Any]) -> None:
    """Print the headline, the categories, the layers and the notes of an analysis."""
    console = Console(highlight=False, markup=False, emoji=False)  # names may look like markup
    subject = document["signatures"]
    categories = ", ".join(f"{name} {n}" for name, n in subject["categories"].items())
    k = ", ".join(map(str, sorted(set(subject["top_k"]))))
    console.print(f"{subject['model']}: {len(subject['layers'])} MoE layers of {subject['experts']} experts, k = {k}")
    by = ", by gate mass" if subject.get("by") == "mass" else ""
    console.print(f"{subject['prompts']} prompts ({categories}), {_PHASES[subject['phase']]}{by}\n")
    console.print(_headline(document))
    console.print(_category_table(document["similarity"], list(subject["categories"])))
    console.print(_layer_table(document))
    if "specifications" in document:
        console.print(_specification_table(document["specifications"]))
    console.print("intervals are of 95 %, over prompts; a layer's p is corrected for their number")
    for key, reason in document["notes"].items():
        console.print(f"note: {key}: {reason}")


def _headline(document: Mapping[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2))
    similarity = document["similarity"]
    table.add_row("within categories", _pairs(similarity["within"]))
    table.add_row("across categories", _pairs(similarity["across"]))
    d = f"Cohen's d = {_number(similarity['cohens_d'])}{_interval(similarity['cohens_d_ci'])}"
    table.add_row("effect size", f"{d}, AUC = {_number(similarity['auc'], 3)}{_interval(similarity['auc_ci'], 3)}")
    for row in (
        _permutation_row(document),
        *_balance_rows(document),
        *_classifier_rows(document),
        *_control_rows(document),
        *token_rows((document["controls"] or {}).get("token_identity")),
        *phase_rows(document),
    ):
        table.add_row(*row)
    pca = document["pca"]
    if pca is not None:
        shares = " and ".join(percent(share) for share in pca["explained_variance_ratio"])
        table.add_row("two components", f"{shares} of the variance, silhouette {_number(pca['silhouette'])}")
    depth = document["depth"]
    if depth is not None:
        between = "" if depth["peak_layer_ci"] is None else " [{}, {}]".format(*depth["peak_layer_ci"])
        table.add_row("depth", f"Spearman {depth['spearman']:+.2f} ({p_text(depth['p_value'])})")
        table.add_row("peak layer", f"{depth['peak_layer']}{between}")
    return table


def _permutation_row(document: Mapping[str, Any]) -> tuple[str, str]:
    test = document["permutation"]
    if test is None:
        return "shuffled labels", "not computed"
    difference = f"{test['observed']:.4f} against {test['null_mean']:.4f} ± {test['null_std']:.4f}"
    return "shuffled labels", f"{difference}: {p_text(test['p_value'])} ({test['permutations']:,} shuffles)"


def _balance_rows(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    names = {"uniform": "balanced routing", "load_matched": "same load, random"}
    rows = []
    for key, null in (document["balance"] or {}).items():
        low, high = null["ci"]
        within = "above" if null["within_above"] else "not above"
        across = "below" if null["across_below"] else "not below"
        rows.append((names[key], f"{null['mean']:.4f} [{low:.4f}, {high:.4f}]: within {within}, across {across}"))
    return rows


def _classifier_rows(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = document["classifier"]
    if found is None:
        return [("classifier", "not computed")]
    accuracy = found["accuracy"]
    low, high = accuracy["ci"]
    right = f"{percent(accuracy['mean'])} ± {percent(accuracy['std'])} in {len(accuracy['folds'])} folds"
    chance = f"{percent(found['chance'])}: {p_text(found['p_value'])} ({found['permutations']:,} shuffles)"
    return [("classifier", f"{right} [{percent(low)}, {percent(high)}]"), ("chance", chance)]


def _control_rows(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = document["controls"] or {}
    rows = []
    for name, key in (("words alone", "lexical"), ("length alone", "length")):
        if found.get(key) is not None:
            low, high = found[key]["accuracy"]["ci"]
            gain = found[key]["signatures_less_this"]
            between = "" if gain["ci"] is None else " [{:+.1f}, {:+.1f}]".format(*(100 * end for end in gain["ci"]))
            text = f"{percent(found[key]['accuracy']['mean'])} [{percent(low)}, {percent(high)}]"
            rows.append((name, f"{text}; signatures {100 * gain['difference']:+.1f}{between}"))
    if found.get("partial") is not None:
        partial = found["partial"]
        effect = f"{partial['category_effect']:+.4f} of {partial['unadjusted']:+.4f} left: {p_text(partial['p_value'])}"
        rows.append(("both held fixed", f"{effect} ({partial['permutations']:,} shuffles)"))
    return rows


def _category_table(similarity: Mapping[str, Any], names: Sequence[str]) -> Table:
    """Mean similarity within each category on the diagonal, between two of them beside it, where that fits a screen."""
    if len(names) > _WIDEST:
        table = Table("similarity", Column("within", justify="right"), box=box.SIMPLE_HEAD)
        for name in names:
            table.add_row(name, _number(similarity["by_category"][name]["mean"], 3))
        return table
    table = Table("similarity", *names, box=box.SIMPLE_HEAD)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in names:
        cells = [
            similarity["by_category"][row] if row == column else similarity["by_pair"][pair_name(row, column)]
            for column in names
        ]
        table.add_row(row, *(_number(cell["mean"], 3) for cell in cells))
    return table


def _layer_table(document: Mapping[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    for heading in ("layer", "within", "across", "d", "95 %", "p", "accuracy", "entropy", "max", "dead"):
        table.add_column(heading, justify="right", no_wrap=True)
    loads = document["load"] or [None] * len(document["layers"])
    for layer, load in zip(document["layers"], loads, strict=True):
        table.add_row(
            str(layer["layer"]),
            _number(layer["within"], 3),
            _number(layer["across"], 3),
            _number(layer["cohens_d"]),
            _interval(layer["cohens_d_ci"]).strip(),
            _bare_p(layer["p_value_corrected"]),
            percent(layer["accuracy"]) if layer["accuracy"] is not None else "–",
            *((_number(load["entropy"], 3), f"{load['max_over_mean']:.2f}", str(load["dead_experts"])) if load else ()),
        )
    return table


def _specification_table(found: Sequence[Mapping[str, Any]]) -> Table:
    names = {"measure": "{}", "layers": "layers {}", "phase": "tokens: {}", "left_out": "left out: {}"}
    table = Table(f"{len(found)} specifications", box=box.SIMPLE_HEAD)
    for heading in ("number", "least d", "median d", "greatest d", "p < 0.05"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in by_choice([Specification(**one) for one in found]):
        effects = map(_number, (row.least, row.median, row.greatest))
        name = names[row.choice].format(row.value)
        table.add_row(name, str(row.specifications), *effects, str(row.significant))
    return table


def _pairs(summary: Mapping[str, Any]) -> str:
    spread = f"{_number(summary['mean'], 4)} ± {_number(summary['std'], 4)} ({summary['pairs']:,} pairs)"
    return f"{spread}, mean{_interval(summary['ci'], 4)}" if summary["ci"] is not None else spread


def _interval(ends: Sequence[float] | None, digits: int = 2) -> str:
    return "" if ends is None else f" [{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]"


def _bare_p(p: float | None) -> str:
    return "–" if p is None else p_text(p).removeprefix("p ").removeprefix("= ")


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
