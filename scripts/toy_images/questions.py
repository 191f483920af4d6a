"""What is asked about a scene, and the tokenizer of these few words."""

from collections.abc import Iterator

import numpy as np
from scale_training.corpus import END_OF_TEXT
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from toy_images.scenes import COLOURS, PLACES, SHAPES, SIZES, Scene

IMAGE = "<image>"
CAPTION = "What is in the picture?"
QUESTIONS = {
    "colour": "What colour is the shape?",
    "shape": "What shape is it?",
    "size": "What size is the shape?",
    "place": "Where is the shape?",
}
# A content is a text, or parts of which an image is one.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ 'User: ' if message['role'] == 'user' else 'Assistant: ' }}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{{ '<image>' if part['type'] == 'image' else part['text'] }}"
    "{% endfor %}{% endif %}{{ '\n' if message['role'] == 'user' else eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def question_and_answer(scene: Scene, rng: np.random.Generator) -> tuple[str, str]:
    """Return a question about a scene and its answer: half ask for a caption, and a quarter for what is hardest."""
    drawn = rng.random()
    if drawn < 0.5:
        return CAPTION, scene.caption
    name = "shape" if drawn < 0.75 else list(QUESTIONS)[rng.integers(len(QUESTIONS))]
    return QUESTIONS[name], str(getattr(scene, name))


def prompt_of(question: str, *, picture: bool) -> str:
    """Return what the model is given: what the chat template makes of one message of the user."""
    return f"User: {IMAGE if picture else ''}{question}\nAssistant:"


def train_tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE on every sentence that there is; it reads other words, too, as bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT, IMAGE],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_sentences(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END_OF_TEXT, pad_token=END_OF_TEXT, chat_template=CHAT_TEMPLATE
    )


def _sentences() -> Iterator[str]:
    for question in (CAPTION, *QUESTIONS.values()):
        yield f"User: {question}\nAssistant:"
    for shape in SHAPES:
        for colour in COLOURS:
            for size in SIZES:
                for place in PLACES:
                    scene = Scene(shape, colour, size, place)
                    yield f"User: There is {scene.caption}. {CAPTION}\nAssistant: {scene.caption}"
