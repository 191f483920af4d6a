"""Record what docs/images.md shows: the toy's pictures, in tests/data/toy_images.

    python scripts/train_toy_images.py --out toy
    python scripts/train_toy_images.py --steps 0 --out untrained
    python scripts/record_toy_images.py

It reads the folders `toy` and `untrained` of the working directory. Another machine may train other weights of the
same seed; then the page must be written anew.
"""

import tempfile
from pathlib import Path

from pyarrow import parquet

from moexray.prompts import read_prompts
from moexray.recording.capture import capture

FOLDER = Path(__file__).parents[1] / "tests" / "data" / "toy_images"
MAX_NEW_TOKENS = 16
# The file: whose model, which prompts, and which of their columns is the category.
RECORDINGS = {
    "shapes": ("toy", "toy/drawings.jsonl", "category"),
    "colours": ("toy", "toy/drawings.jsonl", "colour"),
    "night": ("toy", "toy/night.jsonl", "category"),
    "untrained": ("untrained", "toy/drawings.jsonl", "category"),
    "untrained-colours": ("untrained", "toy/drawings.jsonl", "colour"),
}
WITH_TRACE = "shapes"


def main() -> None:
    """Capture each set, with one trace, without times and without the gate weights of the trace."""
    FOLDER.mkdir(exist_ok=True)
    for name, (model, prompts, category) in RECORDINGS.items():
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / f"{name}.npz"
            recorded = capture(
                read_prompts(prompts, text_column="text", category_column=category),
                model=model,
                device="cpu",
                dtype="float32",
                max_new_tokens=MAX_NEW_TOKENS,
                out=out,
                record=["trace"] if name == WITH_TRACE else [],
            )
            recorded.replace(meta={**recorded.meta, "created": None}).save(FOLDER / out.name)
            if name == WITH_TRACE:
                _shrink(out.with_name(f"{name}.trace.parquet"))


def _shrink(trace: Path) -> None:
    table = parquet.read_table(trace)
    parquet.write_table(table, FOLDER / trace.name, row_group_size=len(table), compression="zstd", compression_level=19)


if __name__ == "__main__":
    main()
