"""capture(): from prompts to signatures, by way of a journal that a killed capture goes on from."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import moexray
from moexray.capture.batches import begin, run_batches
from moexray.capture.journal import Journal, journal_of
from moexray.capture.options import CaptureOptions, engine_of
from moexray.capture.recorders import RECORDERS, files_of
from moexray.capture.rows import signatures_in_blocks
from moexray.capture.sameness import check_same, inputs_of
from moexray.errors import CaptureError
from moexray.files import check_writable, remove_partials
from moexray.prompts import Prompt
from moexray.signatures import Signatures, merge
from moexray.signatures_file import write_blocks

if TYPE_CHECKING:
    from moexray.engines.generation import Generation
    from moexray.engines.transformers import TransformersEngine


def capture(prompts: Sequence[Prompt], **options: Unpack[CaptureOptions]) -> Signatures:
    """Run a model on `prompts`, let it go on, and count the experts that every token was sent to.

    Parameters
    ----------
    prompts
        What to run; their ids must be unique.
    options
        See `moexray.capture.options.CaptureOptions`.

    Raises
    ------
    ModelError
        If the model cannot be loaded or heard.
    CaptureError
        If the options or the prompts cannot be run.
    """
    check_prompts(prompts)
    engine, generation = engine_of(options)
    return record(
        engine,
        prompts,
        generation,
        batch_tokens=options.get("batch_tokens"),
        weights=options.get("weights", False),
        verify=options.get("verify", False),
        on_progress=options.get("on_progress"),
    )


def capture_to(
    out: Path, prompts: Sequence[Prompt], *, recorders: Sequence[str] = (), **options: Unpack[CaptureOptions]
) -> list[Path]:
    """Capture into files; killed and called again with the same inputs, it goes on where it was.

    What is done is kept in a journal beside `out`. A resumed capture runs the very batches that the first
    one planned, and its files are the same, byte for byte.

    Parameters
    ----------
    out
        The file of signatures.
    prompts
        What to run; their ids must be unique.
    recorders
        What else to record, each into a file of its own beside `out`: see `moexray.capture.recorders`.
    options
        See `moexray.capture.options.CaptureOptions`.

    Returns
    -------
    The files that were written.

    Raises
    ------
    ModelError
        If the model cannot be loaded or heard.
    CaptureError
        If the options or the prompts cannot be run, or the journal is of a capture of something else.
    MoexrayError
        If a file cannot be written.
    """
    check_prompts(prompts)
    files = files_of(out, recorders)
    for file in (out, *files.values()):
        check_writable(file)
    weights = options.get("weights", False)
    with journal_of(out) as journal:
        engine, generation = engine_of(options)
        inputs = inputs_of(
            engine, prompts, generation, options.get("batch_tokens"), weights=weights, recorders=recorders
        )
        if not journal.is_new:
            check_same(journal.fact("inputs"), inputs)
        _verify(engine, journal, wanted=options.get("verify", False))
        if journal.is_new:
            begin(journal, engine, prompts, generation, batch_tokens=options.get("batch_tokens"), inputs=inputs)
        run_batches(
            journal,
            engine,
            prompts,
            generation,
            mass=weights,
            recorders=recorders,
            on_progress=options.get("on_progress"),
        )
        for file in (out, *files.values()):
            remove_partials(file)
        for name, file in files.items():
            RECORDERS[name].write(file, journal.rows(), prompts, engine)
        blocks = partial(_signatures, journal, engine, prompts, generation)
        write_blocks(blocks, out, prompts=len(prompts), largest=journal.fact("done")["largest"])
        journal.is_over = True
    return [out, *files.values()]


def record(
    engine: "TransformersEngine",
    prompts: Sequence[Prompt],
    generation: "Generation | None" = None,
    *,
    batch_tokens: int | None = None,
    weights: bool = False,
    verify: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Signatures:
    """Count the routing of `prompts` through an engine that is already there; see `capture`."""
    from moexray.engines.generation import Generation

    check_prompts(prompts)
    generation = generation or Generation()
    with journal_of(None) as journal:
        _verify(engine, journal, wanted=verify)
        begin(journal, engine, prompts, generation, batch_tokens=batch_tokens)
        run_batches(journal, engine, prompts, generation, mass=weights, recorders=(), on_progress=on_progress)
        return merge(list(_signatures(journal, engine, prompts, generation)))


def check_prompts(prompts: Sequence[Prompt]) -> None:
    """Raise CaptureError if there are none, two have one id, or one is not Unicode text."""
    if not prompts:
        message = "there are no prompts to run"
        raise CaptureError(message)
    seen: set[str] = set()
    for prompt in prompts:
        if prompt.id in seen:
            message = f"two prompts have the id {prompt.id!r}: ids must be unique"
            raise CaptureError(message)
        seen.add(prompt.id)
        try:
            f"{prompt.id}{prompt.category}{prompt.group}{prompt.text}".encode()
        except UnicodeEncodeError as error:
            message = f"prompt {prompt.id!r} holds {error.object[error.start]!r}, half of a character: take it out"
            raise CaptureError(message) from error


def _verify(engine: "TransformersEngine", journal: Journal, *, wanted: bool) -> None:
    if wanted and journal.fact("verified") is None:
        from moexray.engines.verify import verify

        journal.set(verified=asdict(verify(engine)))


def _signatures(
    journal: Journal, engine: "TransformersEngine", prompts: Sequence[Prompt], generation: "Generation"
) -> Iterator[Signatures]:
    return signatures_in_blocks(journal.rows(), prompts, engine.layout, _meta(journal, engine, generation))


def _meta(journal: Journal, engine: "TransformersEngine", generation: "Generation") -> dict[str, Any]:
    drawn = generation.temperature > 0
    verified = journal.fact("verified")
    return {
        **engine.description,
        "experts_implementation": journal.fact("done")["implementations"],
        "moexray": moexray.__version__,
        "max_new_tokens": generation.max_new_tokens,
        "stop_at_eos": generation.stop_at_eos,
        "batch_tokens": journal.fact("batch_tokens"),
        "do_sample": drawn,
        "temperature": generation.temperature if drawn else None,
        "top_p": generation.top_p if drawn else None,
        "seed": generation.seed if drawn else None,
        "created": journal.fact("created"),
        **({} if verified is None else {"verified": verified}),
    }
