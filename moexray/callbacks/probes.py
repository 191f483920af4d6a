"""Signatures of fixed prompts by a model in memory, which is left as it was found."""

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from moexray.errors import CaptureError, MoexrayError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.capture import capture_with


def record_probe(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    *,
    out: Path,
    name: str,
    generation: Generation,
    record: Collection[str] = (),
    raw: bool = False,
) -> None:
    """Write the signatures of prompts, and what is recorded beside them.

    The random states of the process, and the model's mode, gradients and settings, are those from before.

    Parameters
    ----------
    model, tokenizer
        A model of transformers, within its wrappers or not, and its tokenizer.
    prompts
        What to run.
    out
        The file of signatures.
    name
        What the signatures call the model.
    generation
        What is generated after each prompt.
    record, raw
        See `moexray.recording.capture.capture`.

    Raises
    ------
    ModelError
        If the weights are spread over processes, the model is compiled in place, or its routing cannot be recorded.
    CaptureError
        If there is no tokenizer, or prompts cannot be run.
    MoexrayError
        If a file cannot be written.
    """
    from moexray.engines.transformers.engine import TransformersEngine
    from moexray.engines.transformers.fingerprint import fingerprint_of_state
    from moexray.engines.transformers.loading import LoadedModel
    from moexray.engines.transformers.training import check_whole, plain_model, same_random_state

    if tokenizer is None:
        message = "a probe needs a tokenizer: give one as `tokenizer`, or as the Trainer's `processing_class`"
        raise CaptureError(message)
    plain = plain_model(model)
    check_whole(plain)
    with same_random_state():
        loaded = LoadedModel(name, plain, tokenizer, fingerprint={"weights": fingerprint_of_state(plain)})
        with TransformersEngine(loaded, raw=raw) as engine:
            _capture_whole(engine, prompts, generation, out, record)


def _capture_whole(
    engine: Any, prompts: Sequence[Prompt], generation: Generation, out: Path, record: Collection[str]
) -> None:
    """Write all files of a capture or none: no journal of a probe that was killed stands in the way of the next."""
    try:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".probe-") as folder:
            capture_with(engine, prompts, generation, out=Path(folder) / out.name, record=record)
            for file in sorted(Path(folder).iterdir()):
                file.replace(out.with_name(file.name))
    except OSError as error:
        message = f"{out} cannot be written: {error.strerror}"
        raise MoexrayError(message) from error
