"""Record the example data that come with moexray: the bundled prompts through the embedded model.

    python scripts/record_example.py

It replaces moexray/example_data/. The same versions of torch and transformers give the same counts.
"""

import tempfile
from pathlib import Path

from pyarrow import parquet

from moexray.examples import FOLDER
from moexray.prompts import bundled_prompts
from moexray.recording.capture import capture


def main() -> None:
    """Capture with a trace, and keep the trace without its gate weights, which are two thirds of its size."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "signatures.npz"
        recorded = capture(
            bundled_prompts(), model="scale", device="cpu", dtype="float32", out=out, record=["trace"]
        )  # fmt: skip
        recorded.replace(meta={**recorded.meta, "created": None}).save(FOLDER / "signatures.npz")
        table = parquet.read_table(out.with_name("signatures.trace.parquet")).drop_columns(["gate_weights"])
    # Row groups of whole prompts, as a trace needs them: here one for all.
    parquet.write_table(
        table, FOLDER / "signatures.trace.parquet", row_group_size=len(table), compression="zstd", compression_level=19
    )


if __name__ == "__main__":
    main()
