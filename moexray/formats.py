"""How numbers are written, wherever they are shown."""


def p_text(p: float | None) -> str:
    """Return ``p < 0.001`` or ``p = `` with three decimals."""
    if p is None:
        return "p not computed"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def percent(share: float) -> str:
    """Return a share as a percentage with one decimal."""
    return f"{100 * share:.1f} %"
