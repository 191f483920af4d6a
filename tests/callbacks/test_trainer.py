"""RoutingCallback tells what a training did, and changes nothing of it."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainingArguments

import moexray as mx
from moexray.callbacks import RoutingCallback
from moexray.callbacks.probes import record_probe
from moexray.engines.transformers.training import same_random_state
from moexray.errors import CaptureError, ModelError, MoexrayError
from moexray.generation import Generation

from ..engines.transformers.test_counting import checkpoint
from ..tiny_models import VOCABULARY, olmoe, prompts_of_letters, random_model, tokenizer_of_letters

LENGTHS = torch.randint(3, 14, (80,), generator=torch.Generator().manual_seed(1)).tolist()
PROMPTS = prompts_of_letters()[:4]
K = 3


def texts() -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(3)
    return [{"input_ids": torch.randint(VOCABULARY, (length,), generator=generator)} for length in LENGTHS]


def padded(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    tokens = torch.nn.utils.rnn.pad_sequence([row["input_ids"] for row in rows], batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row["input_ids"]) for row in rows], batch_first=True)
    return {"input_ids": tokens, "attention_mask": mask, "labels": tokens.masked_fill(mask == 0, -100)}


def trainer(folder: Path, **options: Any) -> Trainer:
    """Return a trainer of a tiny OLMoE with dropout and an auxiliary loss, which accumulates two passes a step."""
    config = olmoe()
    config.attention_dropout, config.output_router_logits, config.router_aux_loss_coef = 0.2, True, 0.05
    given: dict[str, Any] = {"max_steps": 20, "logging_steps": 5, "save_strategy": "no", **options}
    arguments = TrainingArguments(
        str(folder),
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        learning_rate=1e-2,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        seed=1,
        **given,
    )
    return Trainer(
        random_model(config, torch.float32),
        arguments,
        train_dataset=texts(),
        eval_dataset=texts()[:4],
        data_collator=padded,
        processing_class=tokenizer_of_letters(),
    )


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "loads.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [pytest.param(False, marks=pytest.mark.nightly), True])
def test_twenty_steps_give_the_same_weights_and_losses_to_the_bit(checkpointing: bool, tmp_path: Path) -> None:
    """With dropout, an auxiliary loss, evaluation, checkpoints, and probes that generate text."""
    options: dict[str, Any] = {"save_strategy": "steps", "save_steps": 10}
    options |= {"eval_strategy": "steps", "eval_steps": 7, "save_only_model": True}
    trained = []
    for name in ("alone", "watched"):
        one = trainer(tmp_path / name, **options)  # sets the seed
        if checkpointing:
            checkpoint(one.model, reentrant=False)
        if name == "watched":
            one.add_callback(RoutingCallback(one, probe=PROMPTS, max_new_tokens=3))
        one.train()
        trained.append(one)
    alone, watched = trained
    for name, weights in alone.model.state_dict().items():
        assert torch.equal(weights, watched.model.state_dict()[name]), name
    losses = [
        [(one["step"], one["loss"], one["grad_norm"]) for one in found.state.log_history if "loss" in one]
        for found in (alone, watched)
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 4
    assert sorted(file.name for file in (tmp_path / "watched" / "routing").iterdir()) == [
        *("loads.jsonl", "step-000000.npz", "step-000010.npz", "step-000020.npz"),
    ]


@pytest.mark.slow
def test_the_log_and_the_file_hold_the_windows_of_the_training(tmp_path: Path) -> None:
    watched = trainer(tmp_path, max_steps=7, eval_strategy="steps", eval_steps=3)
    watched.add_callback(RoutingCallback(watched, every=3, per_layer=True))
    watched.train()
    logged = [one for one in watched.state.log_history if "routing/tokens" in one]
    assert [one["step"] for one in logged] == [3, 6, 7]
    written = lines(tmp_path / "routing")
    assert [(one["first_step"], one["step"], one["batches"], one["passes"]) for one in written] == [
        *((1, 3, 3, 6), (4, 6, 3, 6), (7, 7, 1, 2)),
    ]
    for one, line in zip(logged, written, strict=True):
        loads = np.array([layer["selections"] for layer in line["layers"]])
        assert loads.sum(axis=1).tolist() == [K * line["tokens"]] * 3
        assert one["routing/tokens"] == line["tokens"]
        assert one["routing/layer_00/maxvio"] == pytest.approx(loads[0].max() / loads[0].mean() - 1)
        assert one["routing/maxvio/max"] == pytest.approx((loads.max(axis=1) / loads.mean(axis=1)).max() - 1)
    # An evaluation at steps 3, 6 and 7 comes after the batch, and the last before the end of the training.
    assert [line["left_out"] for line in written] == [0, 1, 2]


class StopsBetweenSteps(TrainerCallback):  # type: ignore[misc]  # transformers publishes no types
    """Stops after the first of two passes that are accumulated for the third step."""

    def on_substep_end(self, args: Any, state: Any, control: Any, **_given: Any) -> None:
        del args
        control.should_training_stop = state.global_step == 2


@pytest.mark.slow
def test_passes_that_no_step_followed_are_in_no_window(tmp_path: Path) -> None:
    watched = trainer(tmp_path)
    watched.add_callback(StopsBetweenSteps())
    watched.add_callback(RoutingCallback(watched))
    passes: list[int] = []  # the tokens of each pass
    watched.model.model.register_forward_pre_hook(
        lambda _module, _args, given: passes.append(int(given["attention_mask"].sum())), with_kwargs=True
    )
    watched.train()
    assert len(passes) == 5
    (line,) = lines(tmp_path / "routing")
    assert [line[name] for name in ("step", "batches", "passes", "tokens")] == [2, 2, 4, sum(passes[:4])]


@pytest.mark.slow
def test_a_training_that_goes_on_keeps_the_lines_before_and_compares_its_probes(tmp_path: Path) -> None:
    first = trainer(tmp_path, max_steps=6, save_strategy="steps", save_steps=4)
    first.add_callback(RoutingCallback(first, every=2, probe=PROMPTS, record="trace"))
    first.train()
    again = trainer(tmp_path, max_steps=6, save_strategy="steps", save_steps=4)
    again.add_callback(RoutingCallback(again, every=2, probe=PROMPTS, record="trace"))
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    folder = tmp_path / "routing"
    assert [line["step"] for line in lines(folder)] == [2, 4, 6]
    files = [folder / f"step-{step:06d}.npz" for step in (0, 6)]
    one, other = map(mx.Signatures.open, files)
    traces = tuple(
        mx.Trace.open(file.with_suffix(".trace.parquet"), of) for file, of in zip(files, (one, other), strict=True)
    )
    found = mx.compare(one, other, traces=(traces[0], traces[1]), permutations=99)
    assert found.models[1].endswith("at step 6")
    assert all(0 < layer.agreement < 1 for layer in found.layers)


@pytest.mark.slow
def test_a_probe_leaves_a_model_as_it_was(tmp_path: Path) -> None:
    model = random_model(olmoe(), torch.float32).train()
    model.model.layers[1].eval()  # frozen by its owner
    model.set_experts_implementation("batched_mm")
    model(input_ids=torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss.backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    before = [module.training for module in model.modules()], model.generation_config, torch.get_rng_state()
    generation = Generation(2)
    record_probe(model, tokenizer_of_letters(), PROMPTS, out=tmp_path / "probe.npz", name="tiny", generation=generation)
    after = [module.training for module in model.modules()], model.generation_config, torch.get_rng_state()
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])
    assert set(model.get_experts_implementation().values()) == {"batched_mm"}
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert torch.equal(parameter.grad, gradient)
        assert parameter.requires_grad
    assert [file.name for file in tmp_path.iterdir()] == ["probe.npz"]
    assert mx.Signatures.open(tmp_path / "probe.npz").meta["model"] == "tiny"


def test_random_states_are_put_back() -> None:
    expected = torch.rand(2, generator=torch.Generator().manual_seed(5)).tolist()
    torch.manual_seed(5)
    with same_random_state():
        torch.rand(9)
    assert torch.rand(2).tolist() == expected


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"every": 0}, "`every` is 0: it must be at least 1 step"),
        ({"every": 2.5}, "`every` is 2.5: it must be a whole number"),
        ({"dead_below": "a few"}, "`dead_below` is 'a few': it must be a number"),
        ({"dead_below": 2}, "`dead_below` is 2: it must be a share"),
        ({"max_new_tokens": -1}, "`max_new_tokens` is -1"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(options: dict[str, Any], problem: str, tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=problem):
        RoutingCallback(trainer(tmp_path), **options)


def test_a_callback_without_its_trainer_says_how_it_is_added() -> None:
    with pytest.raises(CaptureError, match=r"trainer\.add_callback\(RoutingCallback\(trainer\)\)"):
        RoutingCallback(None)


def test_a_probe_without_a_tokenizer_or_of_a_compiled_model_is_refused(tmp_path: Path) -> None:
    model = random_model(olmoe(), torch.float32)
    given: dict[str, Any] = {"out": tmp_path / "probe.npz", "name": "tiny", "generation": Generation(0)}
    with pytest.raises(CaptureError, match="a probe needs a tokenizer"):
        record_probe(model, None, PROMPTS, **given)
    model.compile(backend="eager")
    with pytest.raises(ModelError, match=r"compiled in place, .* record the saved checkpoints with `moexray capture`"):
        record_probe(model, tokenizer_of_letters(), PROMPTS, **given)


def test_a_file_of_something_else_is_not_gone_on_with(tmp_path: Path) -> None:
    from moexray.callbacks.loads_file import append_loads, begin_loads

    file = tmp_path / "loads.jsonl"
    file.write_text('{"epoch": 1}\n')
    with pytest.raises(MoexrayError, match="has a line that is no report of a training"):
        begin_loads(file, step=3)
    begin_loads(file, step=0)
    append_loads(file, {"step": 2})
    append_loads(file, {"step": 4})
    with file.open("a") as opened:
        opened.write('{"step": 5, "to')  # a process that was killed
    begin_loads(file, step=3)
    assert file.read_text() == '{"step": 2}\n'


def test_what_could_not_be_logged_or_would_mix_two_files_is_refused_before_the_first_step(tmp_path: Path) -> None:
    """A notebook's cell that runs again adds a callback once more, or one of the trainer before."""
    watched = trainer(tmp_path)
    watched.state.logging_steps = 0  # as of a trainer that does not log by steps
    (tmp_path / "file").write_text("")
    another = copy.copy(watched)
    another.state = copy.copy(watched.state)
    for callbacks, problem in (
        ([RoutingCallback(watched)], "`logging_steps` is 0: give RoutingCallback `every`"),
        ([RoutingCallback(another)], "was made with another trainer"),
        ([RoutingCallback(watched, every=1), RoutingCallback(watched, every=2)], "two RoutingCallbacks write to"),
        ([RoutingCallback(watched, every=1, folder=tmp_path / "file")], "file cannot be made: File exists"),
    ):
        for callback in callbacks:
            watched.add_callback(callback)
        with pytest.raises(MoexrayError, match=problem):
            callbacks[0].on_train_begin(watched.args, watched.state, watched.control, model=watched.model)
        for callback in callbacks:
            watched.remove_callback(callback)


def test_a_training_that_cannot_begin_leaves_no_hook_and_the_loads_of_the_one_before(tmp_path: Path) -> None:
    watched = trainer(tmp_path)
    watched.processing_class = None
    (tmp_path / "loads.jsonl").write_text('{"step": 2}\n')
    callback = RoutingCallback(watched, probe=PROMPTS, folder=tmp_path)
    hooks = [len(module._forward_pre_hooks) + len(module._forward_hooks) for module in watched.model.modules()]
    with pytest.raises(CaptureError, match="a probe needs a tokenizer"):
        callback.on_train_begin(watched.args, watched.state, watched.control, model=watched.model)
    left = [len(module._forward_pre_hooks) + len(module._forward_hooks) for module in watched.model.modules()]
    assert left == hooks
    assert (tmp_path / "loads.jsonl").read_text() == '{"step": 2}\n'
