"""The public names: all there, each imported when it is used, each with a signature that a notebook shows."""

import inspect
import subprocess
import sys

import pytest

import moexray as mx


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    assert dir(mx) == mx.__all__
    for name in mx.__all__:
        assert getattr(mx, name).__doc__, name


def test_a_name_that_is_not_public_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'analyse'"):
        mx.analyse  # noqa: B018


@pytest.mark.parametrize("name", ["analyze", "capture", "check_claims", "compare", "describe_experts", "merge"])
def test_every_verb_shows_its_options_with_types_and_defaults(name: str) -> None:
    for option in inspect.signature(getattr(mx, name)).parameters.values():
        assert option.kind not in (option.VAR_KEYWORD, option.VAR_POSITIONAL), option
        assert option.annotation is not option.empty, option
        assert option.kind is not option.KEYWORD_ONLY or option.default is not option.empty, option


def test_no_submodule_takes_the_place_of_a_public_name() -> None:
    """Whatever was imported before, the verb stays the verb."""
    program = (
        "import moexray.recording.capture, moexray.studies.comparison, moexray.examples\n"
        "import moexray.merging, moexray.trace\n"
        "import moexray as mx\n"
        "assert [getattr(mx, n).__name__ for n in ('capture', 'compare', 'example', 'merge', 'Trace')] "
        "== ['capture', 'compare', 'example', 'merge', 'Trace']"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_example_is_analyzed_without_a_model() -> None:
    program = (
        "import sys, moexray as mx\n"
        "signatures, trace = mx.example()\n"
        "report = mx.describe_experts(signatures, permutations=9)\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
