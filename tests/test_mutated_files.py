"""Files that were changed at random are refused in one sentence, or give what another reader finds in them.

A few in every test run, two thousand of each kind in the nightly one: no traceback, and never a gigabyte.
"""

import csv
import io
import json
import resource
import zipfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from moexray.corpus_counts import read_counts
from moexray.errors import CountsError, MoexrayError, PromptsError, SignaturesError, TraceError
from moexray.prompts import read_prompts
from moexray.signatures import Signatures
from moexray.trace import Trace

from . import made
from .mutation import Rng, mutated, mutated_text

_MOST_KILOBYTES = 10**6
# Reads a file as moexray does and, if it is not refused, asserts that it holds what another reader finds.
Check = Callable[[Path], None]


def test_few(tmp_path: Path, kind: str) -> None:
    attack(tmp_path, kind, number=15 if kind in SLOW else 60, seed=0)


@pytest.mark.nightly
def test_two_thousand(tmp_path: Path, kind: str) -> None:
    attack(tmp_path, kind, number=2000, seed=1)


def attack(folder: Path, kind: str, *, number: int, seed: int) -> tuple[int, int]:
    """Mutate files of a kind, and return how many were refused and how many were read."""
    suffix, samples, change, error, check = KINDS[kind]
    rng, refused = np.random.default_rng([seed, sum(kind.encode())]), 0
    contents = [sample(folder) for sample in samples]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = folder / f"mutated{suffix}"
    for trial in range(number):
        path.write_bytes(change(contents[trial % len(contents)], rng))
        try:
            check(path)
        except error:
            refused += 1
        except Exception as failure:
            failure.add_note(f"{kind}, mutation {trial} of seed {seed}: {path.read_bytes()[:300]!r}")
            raise
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < _MOST_KILOBYTES
    return refused, number - refused


def signatures_bytes(folder: Path) -> bytes:
    path = folder / "s.npz"
    texts = [f"text {i} größe" for i in range(5)]
    made.signatures(5, texts=texts, groups=list("aabbc"), mass=True, columns={"n": list("12345")}).save(path)
    return path.read_bytes()


def old_signatures_bytes(_: Path) -> bytes:
    return (Path(__file__).parent / "data" / "signatures-schema-1.npz").read_bytes()


def mutated_archive(content: bytes, rng: Rng) -> bytes:
    """Mutate the bytes of an archive, or more often those of one member, whose checksum then is right."""
    if rng.random() < 0.3:
        return mutated(content, rng)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = list(members)[rng.integers(len(members))]
    if rng.random() < 0.3:
        members[name] = members[name][:10] + mutated_text(members[name][10:], rng)
    elif name == "meta.npy" and rng.random() < 0.5:
        text = mutated_text(members[name][128:], rng)
        stream = io.BytesIO()
        np.save(stream, np.frombuffer(text, np.uint8))
        members[name] = stream.getvalue()
    else:
        members[name] = members[name][:64] + mutated(members[name][64:], rng)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for member, held in members.items():
            archive.writestr(member, held)
    return stream.getvalue()


def check_signatures(path: Path) -> None:
    found = Signatures.load(path)
    strings = {"prompt_ids": found.prompts.ids, "categories": found.prompts.categories}
    strings |= {"texts": found.prompts.texts, "groups": found.prompts.groups, "outputs": found.prompts.outputs}
    strings = {name: None if held is None else tuple(held) for name, held in strings.items()}
    with np.load(path, allow_pickle=False) as file:
        for name in ("counts", "tokens", "layers", "top_k", "mass", "experts"):
            if name in file.files:
                np.testing.assert_array_equal(getattr(found, name), file[name])
        for name, held in strings.items():
            assert held == (written(file, name) if f"{name}.utf8" in file.files else None)
        meta = json.loads(file["meta"].tobytes())
    del meta["schema"]
    assert found.meta == meta


def written(file: Any, name: str) -> tuple[str, ...]:
    packed, offsets = file[f"{name}.utf8"].tobytes(), file[f"{name}.offsets"].tolist()
    return tuple(packed[a:b].decode() for a, b in pairwise(offsets))


