"""Drawn tokens follow the model's probabilities, and do not depend on who else is in the batch."""

from zlib import crc32

import pytest
import torch
from scipy.stats import chisquare

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel
from moexray.engines.transformers.sampling import DrawByPrompt
from moexray.errors import CaptureError
from moexray.generation import Generation
from moexray.prompts import Prompt

from ...tiny_models import TWO_FAMILIES, routed

pytestmark = pytest.mark.slow

LOGITS = torch.tensor([[0.5, 2.0, -1.0, 1.0, 0.0]])


def drawn(generation: Generation, draws: int) -> torch.Tensor:
    """Draw from the same logits, each time for another prompt."""
    processor = DrawByPrompt(generation, [str(i) for i in range(draws)])
    return processor(torch.empty(draws, 0), LOGITS.expand(draws, -1)).argmax(dim=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_tokens_are_drawn_as_often_as_softmax_says(temperature: float) -> None:
    found = torch.bincount(drawn(Generation(temperature=temperature), 4000), minlength=5)
    expected = 4000 * (LOGITS[0].double() / temperature).softmax(dim=0)
    assert chisquare(found.numpy(), expected.numpy()).pvalue > 0.001


def test_only_the_likeliest_that_make_up_top_p_are_drawn() -> None:
    """The first two have probabilities 0.55 and 0.20: together they are the fewest that reach 0.7."""
    assert set(drawn(Generation(temperature=1.0, top_p=0.7), 2000).tolist()) == {1, 3}
    assert set(drawn(Generation(temperature=1.0, top_p=1e-9), 50).tolist()) == {1}


def test_logits_that_differ_by_rounding_draw_the_same_but_for_near_ties() -> None:
    """Noise of 1/1,000 moves each probability by as much, and about so many draws, in whatever order tokens are."""
    draws, size = 400, 300
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(draws, size, generator=generator)
    moved = logits + 1e-3 * torch.randn(draws, size, generator=generator)
    ids = [str(i) for i in range(draws)]
    first, second = (
        DrawByPrompt(Generation(temperature=1.0), ids)(torch.empty(draws, 0), one).argmax(dim=1)
        for one in (logits, moved)
    )
    assert (first != second).sum() <= 4


def test_ids_of_one_checksum_have_streams_of_their_own() -> None:
    ids = ["plumless", "buckeroo"]
    assert crc32(ids[0].encode()) == crc32(ids[1].encode())
    logits = torch.zeros(2, 50)
    draw = DrawByPrompt(Generation(temperature=1.0), ids)
    assert any(len(set(draw(torch.empty(2, slot), logits).argmax(dim=1).tolist())) > 1 for slot in range(5))


def test_every_slot_has_random_numbers_of_its_own() -> None:
    """A pass that is undone and run again draws the same."""
    draw, logits = DrawByPrompt(Generation(temperature=1.0), ["p"]), torch.zeros(1, 1000)
    drawn_at = [int(draw(torch.empty(1, slot), logits).argmax()) for slot in (7, 8, 8, 9)]
    assert drawn_at[1] == drawn_at[2]
    assert len(set(drawn_at)) == 3


def test_the_smallest_temperature_draws_the_likeliest() -> None:
    assert set(drawn(Generation(temperature=5e-324), 50).tolist()) == {1}


@TWO_FAMILIES
@pytest.mark.parametrize("neighbours", [1, 4, 16])
def test_a_prompt_draws_the_same_whoever_is_beside_it(
    in_float64: LoadedModel, prompts: list[Prompt], neighbours: int
) -> None:
    engine, generation = TransformersEngine(in_float64), Generation(6, temperature=1.5, top_p=0.9, seed=3)
    alone = [routed(engine, [prompts[i]], generation)[0].output for i in range(len(prompts))]
    together = routed(engine, prompts[: neighbours + 1], generation)
    assert [sequence.output for sequence in together] == alone[: neighbours + 1]
    assert alone != [routed(engine, [prompts[i]], Generation(6))[0].output for i in range(len(prompts))]


@TWO_FAMILIES
def test_another_seed_draws_otherwise(in_float64: LoadedModel, prompts: list[Prompt]) -> None:
    engine = TransformersEngine(in_float64)
    first, second = (routed(engine, [prompts[1]], Generation(8, temperature=2.0, seed=seed))[0] for seed in (0, 1))
    assert first.output != second.output


@TWO_FAMILIES
def test_without_new_tokens_only_the_prompt_runs(in_float64: LoadedModel, prompts: list[Prompt]) -> None:
    engine = TransformersEngine(in_float64)
    for alone, longer in zip(
        routed(engine, prompts[:4], Generation(0)), routed(engine, prompts[:4], Generation(5)), strict=True
    ):
        assert (alone.output, len(alone.token_ids)) == ("", alone.prompt_length)
        assert (alone.experts == longer.experts[: longer.prompt_length]).all()


@TWO_FAMILIES
def test_an_end_token_ends_a_text_or_does_not_as_asked(in_float64: LoadedModel, prompts: list[Prompt]) -> None:
    engine = TransformersEngine(in_float64)
    plain = routed(engine, [prompts[1]], Generation(8))[0]
    engine._end_tokens = frozenset([int(plain.token_ids[plain.prompt_length + 2])])
    ended = routed(engine, [prompts[1]], Generation(8))[0]
    assert len(ended.token_ids) <= plain.prompt_length + 2
    going_on = routed(engine, [prompts[1]], Generation(8, stop_at_eos=False))[0]
    assert going_on.output == plain.output


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"temperature": float("nan")}, "temperature"), ({"top_p": 1.5}, "top_p"), ({"seed": -1}, "seed")],
)
def test_values_that_cannot_be_used_are_refused(options: dict[str, float], problem: str) -> None:
    with pytest.raises(CaptureError, match=f"`{problem}` is"):
        Generation(**options)  # type: ignore[arg-type]
