"""Data in a page is what was given, in as few bytes as hold it."""

import base64
import gzip
import json

import numpy as np
import pytest

from moexray.views.report.encoding import array_block, json_block, narrowest, sums


@pytest.mark.parametrize("kind", ["uint8", "uint16", "uint32", "float32", "float64"])
def test_an_array_is_read_as_it_was_written(kind: str) -> None:
    values = np.arange(24, dtype=kind).reshape(2, 3, 4)[:, ::-1]
    block = array_block("some", values)
    assert block.form == {"type": kind, "shape": [2, 3, 4]}
    read = np.frombuffer(gzip.decompress(base64.b64decode(block.text)), dtype=f"<{np.dtype(kind).str[1:]}")
    np.testing.assert_array_equal(read.reshape(2, 3, 4), values)


def test_the_same_data_gives_the_same_text_at_any_time() -> None:
    values = np.arange(1000, dtype=np.uint16)
    assert array_block("a", values).text == array_block("a", values).text
    assert gzip.decompress(base64.b64decode(array_block("a", values).text)[:]) == values.tobytes()
    assert base64.b64decode(array_block("a", values).text)[4:8] == bytes(4)  # no time


def test_texts_are_read_as_they_were_written() -> None:
    texts = ["</script>", "\u202e", "\x00", "\U0001f600"]
    assert json.loads(gzip.decompress(base64.b64decode(json_block("t", texts).text))) == texts


@pytest.mark.parametrize(
    ("values", "kind"), [([0, 254], "uint8"), ([0, 255], "uint16"), ([0, 65534], "uint16"), ([0, 65535], "uint32")]
)
def test_what_is_missing_is_no_value(values: list[int], kind: str) -> None:
    found = narrowest(np.array([*values, -1]), missing=-1)
    assert found.dtype == kind
    assert found[-1] == np.iinfo(kind).max
    assert found[:-1].tolist() == values


def test_sums_beyond_32_bits_are_kept() -> None:
    """As the selections of a category are where production traffic was recorded."""
    for most in (5, 2**32 - 1, 2**32, 2**40 + 1):
        assert sums(np.array([[0, most]])).tolist() == [[0, most]]
    assert {sums(np.array([most])).dtype.name for most in (5, 2**40)} == {"uint32", "float64"}
