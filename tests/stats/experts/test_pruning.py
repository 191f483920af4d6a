"""Rankings are those of their definitions, by loops over experts."""

import numpy as np

from moexray.stats.experts.pruning import experts_in_share, least, most_redundant


def test_a_share_is_what_it_says_in_decimals() -> None:
    """In binary, 0.57 × 100 is 56.99…, and 0.29 × 100 is 28.99…."""
    for hundredths in range(101):
        for experts in (8, 60, 100, 160, 384):
            assert experts_in_share(hundredths / 100, experts) == hundredths * experts // 100


def test_the_least_are_those_of_a_sorted_list_and_ties_go_by_id() -> None:
    assert least(np.array([3, 1, 2, 1, 0]), 3) == (1, 3, 4)
    assert least(np.array([1.0, 1.0, 1.0]), 2) == (0, 1)
    assert least(np.arange(4), 0) == ()


def test_redundant_experts_go_one_by_one_while_their_partner_stays() -> None:
    """Experts 0 and 1 share all tokens, so one of them goes; 2 and 3 share half of those of 3; 4 is alone."""
    pairs = np.array([[4, 4, 0, 0, 0], [4, 8, 0, 0, 0], [0, 0, 6, 3, 0], [0, 0, 3, 4, 0], [0, 0, 0, 0, 5]])
    assert most_redundant(pairs, 1) == (0,)
    assert most_redundant(pairs, 2) == (0, 3)
    assert most_redundant(pairs, 3) == (0, 1, 3) or most_redundant(pairs, 3) == (0, 3, 1)


def test_greedy_choice_is_that_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    selected = rng.random((60, 9)) < rng.random(9)
    pairs = selected.astype(int).T @ selected.astype(int)
    left = set(range(9))
    for number in range(1, 8):
        shares = {
            one: max(1.0 if pairs[one, one] == 0 else pairs[one, other] / pairs[one, one] for other in left - {one})
            for one in sorted(left)
        }
        left.remove(max(shares, key=lambda one: (shares[one], -one)))
        assert set(most_redundant(pairs, number)) == set(range(9)) - left


def test_an_expert_without_tokens_goes_first() -> None:
    pairs = np.array([[5, 4, 0], [4, 5, 0], [0, 0, 0]])
    assert most_redundant(pairs, 1) == (2,)
