"""Record the example data that come with moexray: the bundled prompts through the embedded model.

    python scripts/record_example.py

It replaces moexray/example_data/. The same versions of torch and transformers give the same counts.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from pyarrow import parquet

from moexray.examples import FOLDER
from moexray.signatures import Signatures


def main() -> None:
    """Capture with a trace, and keep the trace without its gate weights, which are two thirds of its size."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        recorded = Path(folder) / "signatures.npz"
        options = ["--model", "scale", "--device", "cpu", "--dtype", "float32", "--record", "trace"]
        subprocess.run([sys.executable, "-m", "moexray", "capture", *options, "--out", recorded], check=True)
        signatures = Signatures.load(recorded)
        signatures.replace(meta={**signatures.meta, "created": None}).save(FOLDER / "signatures.npz")
        source = parquet.ParquetFile(recorded.with_name("signatures.trace.parquet"))
        names = [name for name in source.schema_arrow.names if name != "gate_weights"]
        with parquet.ParquetWriter(
            FOLDER / "signatures.trace.parquet", source.schema_arrow.remove(-1 + len(source.schema_arrow)),
            compression="zstd", compression_level=19,
        ) as writer:  # fmt: skip
            for group in range(source.num_row_groups):
                writer.write_table(source.read_row_group(group, columns=names))


if __name__ == "__main__":
    main()
