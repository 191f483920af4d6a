"""Counts of a distributed run are those of all its processes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from .test_counting import MASK, TOKENS, counting, tiny, train

ROOT = Path(__file__).parents[3]
# Two processes, each of which trains on its own half of a batch, in two accumulated passes, under DDP. With "uneven"
# the first ends a batch more than the second. One of them has imported everything before it becomes two.
PROGRAM = """
import json, os, sys
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from moexray.callbacks import watch_routing
from moexray.errors import ModelError
from tests.tiny_models import olmoe, random_model

tokens, mask = torch.load(sys.argv[3])
model = random_model(olmoe(), torch.float32).train()
child = os.fork()
rank = 0 if child else 1
dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{sys.argv[2]}", rank=rank, world_size=2)
model = DistributedDataParallel(model)

def train(first, last):
    model(input_ids=tokens[first:last], attention_mask=mask[first:last], labels=tokens[first:last]).loss.backward()

with watch_routing(model) as routing:
    with model.no_sync():
        train(*[(0, 1), (2, 3)][rank])
    train(*[(1, 2), (0, 1)][rank])
    routing.step()
    if sys.argv[1] == "uneven" and rank == 0:
        model.module(input_ids=tokens, labels=tokens).loss.backward()  # by itself: DDP would wait for the other
        routing.step()
    try:
        found = routing.report()
        said = [found.batches, found.passes, found.tokens, [one.selections for one in found.layers]]
    except ModelError as error:
        said = str(error)
dist.barrier()
os.write(1, (json.dumps(said) + chr(10)).encode())
if child:
    os.waitpid(child, 0)
os._exit(0)
"""


def in_two_processes(how: str, folder: Path) -> list[Any]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    torch.save((TOKENS, MASK), folder / "batch.pt")
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM, how, port, str(folder / "batch.pt")],
        env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        timeout=100,
        encoding="utf-8",
    )
    return [json.loads(line) for line in finished.stdout.splitlines() if line.startswith(("[", '"'))]


@pytest.mark.slow
def test_two_processes_report_the_sums_of_both(tmp_path: Path) -> None:
    """Sequences 0, 1, 2 and 0 again have 6, 8, 10 and 6 real tokens."""
    first, second = in_two_processes("even", tmp_path)
    assert first == second
    batches, passes, tokens, selections = first
    assert (batches, passes, tokens) == (1, 4, 30)
    model = tiny()
    with counting(model) as counter:
        train(model)
        train(model, TOKENS[:1], MASK[:1])
        assert counter.take().selections.sum(axis=0).tolist() == selections


@pytest.mark.nightly
def test_processes_that_count_other_batches_are_refused(tmp_path: Path) -> None:
    message = "a process has counted 1 batches, and another 2: end batches together on all of them"
    assert in_two_processes("uneven", tmp_path) == [message, message]
