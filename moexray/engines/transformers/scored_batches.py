"""Batches of given text: the loss of each token, and how far routing rules move what is predicted."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray
from torch import nn

from moexray.engines.transformers.completions import CompletionTokens
from moexray.engines.transformers.scoring import divergences_of, losses_of, recorded_logits
from moexray.errors import ModelError
from moexray.prompts import Prompt
from moexray.routing import RoutedSequence, ScoredSequence, are_predicted, with_generated
from moexray.segments import Segment

# Runs the prompts of a batch with their outputs, in one pass.
Run = Callable[[], Sequence[RoutedSequence]]


def losses(
    model: nn.Module, run: Run, prompts: Sequence[Prompt], completions: CompletionTokens, names: tuple[Segment, ...]
) -> list[ScoredSequence]:
    """Return the loss of each token of the prompts of a batch, and of their outputs; `names` are the layout's segments.

    Raises
    ------
    ModelError
        If the model does not give the logits of all tokens, or they are no numbers.
    """
    with recorded_logits(model) as logits:
        routed = run()
    found = []
    for row, (prompt, sequence) in enumerate(zip(prompts, routed, strict=True)):
        tokens, segments = _scored(prompt, sequence, completions, names)
        of_tokens = losses_of(logits, row, tokens, ran=len(sequence.token_ids))
        predicted = are_predicted(segments, names)
        if not np.isfinite(of_tokens[predicted]).all():
            message = f"prompt {prompt.id!r}: the loss of a token is NaN or infinity: no mean would mean anything"
            raise ModelError(message)
        of_tokens[~predicted] = np.nan
        found.append(ScoredSequence(tokens, of_tokens, segments, sequence, names))
    return found


def divergences(
    model: nn.Module,
    run: Run,
    prompts: Sequence[Prompt],
    completions: CompletionTokens,
    names: tuple[Segment, ...],
    *,
    rules: Sequence[Callable[[], AbstractContextManager[None]]],
) -> list[NDArray[np.float64]]:  # (rules, tokens)
    """Return how far the predictions of a batch move under each rule, of each prompt; see `losses`.

    Parameters
    ----------
    rules
        Each begins a rule, which lasts as long as the context.

    Raises
    ------
    ModelError
        If the model cannot follow a rule, does not give the logits of all tokens, or they are no numbers.
    """
    with recorded_logits(model) as before:
        routed = run()
    each = [_scored(*one, completions, names) for one in zip(prompts, routed, strict=True)]
    found = [np.full((len(rules), len(tokens)), np.nan) for tokens, _ in each]
    for place, ruled in enumerate(rules):
        with ruled(), recorded_logits(model) as after:
            run()
        for row, (tokens, segments) in enumerate(each):
            ran, predicted = len(routed[row].token_ids), are_predicted(segments, names)
            found[row][place, predicted] = divergences_of(before, after, row, len(tokens), ran=ran)[predicted]
            if not np.isfinite(found[row][place, predicted]).all():
                message = f"prompt {prompts[row].id!r}: the prediction of a token under a rule is no number"
                raise ModelError(message)
    return found


def _scored(
    prompt: Prompt, sequence: RoutedSequence, completions: CompletionTokens, names: tuple[Segment, ...]
) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Return the tokens of a sequence and of its given output, whose last passes no router, and their segments."""
    tokens, of_prompt = sequence.token_ids, sequence.prompt_length
    if prompt.output is not None:
        tokens = np.concatenate([tokens[:of_prompt], completions.of(prompt).token_ids])
    return tokens, with_generated(sequence.segments[:of_prompt], len(tokens) - of_prompt, names)
