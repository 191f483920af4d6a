"""In float32, a prompt is routed beside others as alone, but where a router's scores nearly tie.

Rounding differs between a batch and a prompt alone. A selection may then differ only where the last expert taken and
the first left out score the same but for that: their gap is below `BOUND` of the spread of the token's scores. What
follows from such a difference, in later layers, tokens and texts, is not compared.
"""

import string
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel
from moexray.routing import RoutedSequence

from .released import released, released_config
from .test_zoo import RECORDED
from .zoo import model_of, released_choice, tiny_config, tiny_model
from .zoo_checks import letters, logits, record_long, routers_say
from .zoo_scores import Ranking, least_gap, rankings_of, selected_by

# No length lies so close before that at which longrope turns that what is written passes it.
LENGTHS = (1, 2, 3, 5, 8, 13, 21, 34, 44, 50, 55, 60, 66, 76, 79, 80)
NEW_TOKENS = 6
# Of the spread of a token's scores, some hundred roundings of float32 (1.2e-7): what four to eight layers add up to.
BOUND = 1e-5
# Where scores cannot be read, no selection may differ at all.
UNREAD = {"deepseek_v4": "its first layers choose experts by the token's id, so nothing is ranked"}


def texts() -> list[str]:
    """Return random letters, in all of `LENGTHS`."""
    rng = np.random.default_rng(20261126)
    return ["".join(rng.choice(list(string.ascii_letters), size=length)) for length in LENGTHS]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models this small are slower on two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def differences(one: RoutedSequence, other: RoutedSequence) -> NDArray[np.bool_]:  # (tokens, layers)
    """Return where two routings of a prompt differ, up to the first token that differs itself."""
    same = np.cumprod(one.token_ids == other.token_ids).astype(bool)
    found: NDArray[np.bool_] = (np.sort(one.experts, axis=2) != np.sort(other.experts, axis=2)).any(axis=2)
    return found[same]


def first(differing: NDArray[np.bool_], *, looped: bool = False) -> list[tuple[int, int]]:
    """Return the differences that follow from no other: no token before or at theirs differs in a layer before theirs.

    In a model that sends tokens through its layers again, a difference in any layer may be the cause of later ones.
    """
    places = list(zip(*np.nonzero(differing), strict=True))
    return [
        (int(token), int(layer))
        for token, layer in places
        if not any(before <= token and (earlier < layer or (looped and before < token)) for before, earlier in places)
    ]


def test_first_differences_are_those_that_follow_from_no_other() -> None:
    differing = np.zeros((4, 3), dtype=bool)
    for token, layer in [(1, 1), (1, 2), (2, 0), (2, 1), (3, 2)]:
        differing[token, layer] = True
    # (1, 2) follows from (1, 1), (2, 1) and (3, 2) from (2, 0); (2, 0) is before every layer that differs.
    assert first(differing) == [(1, 1), (2, 0)]
    assert first(differing, looped=True) == [(1, 1)]


def test_a_gap_is_measured_in_units_of_the_spread_of_the_scores_that_take_part() -> None:
    scores = torch.tensor([[4.0, 1.0, 3.5, 0.0], [1.0, -torch.inf, 0.5, 0.0]])
    gaps = Ranking(scores, 2).gaps()
    assert gaps.tolist() == [(3.5 - 1.0) / 4.0, (0.5 - 0.0) / 1.0]
    assert least_gap([[Ranking(scores, 1)], [Ranking(scores, 2)]], 0) == (4.0 - 3.5) / 4.0


@pytest.mark.nightly
@pytest.mark.parametrize("model_type", RECORDED)
def test_in_float32_prompts_are_routed_as_alone_but_where_scores_nearly_tie(model_type: str) -> None:
    """Each architecture names its near ties in the output of the test (shown with -rA)."""
    choice = released_config(model_type) if model_type in released() else None
    model = model_of(choice or tiny_config(model_type, **released_choice(model_type)), torch.float32)
    for tie in near_ties(model, readable=model_type not in UNREAD):
        print(f"near tie in {model_type}: {tie}")


@pytest.mark.slow
def test_scores_that_are_the_same_but_for_rounding_are_found_as_near_ties() -> None:
    """Four experts have the same router weights but for a rounding: which two of them are taken hangs on rounding."""
    model = tiny_model("mixtral", torch.float32)
    for name, parameter in model.named_parameters():
        if name.endswith("gate.weight"):
            with torch.no_grad():
                same = parameter[::4].repeat_interleave(4, dim=0)
                parameter.copy_(same * (1 + 1e-7 * torch.randn_like(same)))
    assert len(near_ties(model)) > 10


def near_ties(model: PreTrainedModel, *, readable: bool = True) -> list[str]:
    """Return the near ties at which prompts are routed otherwise beside others; nothing else may be a cause."""
    top_k = TransformersEngine(LoadedModel("tiny", model, letters())).layout.top_k
    alone = record_long(model, texts(), new_tokens=NEW_TOKENS, alone=True)
    together = record_long(model, texts(), new_tokens=NEW_TOKENS)
    if readable:
        check_reading(model, alone[-1].token_ids.tolist(), top_k)
    found: list[str] = []
    for one, other in zip(alone, together, strict=True):
        differing, ids = differences(one, other), one.token_ids.tolist()
        assert readable or not differing.any(), "a selection differs, and no scores can be read"
        if differing.any():
            found += ties_of(model, ids, differing)
        elif len(differing) < len(ids):
            found.append(tie_written(model, ids[: len(differing)]))
    return found


def check_reading(model: PreTrainedModel, ids: list[int], top_k: Sequence[int]) -> None:
    """Compare what the scores that were read select with what the routers say they selected."""
    for runs, (selected, _), k in zip(rankings_of(model, ids), routers_say(model, ids), top_k, strict=True):
        read = torch.cat([selected_by(run, k // len(runs)) for run in runs], dim=1)
        np.testing.assert_array_equal(np.sort(read.numpy(), axis=1), np.sort(selected, axis=1))


def ties_of(model: PreTrainedModel, ids: list[int], differing: NDArray[np.bool_]) -> list[str]:
    """Return the first differences, each of which must be a near tie."""
    rankings = rankings_of(model, ids)
    found = []
    for token, place in first(differing, looped=any(len(runs) > 1 for runs in rankings)):
        gap = least_gap(rankings[place], token)
        found.append(f"token {token} of {len(ids)}, MoE layer {place}, gap {gap:.1e} of the spread")
        assert gap < BOUND, f"{found[-1]}, is no near tie, and yet the selection differs beside others"
    return found


def tie_written(model: PreTrainedModel, ids: list[int]) -> str:
    """Return how near the likeliest tokens after these are, which must be a near tie."""
    likeliest = logits(model, ids)[-1].double().sort(descending=True).values
    gap = float((likeliest[0] - likeliest[1]) / (likeliest[0] - likeliest[-1]))
    assert gap < BOUND, f"another token is written after {len(ids)} beside others, gap {gap:.1e} of the spread"
    return f"the token written after {len(ids)}, gap {gap:.1e} of the spread"
