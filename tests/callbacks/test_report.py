"""A report says of each layer what its definitions say."""

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from moexray.callbacks import RoutingReport, watch_routing
from moexray.callbacks.report import balance_of_layers
from moexray.errors import CaptureError, NotComputable

from ..tiny_models import olmoe, random_model

# Two batches of a layer of four experts, and of one of two.
SELECTIONS = np.array([[[4, 4, 0, 0], [3, 1, 0, 0]], [[0, 0, 392, 0], [1, 3, 0, 0]]])


def report(**options: Any) -> RoutingReport:
    given = {"dead_below": 0.05, **options}
    layers = balance_of_layers((0, 3), (4, 2), SELECTIONS, np.array([0, 5]), **given)
    return RoutingReport(batches=2, passes=2, left_out=0, tokens=8, unmasked=3, dead_below=0.05, layers=layers)


def test_each_number_is_that_of_its_definition() -> None:
    first, second = report().layers
    shares = [0.01, 0.01, 0.98]
    nats = -sum(share * math.log(share) for share in shares)
    assert first.entropy == pytest.approx(nats / math.log(4))
    assert first.effective_experts == pytest.approx(math.exp(nats))
    assert first.maxvio == pytest.approx(392 / 100 - 1)
    assert first.maxvio_batch == pytest.approx((1 + 3) / 2)
    assert first.dead_experts == 3  # 4, 4 and 0 are below 5 of a mean of 100
    assert (second.selections, second.dropped) == ((4, 4), 5)
    assert (second.entropy, second.effective_experts, second.maxvio) == pytest.approx((1, 2, 0))
    assert second.maxvio_batch == pytest.approx(0.5)


def test_the_threshold_of_the_dead_is_that_of_the_user() -> None:
    assert [one.dead_experts for one in report(dead_below=0.04).layers] == [1, 0]
    assert [one.dead_experts for one in report(dead_below=0.0).layers] == [0, 0]


def test_keys_of_the_log_are_few_and_the_same_for_all_models() -> None:
    keys = ["entropy/mean", "entropy/min", "effective_experts/mean", "maxvio/mean", "maxvio/max"]
    keys += ["maxvio_batch/mean", "maxvio_batch/max", "dead_experts/sum", "tokens"]
    found = report().metrics()
    assert list(found) == [f"routing/{key}" for key in keys]
    assert all(type(value) is float for value in found.values())
    assert found["routing/maxvio/max"] == pytest.approx(2.92)
    assert found["routing/dead_experts/sum"] == 3
    of_layers = report().metrics(per_layer=True).keys() - found.keys()
    assert {key.split("/")[1] for key in of_layers} == {"layer_00", "layer_03"}


def test_a_printed_report_has_a_row_for_each_layer_and_says_what_had_no_mask() -> None:
    head, _, *rows = str(report()).splitlines()
    assert head == "2 batches, 2 passes, 8 tokens, 3 of them without a mask"
    assert [row.split()[0] for row in rows] == ["0", "3"]


def test_a_layer_that_selected_nothing_is_named() -> None:
    with pytest.raises(NotComputable, match="layer 7 selected no expert in this window"):
        balance_of_layers((7,), (4,), np.zeros((1, 1, 4), dtype=np.int64), np.array([9]), dead_below=0.01)


def test_a_loop_is_watched_in_windows() -> None:
    model = random_model(olmoe(), torch.float32).train()
    tokens = torch.arange(12).view(2, 6)
    with watch_routing(model) as routing:
        for _ in range(3):
            model(input_ids=tokens, labels=tokens).loss.backward()
            routing.step()
        first = routing.report()
        with routing.paused():
            model(input_ids=tokens)
        model(input_ids=tokens)
        second = routing.report()
    assert (first.batches, first.tokens, first.unmasked) == (3, 36, 36)
    assert (second.batches, second.tokens) == (1, 12)
    assert first.layers[0].maxvio == pytest.approx(second.layers[0].maxvio)  # the weights did not change


def test_passes_that_there_are_not_are_named() -> None:
    with pytest.raises(CaptureError, match="`passes` is 'eval'"), watch_routing(None, passes="eval"):  # type: ignore[arg-type]
        pass


@pytest.mark.slow
def test_importing_the_callbacks_loads_nothing_heavy() -> None:
    program = "import sys, moexray.callbacks; print({'torch', 'transformers', 'numpy'} & set(sys.modules))"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True)
    assert finished.stdout == "set()\n"
