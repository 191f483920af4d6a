"""capture(): run prompts through a model and record the experts that every token was sent to."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from moexray.engines.engine import Engine, image_option, open_engine, require, require_images
from moexray.errors import CaptureError
from moexray.files import file_to_write, remove_partials
from moexray.generation import Generation
from moexray.merging import joined
from moexray.prompts import Prompt
from moexray.recording.batches import began, begin, halvings, now, plan_again, run_batches
from moexray.recording.counting import no_signatures, signatures_in_blocks
from moexray.recording.job import MASS, SCORES, Job
from moexray.recording.journal import Journal, journal_of
from moexray.recording.journal_check import check_journal
from moexray.recording.progress import Progress, Reporter
from moexray.recording.recorders import RECORDERS
from moexray.recording.recorders.recorder import Recorded
from moexray.recording.resume import check_same, inputs_of
from moexray.recording.trial import trial_batches
from moexray.shards import KEY, Part, Shard
from moexray.signatures import Signatures, save_blocks
from moexray.version import __version__

DEFAULT_MODEL = "allenai/OLMoE-1B-7B-0125-Instruct"


def capture(
    prompts: Sequence[Prompt],
    *,
    model: str | Path = DEFAULT_MODEL,
    out: str | Path | None = None,
    record: Collection[str] = (),
    max_new_tokens: int = 32,
    stop_at_eos: bool = True,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    engine: str = "transformers",
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    adapter: str | Path | None = None,
    raw: bool = False,
    chat_template: str | None = None,
    template_options: Mapping[str, Any] | None = None,
    system: str | None = None,
    engine_options: Mapping[str, Any] | None = None,
    batch_tokens: int | None = None,
    reproducible: bool = False,
    verify: bool = False,
    shard: Shard | tuple[int, int] | str | None = None,
    url: str | None = None,
    served_model: str | None = None,
    concurrency: int | None = None,
    retry_seconds: float | None = None,
    request_seconds: float | None = None,
    moment: str | None = None,
    opening: Callable[..., AbstractContextManager[Engine]] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Signatures:
    """Run prompts through a model and record the experts that every token was sent to.

    With `out`, finished prompts are kept in a journal beside it. A capture that was killed goes on when it is called
    again with the same inputs: it runs the batches that the first one planned, and its files are the same byte for
    byte. With another `batch_tokens` it plans the batches that are left anew.

    Parameters
    ----------
    prompts
        What to run; their ids must be unique. Where they come with outputs, these are recorded in place of
        generated ones. Where one has images, the engine is opened with ``images=True``.
    model
        ``scale`` (the embedded model), a local folder or a Hugging Face id.
    out
        The file of signatures to write; by default nothing is written.
    record
        What to record beside the selections: ``weights`` (gate mass in the signatures), ``trace`` and
        ``coselection`` (files beside `out`: see docs/trace.md), ``scores`` (the router scores of all experts, in the
        trace).
    max_new_tokens, stop_at_eos, temperature, top_p, seed
        What is generated after each prompt: see `moexray.generation.Generation`.
    engine
        The engine that runs the model: see `moexray.engines.engine.ENGINES`.
    device, dtype, revision, trust_remote_code, adapter
        See `moexray.engines.transformers.loading.read_model`.
    raw
        Leave out the tokenizer's chat template.
    chat_template, template_options, system
        The name of the template where the tokenizer has several, variables that it reads such as
        ``{"enable_thinking": False}``, and a system message before every prompt.
    engine_options
        Options of the engine's own, such as arguments of ``vllm.LLM``: see docs/engines.md.
    batch_tokens
        The most tokens that run together, padding included; by default what memory holds. A generated token counts by
        the memory that it takes beside a token of a prompt. Batches change speed and memory; in float32 and float64
        they change no more than near ties, in half precision they change texts (docs/capture.md).
    reproducible
        Run every prompt alone, so that what is recorded of it depends on no other, in any number format. Slower.
    verify
        First check, on the longest prompt, its batch and the batch with most padding, that each prompt is routed as
        alone, and that the recorded experts, and no others, make the logits.
    shard
        ``(i, n)`` or ``"i/n"``: run only the prompts at the places i, i + n, i + 2 n, …, with i from 0 to n − 1. All
        prompts are checked. What is written is `Shard.file` of `out`, such as ``signatures.shard-3-of-8.npz`` where
        `out` is ``signatures.npz``; `moexray.merging.merge_files` joins the shards to what one capture writes.
    moment
        When the capture began, in ISO 8601, for templates that ask for the time; by default now. Shards that are given
        the same one agree.
    opening
        What opens the engine and closes it; by default `moexray.engines.engine.open_engine`.
    on_progress
        Called with a `moexray.recording.progress.Progress` at each stage and after every forward pass.

    Returns
    -------
    The signatures; those of `out` read their counts when these are asked for.

    Raises
    ------
    ModelError
        If the model cannot be loaded or its routing cannot be recorded.
    CaptureError
        If the options or the prompts cannot be run (the engine takes no images, say), there is no such shard, or
        `out` has the journal of another capture.
    MoexrayError
        If a file cannot be written.
    """
    generation = Generation(max_new_tokens, stop_at_eos, temperature, top_p, seed)
    job = Job(
        prompts,
        generation,
        None if out is None else file_to_write(out),
        _names(record),
        batch_tokens,
        reproducible,
        Shard.of(shard),
    )
    options: dict[str, Any] = {"device": device, "dtype": dtype, "revision": revision, "chat_template": chat_template}
    options["adapter"] = adapter and str(adapter)
    options["engine_options"] = dict(engine_options) if engine_options else None
    options |= {"template_options": dict(template_options) if template_options else None, "system": system}
    options |= {"url": url, "served_model": served_model, "concurrency": concurrency}
    options |= {"retry_seconds": retry_seconds, "request_seconds": request_seconds}
    flags = {"trust_remote_code": trust_remote_code, "raw": raw}
    given = {name: value for name, value in {**options, **flags}.items() if value is not None and value is not False}
    given |= image_option(engine, job.all_prompts)  # of all, so that every shard has the same segments
    _check_moment(moment)
    reporter = Reporter(on_progress, str(model), len(job.prompts))
    with journal_of(job.out) as journal:  # what would refuse a capture is met before its model is loaded
        check_journal(journal)
        reporter.enter("loading")
        with (opening or open_engine)(engine, str(model), **given) as opened:
            return _capture(journal, opened, job, reporter, verify=verify, moment=moment)


def capture_with(
    engine: Engine,
    prompts: Sequence[Prompt],
    generation: Generation | None = None,
    *,
    out: str | Path | None = None,
    record: Collection[str] = (),
    batch_tokens: int | None = None,
    reproducible: bool = False,
    verify: bool = False,
    shard: Shard | tuple[int, int] | str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Signatures:
    """Record `prompts` through an engine that is already open, and leave it open; see `capture`."""
    job = Job(
        prompts,
        generation or Generation(),
        None if out is None else file_to_write(out),
        _names(record),
        batch_tokens,
        reproducible,
        Shard.of(shard),
    )
    reporter = Reporter(on_progress, str(engine.description["model"]), len(job.prompts))
    with journal_of(job.out) as journal:
        check_journal(journal)
        return _capture(journal, engine, job, reporter, verify=verify)


def _names(record: Collection[str]) -> list[str]:
    """Return each of the names in `record` once; it may be one string with commas."""
    return list(dict.fromkeys(record.split(",") if isinstance(record, str) else record))


def _check_moment(moment: str | None) -> None:
    try:
        datetime.fromisoformat(moment or now())
    except (ValueError, TypeError) as error:
        message = f"`moment` is {moment!r}: it must be a time in ISO 8601, such as {now()}"
        raise CaptureError(message) from error


def _capture(
    journal: Journal, engine: Engine, job: Job, reporter: Reporter, *, verify: bool, moment: str | None = None
) -> Signatures:
    require(engine, [*job.needs, *(["outputs"] if job.is_given else []), *(["verify"] if verify else [])])
    require_images(engine, job.all_prompts)
    created = began(journal, moment)
    engine.begin_at(datetime.fromisoformat(created))
    inputs = inputs_of(engine, job)
    if not journal.is_new:
        check_same(journal.fact("inputs"), inputs)
        plan_again(journal, engine, job)
    was_new = journal.is_new
    if was_new:
        begin(journal, engine, job, inputs=inputs, created=created)
    if verify and job.prompts and journal.fact("verified") is None:
        reporter.enter("verifying")
        try:
            journal.set(verified=_verified(journal, engine, job))
        except BaseException:
            journal.is_over = was_new  # there is nothing yet to go on with
            raise
    run_batches(journal, engine, job, reporter)

    def blocks() -> Iterator[Signatures]:
        meta = _meta(journal, engine, job)
        if not job.prompts:
            return iter([no_signatures(engine.layout, meta, mass=job.mass)])
        return signatures_in_blocks(journal.totals(), job.prompts, engine.layout, meta)

    if job.out is None:
        return joined(list(blocks()))
    reporter.enter("writing")
    for file in job.files.values():
        remove_partials(file)
    for name in job.recorders:
        sequences, ids = journal.sequences(engine.layout.segments), [prompt.id for prompt in job.prompts]
        want = job.want(engine.capabilities)
        recorded = Recorded(sequences, ids, engine.layout, engine.text_of, scores=SCORES in want, weights=MASS in want)
        RECORDERS[name].write(job.files[name], recorded)
    save_blocks(blocks, job.out, prompts=len(job.prompts), largest=journal.fact("done")["largest"])
    journal.is_over = True
    return Signatures.open(job.out)


def _verified(journal: Journal, engine: Engine, job: Job) -> Mapping[str, Any]:
    """Check the engine on what the capture will run."""
    with_images = np.array([bool(prompt.images) for prompt in job.prompts])
    tried = trial_batches(journal.all_pending(), np.array(journal.fact("most_tokens")), with_images)
    return engine.verify([[job.prompts[prompt] for prompt in batch] for batch in tried], job.generation)


def _meta(journal: Journal, engine: Engine, job: Job) -> dict[str, Any]:
    generation, verified, done = job.generation, journal.fact("verified"), journal.fact("done")
    drawn = generation.temperature > 0 and not job.is_given
    return {
        **engine.description,
        **done["observations"],
        "moexray": __version__,
        "given_outputs": job.is_given,
        "max_new_tokens": None if job.is_given else generation.max_new_tokens,
        "stop_at_eos": None if job.is_given else generation.stop_at_eos,
        "batch_tokens": done["batch_tokens"][0] if len(done["batch_tokens"]) == 1 else done["batch_tokens"],
        **({"batches_halved": halvings(journal)} if halvings(journal) else {}),
        "reproducible": job.reproducible,
        "do_sample": drawn,
        "temperature": generation.temperature if drawn else None,
        "top_p": generation.top_p if drawn else None,
        "seed": generation.seed if drawn else None,
        "created": journal.fact("created"),
        **({} if verified is None else {"verified": verified}),
        **({} if job.shard is None else {KEY: _part(job, job.shard, done["observations"]).meta}),
    }


def _part(job: Job, shard: Shard, observations: Mapping[str, Any]) -> Part:
    return Part(shard, len(job.all_prompts), job.digest, tuple(sorted(observations)))
