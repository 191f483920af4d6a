"""Turn a folder of plain-text files into a tokenizer and token streams, one stream a category."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"
DOCUMENT_CHARACTERS = 2_000
HELD_OUT_EVERY = 25


@dataclass(frozen=True)
class Stream:
    """One category's tokens, end-of-text between documents; every 25th document is held out of training."""

    category: str
    training: NDArray[np.int64]
    held_out: NDArray[np.int64]


def read_documents(file: Path) -> list[str]:
    """Paragraphs of `file` in their order, joined to documents of about 2,000 characters.

    A document of that size keeps neighbouring paragraphs together, so that what is held out
    is text the model has not seen the other half of.
    """
    documents: list[str] = []
    paragraphs: list[str] = []
    for paragraph in file.read_text(encoding="utf-8").split("\n\n"):
        paragraphs.append(paragraph)
        if sum(map(len, paragraphs)) >= DOCUMENT_CHARACTERS:
            documents.append("\n\n".join(paragraphs))
            paragraphs = []
    return documents + (["\n\n".join(paragraphs)] if paragraphs else [])


def train_tokenizer(documents: dict[str, list[str]], vocabulary: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE on the documents that are not held out; each digit is a token of its own."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    seen = (text for texts in documents.values() for i, text in enumerate(texts) if i % HELD_OUT_EVERY)
    tokenizer.train_from_iterator(seen, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END_OF_TEXT, pad_token=END_OF_TEXT)


def tokenize(documents: dict[str, list[str]], tokenizer: PreTrainedTokenizerFast) -> list[Stream]:
    """Encode each category's documents into a training stream and a held-out stream."""
    streams = []
    for category, texts in documents.items():
        encoded = [[tokenizer.eos_token_id, *ids] for ids in tokenizer(texts)["input_ids"]]
        held_out = [ids for i, ids in enumerate(encoded) if i % HELD_OUT_EVERY == 0]
        training = [ids for i, ids in enumerate(encoded) if i % HELD_OUT_EVERY]
        streams.append(Stream(category, np.concatenate(training), np.concatenate(held_out)))
    return streams


def batch_of_windows(
    streams: list[Stream], *, windows: int, length: int, step: int, seed: int
) -> NDArray[np.int64]:  # (windows, length)
    """Windows at random places, as many from each category; a function of seed and step, so runs resume exactly."""
    rng = np.random.default_rng([seed, step])
    rows = []
    for i in range(windows):
        tokens = streams[i % len(streams)].training
        start = rng.integers(len(tokens) - length)
        rows.append(tokens[start : start + length])
    return np.stack(rows)
