"""Where every token is wanted, rare ones too: what an id does elsewhere, drawn towards the load of the layer."""

import numpy as np
from numpy.typing import NDArray

from moexray.stats.expected_routing import OtherBlocks
from moexray.stats.token_sums import TokenRows, sum_at

_LEAST, _MOST = 1e-3, 1e6


def dirichlet_strength(counts: NDArray[np.float64], load: NDArray[np.float64]) -> float:
    """Fit how strongly the shares of ids keep to the load of their layer, by maximum likelihood.

    The selections of an id are taken as multinomial, with shares drawn from a Dirichlet distribution of mean `load` π
    and strength α. With n_te its counts and n_t their sum, the logarithm of the likelihood is

        Σ_t (ln Γ(α) − ln Γ(α + n_t) + Σ_e (ln Γ(α π_e + n_te) − ln Γ(α π_e)))

    (T. Minka, *Estimating a Dirichlet distribution*, 2000, section 4), and it has one maximum in practice. The k
    experts of one token differ, which a multinomial does not know: α is a little too large for that.

    Parameters
    ----------
    counts
        Selections of each id ``(ids, experts)``.
    load
        Share of each expert; one that is never selected has none.

    Returns
    -------
    α, in selections: an id is believed as much as the load where it has made so many. Between 0.001 and a million.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import gammaln

    used = load > 0
    counts, load = counts[:, used], load[used]
    totals = counts.sum(axis=1)

    def less_likely(logarithm: float) -> float:
        strength = np.exp(logarithm)
        likelihood = len(totals) * gammaln(strength) - gammaln(strength + totals).sum()
        likelihood += gammaln(strength * load + counts).sum() - len(totals) * gammaln(strength * load).sum()
        return -float(likelihood)

    found = minimize_scalar(less_likely, bounds=(np.log(_LEAST), np.log(_MOST)), method="bounded")
    return float(np.exp(found.x))


def shrunk_routing(
    rows: TokenRows, selections: NDArray[np.float64], *, blocks: NDArray[np.integer]
) -> NDArray[np.float64]:  # (prompts, experts)
    """Expect all tokens of a prompt, those whose id occurs nowhere else among them.

    With n_e the selections that an id makes in other blocks, and n their sum, its expected share of expert e is
    ``(n_e + α π_e) / (n + α)``: the mean after seeing them of what `dirichlet_strength` says before.

    Parameters
    ----------
    rows, selections
        Of all prompts; a layer's counts ``(rows, experts)``.
    blocks
        The block of each prompt ``(prompts,)``: see `moexray.stats.expected_routing`.
    """
    load = selections.sum(axis=0) / selections.sum()
    strength = dirichlet_strength(rows.by_id(selections), load)
    counts = OtherBlocks(rows, blocks).sums(selections)
    shares = (counts + strength * load) / (counts.sum(axis=1, keepdims=True) + strength)
    expected = sum_at(rows.prompts, shares * selections.sum(axis=1, keepdims=True), len(blocks))
    totals = expected.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(expected, totals, out=np.zeros_like(expected), where=totals > 0))
