"""capture(): from prompts to Signatures."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

import moexray
from moexray.capture.counts import CountsRecorder
from moexray.errors import CaptureError
from moexray.prompts import Prompt
from moexray.signatures import Signatures, smallest_unsigned

if TYPE_CHECKING:
    from moexray.engines.transformers import TransformersEngine

DEFAULT_MODEL = "allenai/OLMoE-1B-7B-0125-Instruct"
DEFAULT_BATCH_SIZE = 64


def capture(
    prompts: Sequence[Prompt],
    *,
    model: str = DEFAULT_MODEL,
    max_new_tokens: int = 32,
    batch_size: int = DEFAULT_BATCH_SIZE,
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    raw: bool = False,
    trust_remote_code: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Signatures:
    """Run `model` on `prompts`, let it go on greedily, and count the experts that every token was sent to.

    Parameters
    ----------
    prompts
        What to run; their ids must be unique.
    model
        ``scale`` (the embedded model), a local folder or a Hugging Face id.
    max_new_tokens
        Tokens to generate after each prompt, fewer where the model ends earlier.
    batch_size
        Prompts that run together. It changes speed and memory, not what is recorded.
    device, dtype, revision, trust_remote_code
        See `moexray.engines.loading.load_model`.
    raw
        Leave out the tokenizer's chat template.
    on_progress
        Called after each batch with the prompts and the routed tokens done so far.

    Raises
    ------
    ModelError
        If the model cannot be loaded or heard.
    CaptureError
        If the options or the prompts cannot be run.
    """
    _check(prompts, max_new_tokens, batch_size)
    from moexray.engines.loading import load_model
    from moexray.engines.transformers import TransformersEngine

    loaded = load_model(model, device=device, dtype=dtype, revision=revision, trust_remote_code=trust_remote_code)
    engine = TransformersEngine(loaded, raw=raw)
    return record(engine, prompts, max_new_tokens=max_new_tokens, batch_size=batch_size, on_progress=on_progress)


def record(
    engine: "TransformersEngine",
    prompts: Sequence[Prompt],
    *,
    max_new_tokens: int = 32,
    batch_size: int = DEFAULT_BATCH_SIZE,
    on_progress: Callable[[int, int], None] | None = None,
) -> Signatures:
    """Count the routing of `prompts` through an engine that is already there; see `capture`."""
    _check(prompts, max_new_tokens, batch_size)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    recorder = CountsRecorder(engine.layout, len(prompts))
    outputs = [""] * len(prompts)
    done = tokens = 0
    for sequences in engine.run(prompts, max_new_tokens=max_new_tokens, batch_size=batch_size):
        for sequence in sequences:
            recorder.add(sequence)
            outputs[sequence.prompt] = sequence.output
        done += len(sequences)
        tokens += sum(len(sequence.token_ids) for sequence in sequences)
        if on_progress is not None:
            on_progress(done, tokens)
    return Signatures(
        counts=smallest_unsigned(recorder.counts),
        tokens=recorder.tokens,
        categories=tuple(prompt.category for prompt in prompts),
        prompt_ids=tuple(prompt.id for prompt in prompts),
        layers=np.asarray(engine.layout.layers, dtype=np.int16),
        top_k=np.asarray(engine.layout.top_k, dtype=np.int16),
        meta={
            **engine.description,
            "moexray": moexray.__version__,
            "max_new_tokens": max_new_tokens,
            "batch_size": batch_size,
            "do_sample": False,
            "seed": None,
            "created": created,
        },
        texts=tuple(prompt.text for prompt in prompts),
        outputs=tuple(outputs),
        groups=tuple(prompt.group or "" for prompt in prompts) if any(prompt.group for prompt in prompts) else None,
    )


def _check(prompts: Sequence[Prompt], max_new_tokens: int, batch_size: int) -> None:
    if not prompts:
        message = "there are no prompts to run"
        raise CaptureError(message)
    for name, value in (("max_new_tokens", max_new_tokens), ("batch_size", batch_size)):
        if value < 1:
            message = f"{name} is {value}: it must be at least 1"
            raise CaptureError(message)
    ids = [prompt.id for prompt in prompts]
    if len(set(ids)) != len(ids):
        twice = next(name for i, name in enumerate(ids) if name in ids[:i])
        message = f"two prompts have the id {twice!r}: ids must be unique"
        raise CaptureError(message)
