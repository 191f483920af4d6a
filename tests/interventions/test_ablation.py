"""A model whose routing is changed is asked what a study asks, and answers as its engine does."""

from pathlib import Path

import numpy as np
import pytest

from moexray.engines.engine import Engine, open_engine
from moexray.engines.rules import Given, LeaveOutRanks, RandomDrop, Without
from moexray.errors import CaptureError
from moexray.generation import Generation
from moexray.interventions.ablation import AblatedModel
from moexray.prompts import Prompt
from moexray.recording.scoring import score, write
from moexray.studies.ablation_measured import Ablatable, Intervention

from ..recording.made_engine import MadeEngine

PROMPTS = [Prompt(text, category="ab"[i % 2], id=f"p{i}") for i, text in enumerate(("abcdef", "xyz", "mnopqrstu", "b"))]
ROWS = np.array([2, 0, 3])


@pytest.fixture(scope="module")
def engine(tiny_olmoe_folder: str) -> Engine:
    return open_engine("transformers", tiny_olmoe_folder, dtype="float32", device="cpu")


def losses(engine: Engine, prompts: list[Prompt]) -> list[float]:
    found = dict(score(engine, prompts))
    return [float(found[place].losses[1:].sum(dtype=np.float64)) for place in range(len(prompts))]


def test_a_whole_model_loses_what_its_engine_says(engine: Engine) -> None:
    model: Ablatable = AblatedModel(engine, PROMPTS, new_tokens=4)
    assert (model.layers, model.experts, model.top_k) == ((0, 1, 2), (12,) * 3, (3,) * 3)
    found = model.run(ROWS, None, write=True)
    some = [PROMPTS[row] for row in ROWS]
    assert found.losses.tolist() == losses(engine, some)
    assert found.tokens.tolist() == [8, 5, 0]  # a prompt of one token has none to score
    assert found.mean_k == 3
    written = dict(write(engine, some, Generation(5)))
    assert found.texts == tuple(written[place].output for place in range(3))
    assert found.written is not None
    assert [len(one) for one in found.written] == [4, 4, 4]


def test_each_change_is_the_rule_that_it_says(engine: Engine) -> None:
    experts = {0: (1, 5), 2: (0,)}
    some = [PROMPTS[row] for row in ROWS]
    left_out = Intervention("without", experts)
    ranks = LeaveOutRanks((0, 1), layers=(1,), normalisation="kept")
    changes = (
        (left_out, Without(experts, meaning="skipped", normalisation="kept")),
        (Intervention("forced", experts), Given(experts, normalisation="kept")),
        (Intervention("ranks", layers=(1,), ranks=2), ranks),
        (
            Intervention("drawn", layers=(1,), ranks=2, seed=5),
            RandomDrop((3.0, 1.0, 3.0), 5, layers=(1,), normalisation="kept"),
        ),
    )
    model = AblatedModel(engine, PROMPTS, meaning="skipped", normalisation="kept")
    for change, rule in changes:
        found = model.run(ROWS, change, write=False)
        with engine.ruled(rule):
            assert found.losses.tolist() == losses(engine, some)
        assert found.mean_k < 3
    replaced = AblatedModel(engine, PROMPTS).run(ROWS, left_out, write=False)
    with engine.ruled(Without(experts, meaning="replaced")):
        assert replaced.losses.tolist() == losses(engine, some)
    assert replaced.mean_k == 3


def test_usage_is_that_of_a_loop_over_tokens(engine: Engine) -> None:
    model = AblatedModel(engine, PROMPTS)
    found = model.usage(ROWS, norms=True)
    scored = dict(score(engine, [PROMPTS[row] for row in ROWS], want=["weights"]))
    counts, mass, pairs = np.zeros((3, 3, 12)), np.zeros((3, 12)), np.zeros((3, 12, 12))
    for prompt in range(3):
        routed = scored[prompt].routed
        assert routed.gate_weights is not None
        for token in range(len(routed.token_ids)):
            for layer in range(3):
                chosen = routed.experts[token, layer].tolist()
                for place, expert in enumerate(chosen):
                    counts[prompt, layer, expert] += 1
                    mass[layer, expert] += float(routed.gate_weights[token, layer, place])
                    for other in chosen:
                        pairs[layer, expert, other] += 1
    np.testing.assert_array_equal(found.counts, counts)
    np.testing.assert_allclose(found.mass, mass, rtol=1e-6)
    np.testing.assert_array_equal(found.pairs, pairs)
    assert found.norms is not None
    np.testing.assert_array_equal(found.norms, engine.output_norms([PROMPTS[row] for row in ROWS]))


def test_of_prompts_with_outputs_the_outputs_are_scored(engine: Engine) -> None:
    prompts = [Prompt("abc", "a", "p", output="defg"), Prompt("x", "a", "q", output="yz")]
    found = AblatedModel(engine, prompts).run(np.arange(2), None, write=False)
    scored = dict(score(engine, prompts))
    assert found.tokens.tolist() == [4, 2]
    assert found.losses.tolist() == [float(scored[i].losses[n:].sum(dtype=np.float64)) for i, n in ((0, 3), (1, 1))]


def test_what_cannot_be_done_is_refused(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="engine made does not offer rules for this model"):
        AblatedModel(MadeEngine(), PROMPTS)
    with pytest.raises(CaptureError, match="no token is scored"):
        AblatedModel(engine, PROMPTS).run(np.array([3]), None, write=False)
