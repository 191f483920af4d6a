"""Random selections of a perfectly balanced router: every token picks k distinct experts, all sets equally likely."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

# A binomial draw takes about as long as thirty picks of an expert.
_PICKS_AN_OFFER = 30


def uniform_counts(
    tokens: NDArray[np.integer], top_k: NDArray[np.integer], experts: int | NDArray[np.integer], *, rng: Generator
) -> NDArray[np.int64]:  # (prompts, layers, experts of the largest layer)
    """Draw how often each prompt selects each expert, when every token picks k of a layer's experts at random.

    Token by token, or, where prompts are long, expert by expert: the distribution is the same, the time is the
    shorter one.
    """
    sizes = np.broadcast_to(experts, top_k.shape)
    picks, offers = int(tokens.sum()) * int(top_k.sum()), len(tokens) * int((sizes * top_k).sum())
    draw = counts_by_token if picks < _PICKS_AN_OFFER * offers else counts_by_expert
    return draw(tokens, top_k, sizes, rng=rng)


def counts_by_token(
    tokens: NDArray[np.integer], top_k: NDArray[np.integer], experts: NDArray[np.integer], *, rng: Generator
) -> NDArray[np.int64]:  # (prompts, layers, experts)
    """Draw the k experts of every token (R. Floyd, in J. Bentley, Commun. ACM 30, 1987).

    For each m from E − k to E − 1, with E the number of experts, draw one of the experts 0 to m; take it if it is
    new, and otherwise take m, which cannot have been drawn. Every set of k is equally likely.
    """
    prompt = np.repeat(np.arange(len(tokens)), tokens)
    counts = np.zeros((len(tokens), len(top_k), int(experts.max())), dtype=np.int64)
    for layer, (k, size) in enumerate(zip(top_k.tolist(), experts.tolist(), strict=True)):
        if k == 0:
            continue
        chosen: list[NDArray[np.int16]] = []
        for most in range(size - k, size):
            drawn = rng.integers(most + 1, size=len(prompt), dtype=np.int16)
            for other in chosen:
                np.copyto(drawn, most, where=drawn == other)
            chosen.append(drawn)
        places = np.concatenate([prompt * size + drawn for drawn in chosen])
        counts[:, layer, :size] = np.bincount(places, minlength=len(tokens) * size).reshape(len(tokens), size)
    return counts


def counts_by_expert(
    tokens: NDArray[np.integer], top_k: NDArray[np.integer], experts: NDArray[np.integer], *, rng: Generator
) -> NDArray[np.int64]:  # (prompts, layers, experts)
    """Draw how many tokens select each expert, in a time that does not grow with the number of tokens."""
    return counts_of_selections(tokens[:, None] * top_k, tokens, experts, rng=rng)


def counts_of_selections(
    selections: NDArray[np.integer], tokens: NDArray[np.integer], experts: NDArray[np.integer], *, rng: Generator
) -> NDArray[np.int64]:  # (prompts, layers, experts)
    """Draw the counts of prompts that made these selections ``(prompts, layers)``, as even over tokens as can be.

    Experts are offered one after another. A token that still needs r of the m experts left takes the next one with
    probability r/m, so the number of takers among the tokens that need r is binomial.
    """
    each, more = np.divmod(selections, tokens[:, None])
    most = int(each.max()) + 1
    needing = np.zeros((most + 1, *selections.shape), dtype=np.int64)  # tokens that still need 0, 1, … experts
    prompt, layer = np.indices(selections.shape)
    needing[each, prompt, layer] = tokens[:, None] - more
    needing[each + 1, prompt, layer] = more
    counts = np.zeros((*selections.shape, int(experts.max())), dtype=np.int64)
    for expert in range(counts.shape[2]):
        left = experts - expert  # none, or fewer than none, in layers that have offered all their experts
        for r in range(1, min(most, int(left.max())) + 1):
            takers = rng.binomial(needing[r], np.minimum(r / np.maximum(left, 1), 1))
            needing[r] -= takers
            needing[r - 1] += takers
            counts[:, :, expert] += takers
    return counts
