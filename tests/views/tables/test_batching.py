"""The tables of batches show each saving as a share of what it is compared with."""

from moexray.studies.batch_groups import Grouped, Grouping
from moexray.views.tables.batching import grouping_table


def test_a_saving_is_a_share_of_random_batches_of_the_same_prompts() -> None:
    """Batches of one category may be of fewer prompts, whose random batches read 8 where those of all read 10."""
    category = Grouped(experts=6.0, ci=None, difference=-2.0, difference_ci=None)
    found = Grouping(
        size=4,
        prompts=20,
        steps=3,
        uniform=12.0,
        random=Grouped(experts=10.0, ci=None, difference=None, difference_ci=None),
        category=category,
        signature=None,
        hamming=None,
        oracle=None,
    )
    rows = {row[0]: row for row in grouping_table(found).rows}
    assert rows["one category"][1:] == ("6.0", "", "-2.0", "", "-25.0 %")
