"""The mass of a capture is the sum of the gate weights that the router handed over."""

from pathlib import Path

import numpy as np
from pyarrow import parquet

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.capture import capture, capture_with
from moexray.signatures import Signatures

from ..engines.transformers.zoo_checks import routers_say
from ..tiny_models import routed

# Whose weights for a token sum to one, as they are configured here.
SUM_TO_ONE = {"gpt_oss", "mixtral"}


def test_mass_is_the_traces_gate_weights_summed_by_prompt_phase_layer_and_expert(
    tmp_path: Path, tiny_olmoe_folder: str
) -> None:
    prompts = [Prompt("abcd", "first", "one"), Prompt("xy", "second", "two"), Prompt("mnopqrs", "first", "three")]
    capture(prompts, out=tmp_path / "s.npz", model=tiny_olmoe_folder, max_new_tokens=4, record=["weights", "trace"])
    found = Signatures.load(tmp_path / "s.npz")
    expected = np.zeros(found.counts.shape)
    for row in parquet.read_table(tmp_path / "s.trace.parquet").to_pylist():
        place = found.prompts.ids.index(row["prompt"]), int(row["phase"] == "generated")
        layer = found.layers.tolist().index(row["layer"])
        for expert, weight in zip(row["experts"], row["gate_weights"], strict=True):
            expected[(*place, layer, expert)] += weight
    np.testing.assert_allclose(found.mass, expected, rtol=1e-6)


def test_mass_does_not_depend_on_the_batch(in_float64: LoadedModel, prompts: list[Prompt]) -> None:
    engine = TransformersEngine(in_float64)
    alone, together = (
        capture_with(engine, prompts, Generation(3), batch_tokens=budget, record=["weights"]) for budget in (1, 10_000)
    )
    np.testing.assert_array_equal(alone.mass, together.mass)


def test_weights_that_sum_to_one_make_a_mass_of_one_a_token(in_float64: LoadedModel, prompts: list[Prompt]) -> None:
    """Elsewhere no such law holds, and none is claimed: each family says here which it is."""
    found = capture_with(TransformersEngine(in_float64), prompts, Generation(3), record=["weights"])
    assert found.mass is not None
    a_token = found.mass.sum(axis=3) / found.tokens[:, :, None]
    if in_float64.name in SUM_TO_ONE:
        np.testing.assert_allclose(a_token, 1, atol=2e-3)
    else:
        assert np.abs(a_token - 1).max() > 0.01


def test_without_weights_there_is_no_mass(in_float32: LoadedModel, prompts: list[Prompt]) -> None:
    assert capture_with(TransformersEngine(in_float32), prompts[:2], Generation(1)).mass is None


def test_weights_are_those_of_the_experts_beside_them(in_float64: LoadedModel, prompts: list[Prompt]) -> None:
    """What the router returned for a prompt alone: its weight for each expert, to half precision."""
    engine = TransformersEngine(in_float64)
    (sequence,) = routed(engine, prompts[3:4], Generation(0), want={"weights"})
    assert sequence.gate_weights is not None
    said = routers_say(in_float64.model, sequence.token_ids.tolist())
    assert len(said) == len(engine.layout.layers)
    for place, (experts, weights) in enumerate(said):
        order, expected_order = sequence.experts[:, place].argsort(axis=1), experts.argsort(axis=1)
        found = np.take_along_axis(sequence.gate_weights[:, place], order, axis=1)
        expected = np.take_along_axis(weights, expected_order, axis=1)
        np.testing.assert_allclose(found, expected, rtol=1e-3)
