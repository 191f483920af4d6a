"""What random placements cost: the spread that a learnt one has to leave behind."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.workloads.device_loads import balancedness, marks_of

# Devices in a word of bits, and tokens that are looked up at once.
_WORD, _TOKENS = 64, 1024


@dataclass(frozen=True)
class DrawnTraffic:
    """What tokens cost under each random placement: means over tokens and layers ``(draws,)``.

    Attributes
    ----------
    touched
        Devices that a token touches.
    alone
        Share of tokens, layer by layer, whose experts are all on one device.
    moved
        Share of the boundaries where the top expert's device changes; None where top experts are not known.
    """

    touched: NDArray[np.float64]
    alone: NDArray[np.float64]
    moved: NDArray[np.float64] | None


def drawn_traffic(
    device: NDArray[np.integer], selected: NDArray[np.integer], tops: NDArray[np.integer] | None
) -> DrawnTraffic:
    """Return what tokens cost under each placement.

    Parameters
    ----------
    device
        Of each expert ``(draws, layers, experts)``, −1 beyond a layer's experts.
    selected, tops
        As of `moexray.stats.workloads.token_traffic.traffic`.
    """
    draws, layers, _ = device.shape
    touched, alone = np.zeros(draws, dtype=np.int64), np.zeros(draws, dtype=np.int64)
    visits = int((selected >= 0).any(axis=2).sum())
    for layer in range(layers):
        words = _bits(device[:, layer])
        for start in range(0, len(selected), _TOKENS):
            some = selected[start : start + _TOKENS, layer]
            number = np.zeros((len(some), draws), dtype=np.uint16)
            for word in words:
                hit = word[some[:, 0]]
                for chosen in some.T[1:]:
                    hit |= word[chosen]
                number += np.bitwise_count(hit)
            touched += number.sum(axis=0, dtype=np.int64)
            alone += (number == 1).sum(axis=0)
    return DrawnTraffic(touched / visits, alone / visits, None if tops is None else _moved(device, tops))


def drawn_homes(device: NDArray[np.integer], loads: NDArray[np.integer]) -> NDArray[np.int64]:  # (draws,)
    """Return the device that holds most of the selections ``(layers, experts)`` under each placement."""
    number = int(device.max()) + 1
    by_device = [np.where(device == one, loads, 0).sum(axis=(1, 2)) for one in range(number)]
    return np.asarray(np.stack(by_device, axis=1).argmax(axis=1))


def drawn_from_home(
    device: NDArray[np.integer], selected: NDArray[np.integer], home: NDArray[np.integer]
) -> NDArray[np.float64]:  # (draws,)
    """Return the share of tokens, layer by layer, that need an expert which is not on the home of each placement.

    Parameters
    ----------
    device, selected
        As of `drawn_traffic`.
    home
        As `drawn_homes` returns it.
    """
    stay, experts = np.zeros(len(device), dtype=np.int64), device.shape[2]
    wanted = (selected >= 0).sum(axis=2)
    for layer in range(device.shape[1]):
        here = (device[:, layer] == home[:, None]).T.astype(np.float32)  # (experts, draws)
        for start in range(0, len(selected), _TOKENS):
            some = slice(start, start + _TOKENS)
            number = wanted[some, layer, None]
            held = marks_of(selected[some, layer], experts) @ here
            stay += ((held == number) & (number > 0)).sum(axis=0)
    return 1 - stay / int((wanted > 0).sum())


def drawn_sends(
    device: NDArray[np.integer], loads: NDArray[np.integer], home: NDArray[np.integer]
) -> NDArray[np.float64]:  # (draws,)
    """Return the share of selections ``(layers, experts)`` that leave the home of each placement."""
    stay = np.where(device == home[:, None, None], loads, 0).sum(axis=(1, 2))
    return np.asarray(1 - stay / loads.sum())


def drawn_balancedness(device: NDArray[np.integer], loads: NDArray[np.integer]) -> NDArray[np.float64]:  # (draws,)
    """Return the balancedness of loads ``(layers, experts)`` under each placement."""
    number = int(device.max()) + 1
    by_device = [np.where(device == one, loads, 0).sum(axis=2) for one in range(number)]
    return balancedness(np.stack(by_device, axis=2))


def drawn_batch_loads(
    device: NDArray[np.integer], counts: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return balancedness and distinct experts of the busiest device of a batch, mean over batches ``(draws,)``.

    Parameters
    ----------
    device
        As of `drawn_traffic`.
    counts
        As `moexray.stats.workloads.batch_loads.expert_counts` returns them.
    """
    number = int(device.max()) + 1
    draws, batches = len(device), counts.shape[1]
    ratio, distinct, there = np.zeros((batches, draws)), np.zeros((batches, draws)), np.zeros((batches, 1))
    for layer, of_layer in enumerate(counts):
        most, reads = np.zeros((2, batches, draws), dtype=np.float32)
        seen = (of_layer > 0).astype(np.float32)
        for one in range(number):
            here = (device[:, layer] == one).T.astype(np.float32)  # (experts, draws)
            np.maximum(most, of_layer @ here, out=most)
            np.maximum(reads, seen @ here, out=reads)
        mean = of_layer.sum(axis=1, keepdims=True) / number
        ratio += np.divide(mean, most, out=np.zeros_like(most), where=most > 0)
        distinct += reads
        there += mean > 0
    layers_with_any = np.maximum(there, 1)
    return (ratio / layers_with_any).mean(axis=0), (distinct / layers_with_any).mean(axis=0)


def _bits(device: NDArray[np.integer]) -> list[NDArray[np.unsignedinteger]]:
    """Return each expert's device as a bit of a word ``(experts + 1, draws)``, and zero for what is no expert."""
    number, (draws, experts) = int(device.max()) + 1, device.shape
    found: list[NDArray[np.unsignedinteger]] = []
    for start in range(0, number, _WORD):
        size = next(bits for bits in (8, 16, 32, 64) if bits >= min(number - start, _WORD))
        word = np.zeros((experts + 1, draws), dtype=f"uint{size}")
        inside = (device >= start) & (device < start + _WORD)
        word[:experts] = np.where(inside, np.uint64(1) << np.maximum(device - start, 0).astype(np.uint64), 0).T
        found.append(word)
    return found


def _moved(device: NDArray[np.integer], tops: NDArray[np.integer]) -> NDArray[np.float64]:
    draws, layers, experts = device.shape
    by_expert = np.zeros((layers, experts + 1, draws), dtype=np.int16)
    by_expert[:, :experts] = device.transpose(1, 2, 0)
    moved, boundaries = np.zeros(draws, dtype=np.int64), 0
    for layer in range(1, layers):
        there = (tops[:, layer - 1] >= 0) & (tops[:, layer] >= 0)
        boundaries += int(there.sum())
        before, here = tops[there, layer - 1], tops[there, layer]
        moved += (by_expert[layer - 1][before] != by_expert[layer][here]).sum(axis=0)
    return moved / max(boundaries, 1)
