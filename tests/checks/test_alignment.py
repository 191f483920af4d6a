"""Recorded layers are laid beside the model's by index, or in their order where indices cannot be meant."""

from moexray.checks.alignment import Layers, align

MODEL = Layers((1, 3, 5), (8, 8, 8), (2, 2, 2))


def test_equal_layers_are_laid_side_by_side() -> None:
    found = align(MODEL, MODEL)
    assert (found.places, found.kept, found.diagnoses, found.problem) == ((0, 1, 2), (2, 2, 2), (), None)


def test_layers_numbered_by_their_order_are_compared_in_it_and_said_to_be() -> None:
    found = align(Layers((0, 1, 2), (8, 8, 8), (2, 2, 2)), MODEL)
    assert found.places == (0, 1, 2)
    assert [one.name for one in found.diagnoses] == ["layer_numbers"]


def test_dense_layers_that_were_recorded_mean_nothing() -> None:
    found = align(Layers(tuple(range(6)), (8,) * 6, (2,) * 6), MODEL)
    assert found.places == (1, 3, 5)
    assert "no MoE layer 0, 2, 4" in found.diagnoses[0].text


def test_layers_that_are_missing_are_named() -> None:
    found = align(Layers((1, 5), (8, 8), (2, 2)), MODEL)
    assert found.places == (0, None, 1)
    assert "1 MoE layer of the model (3) were not recorded" in found.diagnoses[0].text


def test_fewer_experts_a_token_are_compared_with_the_greatest() -> None:
    found = align(Layers((1, 3, 5), (8, 8, 8), (1, 1, 1)), MODEL)
    assert (found.kept, found.diagnoses[0].name) == ((1, 1, 1), "truncated")


def test_what_is_of_another_model_is_not_compared() -> None:
    assert "with 9 experts" in str(align(Layers((1, 3, 5), (9, 8, 8), (2, 2, 2)), MODEL).problem)
    assert "3 experts a token" in str(align(Layers((1, 3, 5), (8, 8, 8), (3, 2, 2)), MODEL).problem)
    assert "layers 0, 2 were recorded" in str(align(Layers((0, 2), (8, 8), (2, 2)), MODEL).problem)