LINES = [
    {"text": "What is 1 + 1?", "category": "math", "id": "a"},
    {"text": 'Größe\u2028 "x", y', "category": 3, "group": "g"},
    {"prompt": "third", "label": True, "group": None},
    {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": [{"type": "text", "text": "y"}]}]},
]


def json_lines(_: Path) -> bytes:
    return "\n".join(json.dumps(line, ensure_ascii=False) for line in LINES).encode() + b"\n"


def windows_json_lines(folder: Path) -> bytes:
    return b"\xef\xbb\xbf" + json_lines(folder).replace(b"\n", b"\r\n")


def check_json_lines(path: Path) -> None:
    prompts = read_prompts(path)
    lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").removesuffix(b"\n").split(b"\n")
    assert len(prompts) == len(lines)
    for prompt, line in zip(prompts, lines, strict=True):
        held = {key.strip().casefold(): value for key, value in json.loads(line).items()}
        text = next(held[key] for key in ("text", "prompt", "messages") if key in held)
        if isinstance(text, list):
            assert [dict(message)["role"] for message in prompt.messages or ()] == [one["role"] for one in text]
        else:
            assert prompt.text == text
        label = held.get("category", held.get("label", "mutated"))
        assert prompt.category == (str(label).lower() if isinstance(label, bool) else str(label))


def csv_bytes(_: Path) -> bytes:
    return 'text,category,id,group,n\n"a, ""b""\nc",math,1,g,7\nzwei,größe,2,,8\n"d",code,3,g,9\n'.encode()


def windows_csv_bytes(folder: Path) -> bytes:
    return b"\xef\xbb\xbf" + csv_bytes(folder).replace(b"\n", b"\r\n")


def check_csv(path: Path) -> None:
    prompts = read_prompts(path)
    rows = list(csv_rows(path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode()))
    header, rows = [name.strip().casefold() for name in rows[0]], rows[1:]
    assert len(prompts) == len(rows)
    text = next(name for name in ("text", "prompt") if name in header)
    for prompt, row in zip(prompts, rows, strict=True):
        assert prompt.text == row[header.index(text)]
        label = next((row[header.index(name)] for name in ("category", "label") if name in header), "mutated")
        assert prompt.category == label


def csv_rows(text: str) -> Iterator[list[str]]:
    """Read CSV as RFC 4180 has it, letter by letter."""
    row: list[str] = []
    value, place, quoted = "", 0, False
    while place < len(text):
        letter = text[place]
        if quoted and letter == '"' and text[place + 1 : place + 2] == '"':
            value, place = value + '"', place + 1
        elif letter == '"':
            quoted = not quoted
        elif not quoted and letter == ",":
            row, value = [*row, value], ""
        elif not quoted and letter in "\r\n":
            place += len(text[place:]) - len(text[place:].lstrip("\r")) - 1
            place += text[place + 1 : place + 2] == "\n"
            yield [*row, value]
            row, value = [], ""
        else:
            value += letter
        place += 1
    if row or value:
        yield [*row, value]


def counts_csv(_: Path) -> bytes:
    rows = ["m,x,0,0,3", "m,x,0,2,1", "m,x,7,1,4", "m,y,0,1,6", "m,y,7,0,6.0", "n,x,0,0,2"]
    return "\n".join(["model,corpus,layer,expert,count", *rows]).encode()


def check_counts(path: Path) -> None:
    found = {(one.model, corpus, layer, expert): int(one.corpus(corpus)[place, expert])
             for one in read_counts(path) for corpus in one.corpora for place, layer in enumerate(one.layers)
             for expert in range(one.counts.shape[2]) if one.corpus(corpus)[place, expert]}  # fmt: skip
    if path.suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))
    else:
        rows = parquet.read_table(path, columns=list(COUNTS)).to_pylist()
    expected = {}
    for row in rows:
        key = str(row["model"]), str(row["corpus"]), int(float(row["layer"])), int(float(row["expert"]))
        assert float(row["count"]) == int(float(row["count"]))
        if int(float(row["count"])):
            expected[key] = int(float(row["count"]))
    assert found == expected


