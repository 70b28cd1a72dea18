"""Greedy non-maximum suppression that compares only boxes which lie near each other.

The boxes are decided chunk by chunk, the best first: those of a chunk among themselves, then what stays of the chunk
against all that are left. Chunks double, so that the first few, small ones thin out what is crowded; one in which too
many boxes still overlap is halved, which bounds the memory. Two boxes with an IoU above t also have intervals on the x
axis whose IoU is above t, so a box of the width w can only meet boxes whose x1 lies in (x2 − w/t, x2 − t·w). All boxes
are kept in the order of x1, so that this is a slice.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_FIRST_CHUNK = 64
_PAIRS_OF_A_BOX = 6
"""Overlapping pairs in a chunk, for each of its boxes; more, and it is halved."""
_BLOCK = 24_000
"""Pairs of boxes that are compared in one pass over arrays: few enough for the caches."""


def nms(boxes: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Which of the boxes stay: those that no box before them that stays overlaps by more than the threshold.

    Math:      keep[j] = no i < j with keep[i] and |A_i ∩ A_j|/(|A_i| + |A_j| − |A_i ∩ A_j|) > iou_threshold
    Args:      boxes: (N, 4) float (x1, y1, x2, y2), the best first
    Returns:   (N,) bool
    """
    keep = np.zeros(len(boxes), bool)
    rank = np.argsort(boxes[:, 0], kind="stable")  # of all that are undecided, in the order of x1
    x1, y1, x2, y2 = boxes[rank].T
    columns = np.stack([x1, y1, x2, y2, (x2 - x1) * (y2 - y1)])
    start, size = 0, _FIRST_CHUNK
    while rank.size:
        inside = rank < start + size
        chunk = rank[inside]
        most = max(_PAIRS_OF_A_BOX * chunk.size, _FIRST_CHUNK**2)
        stays = _decide(chunk, columns[:, inside], iou_threshold, most)
        if stays is None:
            size //= 2
            continue
        keep[chunk[stays]] = True
        winners = columns[:, inside][:, stays]
        rank, columns = rank[~inside], columns[:, ~inside]
        beaten = np.zeros(rank.size, bool)
        for _, losers in _overlaps(winners, columns, iou_threshold):
            beaten[losers] = True
        rank, columns = rank[~beaten], columns[:, ~beaten]
        start, size = start + size, 2 * size
    return keep


def _decide(rank: np.ndarray, columns: np.ndarray, threshold: float, most_pairs: int) -> np.ndarray | None:
    """Which boxes of a chunk stay, one after the other in the order of their ranks; None if too many pairs overlap."""
    stays = np.ones(rank.size, bool)
    firsts, seconds, count = [], [], 0
    for first, second in _overlaps(columns, columns, threshold, once=True):
        firsts.append(first)
        seconds.append(second)
        count += first.size
        if count > most_pairs:
            return None
    if count:
        first, second = np.concatenate(firsts), np.concatenate(seconds)
        swapped = rank[first] > rank[second]
        winners, losers = np.where(swapped, second, first), np.where(swapped, first, second)
        order = np.argsort(rank[winners])
        winners, losers = winners[order], losers[order]
        bounds = [0, *(np.flatnonzero(np.diff(winners)) + 1).tolist(), count]
        for winner, begin, end in zip(winners[bounds[:-1]].tolist(), bounds[:-1], bounds[1:], strict=True):
            if stays[winner]:
                stays[losers[begin:end]] = False
    return stays


def _overlaps(
    a: np.ndarray, b: np.ndarray, threshold: float, once: bool = False
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The pairs (i, j) with an IoU of a_i and b_j above the threshold; `once`: a is b, and only those with i < j.

    Args:      a, b: (5, N), the four coordinates and the area, in the order of x1
    """
    if not (a.shape[1] and b.shape[1]):
        return
    width = a[2].astype(np.float64) - a[0]
    slack = 1e-5 * (np.abs(a[0]) + np.abs(a[2]))  # for the rounding of float32
    low = np.arange(a.shape[1]) if once else np.searchsorted(b[0], a[2] - width / max(threshold, 1e-9) - slack)
    high = np.maximum(low, np.searchsorted(b[0], a[2] - threshold * width + slack, side="right"))
    spread = b.shape[1] / a.shape[1]  # how much longer each further row makes the slice of a block
    height = max(4, int(min(_BLOCK / (64 + (high - low).mean()), (12_000 / spread) ** 0.5)))
    for begin in range(0, a.shape[1], height):
        block = slice(begin, begin + height)
        first = int(low[block].min())
        x1, y1, x2, y2, area = a[:, block, None]
        others = b[:, first : int(high[block].max())]
        if not others.shape[1]:
            continue
        common = _shared(x1, x2, others[0], others[2])
        common *= _shared(y1, y2, others[1], others[3])
        union = area + others[4]
        union -= common
        union *= common.dtype.type(threshold * (1 - 1e-5))  # t·union without a division, and with a margin
        i, j = np.divmod(np.flatnonzero(common > union), others.shape[1])
        if once:
            i, j = i[i + begin < j + first], j[i + begin < j + first]
        common = common[i, j]
        found = (common / (area[i, 0] + others[4, j] - common)).astype(np.float64) > threshold
        yield i[found] + begin, j[found] + first


def _shared(low: np.ndarray, high: np.ndarray, others_low: np.ndarray, others_high: np.ndarray) -> np.ndarray:
    """The lengths that intervals share, pair by pair."""
    length = np.minimum(high, others_high)
    length -= np.maximum(low, others_low)
    return np.maximum(length, 0, out=length)
