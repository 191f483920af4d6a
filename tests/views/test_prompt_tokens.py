"""Tokens of a prompt become runs of text: nothing in them moves a cursor, and numbers say what colours say."""

from dataclasses import replace

import pytest

from moexray.studies.shown_report import LeadingExpert, ShownLayer, ShownPiece, ShownPrompt, ShownToken
from moexray.views.prompt_tokens import Run, parts_of, raised


def shown(
    texts: list[str],
    *,
    written: int = 0,
    pieces: list[ShownPiece] | None = None,
    experts: list[int | None] | None = None,
) -> ShownPrompt:
    """Return a prompt of one layer with four experts, k = 1, of whose tokens the last ones are generated."""
    given = len(texts) - written
    own = experts or [i % 4 for i in range(len(texts))]
    sequence = tuple(
        ShownToken(
            i,
            i,
            text,
            "prompt" if i < given else "generated",
            "text",
            () if one is None else (one,),
            None,
            one,
            None,
            1,
        )
        for i, (text, one) in enumerate(zip(texts, own, strict=True))
    )
    return ShownPrompt(
        model=None,
        prompt="p",
        category="a",
        tokens="all",
        layer=0,
        experts=4,
        top_k=1,
        ranked=True,
        weighted=False,
        leading=(LeadingExpert(0, 2, 2), LeadingExpert(1, 1, 1)),
        others=0,
        expert=None,
        greatest_weight=None,
        layers=(ShownLayer(0, 4, 1, 4, None, 4.0, None, None),),
        sequence=sequence,
        pieces=tuple(pieces or [ShownPiece(text, i, 1) for i, text in enumerate(texts)]),
    )


def only(found: ShownPrompt) -> Run:
    ((_, (run,)),) = parts_of(found, most=0)
    return run


def test_leading_experts_have_a_tone_and_every_token_a_number() -> None:
    ((heading, runs),) = parts_of(shown(["a", "b", "c", "d"], experts=[0, 1, 3, None]), most=0)
    assert heading == "prompt, 4 tokens"
    assert [(one.text, one.tone, one.beside) for one in runs] == [
        ("a", "lead1", "(0)"),
        ("b", "lead2", "(1)"),
        ("c", "other", "(3)"),
        ("d", "other", "(–)"),
    ]


def test_the_generated_part_stands_apart() -> None:
    (given, first), (generated, second) = parts_of(shown(["a", "b", "c"], written=1), most=0)
    assert (given, generated) == ("prompt, 2 tokens", "generated, 1 token")
    assert [one.written for one in (*first, *second)] == [False, False, True]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb", "a⏎\nb"),
        ("\t", "⇥"),
        ("a\x1b[2J\r", "a\\x1b[2J\\r"),
        ("\u202eabc", "\\u202eabc"),
        ("[red]", "[red]"),
        ("\u2028", "\\u2028"),
    ],
)
def test_what_would_move_a_cursor_is_seen(text: str, expected: str) -> None:
    assert only(shown([text])).text == expected


@pytest.mark.parametrize("most", [1, 2, 3, 4, 5, 6])
def test_a_limit_shows_both_ends_and_says_how_many_tokens_are_left_out(most: int) -> None:
    texts = list("abcde")
    ((_, runs),) = parts_of(shown(texts), most=most)
    tokens = [one.text for one in runs if one.first >= 0]
    assert len(tokens) == min(most, 5)
    assert tokens == (texts if most >= 5 else [*texts[: (most + 1) // 2], *texts[5 - most // 2 :]])
    said = [one.text for one in runs if one.first < 0]
    assert said == ([] if most >= 5 else [f"\n… {5 - most} token{'s' * (most < 4)} left out; --limit 0 shows all …\n"])


def test_an_image_is_one_run_with_its_grid_and_its_first_experts() -> None:
    leading = tuple(LeadingExpert(i, n, n) for i, n in ((1, 3), (0, 2), (3, 1), (2, 1)))
    piece = ShownPiece("", 0, 7, "image", 1, 7, leading)
    run = only(shown(["x"] * 7, pieces=[piece]))
    assert (run.text, run.tone, run.beside) == ("[image 1 × 7]", "lead2", "(1×3+0×2+3×1)")
    assert only(shown(["x"] * 7, pieces=[replace(piece, rows=None, columns=None)])).text == "[image, 7 tokens]"


def test_a_character_of_two_tokens_has_the_numbers_of_both() -> None:
    run = only(shown(["\ufffd", "\ufffd"], pieces=[ShownPiece("é", 0, 2)], experts=[1, 3]))
    assert (run.text, run.tone, run.beside) == ("é", "lead2", "(1+3)")
    assert raised(run.beside) == "⁽¹⁺³⁾"


def test_one_expert_tints_by_strength_and_says_weight_or_rank() -> None:
    found = replace(shown(["a", "b"], experts=[0, 1]), expert=LeadingExpert(1, 1, 1))
    one, two = found.sequence
    ranked = replace(found, sequence=(one, replace(two, strength=4)))
    ((_, runs),) = parts_of(ranked, most=0)
    assert [(run.tone, run.beside) for run in runs] == [("other", ""), ("weight4", "(1)")]
    weighted = replace(found, weighted=True, sequence=(one, replace(two, strength=2, weights=(0.25,))))
    ((_, runs),) = parts_of(weighted, most=0)
    assert [(run.tone, run.beside) for run in runs] == [("other", ""), ("weight2", "(0.25)")]
    neither = replace(ranked, ranked=False)
    ((_, runs),) = parts_of(neither, most=0)
    assert runs[1].beside == "(×)"