def mutated_parquet(content: bytes, rng: Rng) -> bytes:
    """Mutate bytes, of the whole file or of its end, where the description of everything else stands."""
    if rng.random() < 0.5:
        return mutated(content, rng)
    end = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    return content[:end] + mutated(content[end:-8], rng) + content[-8:]


def parquet_bytes(columns: dict[str, Any], **options: Any) -> Callable[[Path], bytes]:
    def write(_: Path) -> bytes:
        stream = io.BytesIO()
        parquet.write_table(pa.table(columns), stream, **options)
        return stream.getvalue()

    return write


PROMPTS = {"text": ["one", "two größe", "three"] * 4, "label": ["a", "b", "a"] * 4, "group": ["g", None, "h"] * 4}
CHATS = {"messages": [[{"role": "user", "content": f"x {i}"}] for i in range(5)], "label": [1, 2, 3, 1, 2]}
COUNTS = {
    "model": ["m"] * 4,
    "corpus": ["x", "x", "y", "y"],
    "layer": [0] * 4,
    "expert": [0, 1] * 2,
    "count": [3.0, 1.0] * 2,
}


def check_parquet(path: Path) -> None:
    prompts = read_prompts(path)
    names = parquet.read_schema(path).names
    columns = {name.strip().casefold(): name for name in names}
    used = [name for one, name in columns.items() if one in ("text", "prompt", "messages", "category", "label")]
    table = parquet.read_table(path, columns=used)
    text = table.column(columns.get("text") or columns.get("prompt") or columns["messages"]).to_pylist()
    for prompt, held in zip(prompts, text, strict=True):
        assert prompt.text == held or prompt.messages is not None
    for name in ("category", "label"):
        if name in columns:
            labels = [
                str(one).lower() if isinstance(one, bool) else str(one) for one in table[columns[name]].to_pylist()
            ]
            assert [prompt.category for prompt in prompts] == labels


def trace_bytes(folder: Path) -> bytes:
    made.trace(folder / "t.parquet", prompts=3).save(folder / "of-trace.npz")
    return (folder / "t.parquet").read_bytes()


def check_trace(path: Path) -> None:
    trace = Trace.open(path, Signatures.load(path.with_name("of-trace.npz")))
    blocks = list(trace.blocks())
    trace.texts()
    rows = parquet.read_table(path, columns=["token_id", "experts"])
    layers = len(trace.signatures.layers)
    tokens = np.concatenate([block.token_ids for block in blocks])
    assert tokens.tolist() == rows["token_id"].to_pylist()[::layers]
    experts = np.concatenate([block.experts for block in blocks])
    assert experts.reshape(-1, experts.shape[2]).tolist() == rows["experts"].to_pylist()


Kind = tuple[str, tuple[Callable[[Path], bytes], ...], Callable[[bytes, Rng], bytes], type[MoexrayError], Check]
KINDS: dict[str, Kind] = {
    "npz": (".npz", (signatures_bytes, old_signatures_bytes), mutated_archive, SignaturesError, check_signatures),
    "JSON Lines": (".jsonl", (json_lines, windows_json_lines), mutated_text, PromptsError, check_json_lines),
    "CSV": (".csv", (csv_bytes, windows_csv_bytes), mutated_text, PromptsError, check_csv),
    "Parquet": (
        ".parquet",
        (
            parquet_bytes(PROMPTS),
            parquet_bytes(CHATS, compression="zstd", data_page_version="2.0"),
            parquet_bytes(PROMPTS, use_dictionary=False, row_group_size=5, compression="none"),
        ),
        mutated_parquet,
        PromptsError,
        check_parquet,
    ),
    "trace": (".parquet", (trace_bytes,), mutated_parquet, TraceError, check_trace),
    "counts in CSV": (".csv", (counts_csv,), mutated_text, CountsError, check_counts),
    "counts in Parquet": (".parquet", (parquet_bytes(COUNTS),), mutated_parquet, CountsError, check_counts),
}


SLOW = ("npz", "trace")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)
