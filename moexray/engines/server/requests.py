"""The body of a request for one prompt, and the most that a right reply can weigh."""

from collections.abc import Collection
from hashlib import blake2b
from typing import Any

from moexray.engines.server.features import Served
from moexray.engines.serving.engine import Request
from moexray.generation import Generation

# Of a right reply: an expert id in the largest format, a token id with its comma, in two lists, and a new token's text.
_ID_BYTES = 4
_TOKEN_BYTES = 2 * 13
_TEXT_BYTES = 512
_SLACK_BYTES = 2**16


def request_body(
    served: Served, request: Request, generation: Generation, *, ends: Collection[int], runs_on: bool = False
) -> dict[str, Any]:
    """Return the body of a request for a completion of token ids.

    Every setting that a server may take from the model's own files is given: a penalty of repetitions changes tokens.

    Parameters
    ----------
    request
        The prompt's tokens, and how many to generate; its id decides its draws together with the seed.
    ends
        The tokens at which its text ends.
    runs_on
        Whether to generate all tokens, and leave it to the caller to end them: SGLang ends texts at more tokens than it
        is told to, or at none.
    """
    body: dict[str, Any] = {
        "model": served.model,
        "prompt": request.token_ids,
        "max_tokens": request.new_tokens,
        "temperature": generation.temperature,
        "top_p": generation.top_p,
        "top_k": -1,
        "min_p": 0.0,
        "min_tokens": 0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "n": 1,
        "stream": False,
        "return_token_ids": True,
        "stop_token_ids": [] if runs_on else sorted(ends),
        # vLLM ends at the tokens named above, and at no other; SGLang would then end nowhere.
        "ignore_eos": served.kind == "vllm" or runs_on or not ends,
    }
    if served.kind == "sglang":
        body["return_routed_experts"] = True
    if generation.temperature > 0:
        body["seed"] = seed_of(generation.seed, request.prompt)
    return body


def most_bytes(request: Request, *, layers: int, k: int) -> int:
    """Return the most that a right reply can weigh.

    Parameters
    ----------
    layers
        All decoder layers, dense ones included.
    """
    tokens = len(request.token_ids) + request.new_tokens
    experts = -(-tokens * layers * k * _ID_BYTES * 4 // 3)  # in base64
    return experts + tokens * _TOKEN_BYTES + request.new_tokens * _TEXT_BYTES + _SLACK_BYTES


def seed_of(seed: int, prompt: str) -> int:
    """Return the seed of a prompt's own stream of random numbers: 31 bits, which every server takes."""
    digest = blake2b(f"{seed} {prompt}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) >> 1
