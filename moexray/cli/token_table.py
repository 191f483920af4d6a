"""The control of token identity on screen."""

from collections.abc import Mapping
from typing import Any

from moexray.formats import p_text, percent


def token_rows(found: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Say what one token does in other prompts, and what of the separation is the tokens themselves."""
    if found is None:
        return []
    rows = []
    same = found["same_token"]
    if same is not None:
        gain = f"{same['gain']:+.4f}{_between(same['ci'], 4)} of {same['within']:.3f} in common"
        rows.append(("same token", f"{gain}: {p_text(same['p_value'])} ({same['ids']} ids)"))
    if found["share"] is not None:
        share = found["share"]
        between = "" if share["ci"] is None else " [{}, {}]".format(*map(percent, share["ci"]))
        covered = percent(found["covered"]) if found["covered"] is not None else "–"
        rows.append(("token identity", f"{percent(share['share'])}{between} of the separation ({covered} of tokens)"))
    for name, key in (("expected by token", "expected"), ("what tokens leave", "residual")):
        part = found[key]
        if part is not None and part["cohens_d"] is not None:
            text = f"d = {part['cohens_d']:.2f}{_between(part['cohens_d_ci'], 2)}"
            if part["accuracy"] is not None:
                text += f", {percent(part['accuracy'])} classified"
            rows.append((name, text + (f": {p_text(part['p_value'])}" if part["p_value"] is not None else "")))
    return rows


def _between(ends: Any, digits: int) -> str:
    return "" if ends is None else f" [{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]"
