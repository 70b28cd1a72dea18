"""A directed graph drawn in layers: every edge goes down, no box covers another, no edge runs below a box.

Math:      layer(n) = the length of the longest way from n to an end. An edge over several layers gets a column of its
           own in each layer between. The order within a layer follows the mean position of the neighbours; then the
           centres c minimize Σ w_i (c_i − mean of neighbours)² under c_{i+1} − c_i ≥ half their widths + gap, exactly,
           by pooling adjacent violators. Nodes without inputs have little weight, there and in the mean, so that a
           chain with parameters at its side runs straight down
Source:    Sugiyama, Tagawa & Toda 1981 (layers and order); Barlow et al. 1972 (pooling)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Point = tuple[float, float]

COLUMN = 12.0
SWEEPS = 12
LIGHT = 0.02


class Layout:
    """Where everything goes.

    Args:      sizes: (width, height) of each node; edges: (from, to), where from < to. gap, rise: the least distance
               between neighbours in a layer, and between layers
    Attributes: boxes: (left, top) of each node. routes: for each edge the points where it bends, down from the bottom
               of one box to the top of the other: between points 2i and 2i + 1 it is straight, then it curves.
               width, height: of the whole
    """

    def __init__(
        self, sizes: Sequence[tuple[float, float]], edges: Sequence[tuple[int, int]], gap: float = 24, rise: float = 44
    ):
        self._gap = gap
        self._widths = [width for width, _ in sizes]
        ranks = self._ranks(len(sizes), edges)
        paths = self._with_columns(ranks, edges)
        count = max(ranks, default=-1) + 1
        self._layers: list[list[int]] = [[n for n, rank in enumerate(ranks) if rank == r] for r in range(count)]
        self._above: list[list[int]] = [[] for _ in self._widths]
        self._below: list[list[int]] = [[] for _ in self._widths]
        for path in paths:
            for a, b in zip(path, path[1:], strict=False):
                self._below[a].append(b)
                self._above[b].append(a)
        self._weights = [1.0 if above else LIGHT for above in self._above]
        self._order()
        centres = self._centres()

        heights = [max(sizes[n][1] for n in layer if n < len(sizes)) for layer in self._layers]
        tops = [sum(heights[:r]) + r * rise for r in range(count)]
        left = min((centres[n] - self._widths[n] / 2 for n in range(len(centres))), default=0.0)
        self.boxes = [(centres[n] - left - w / 2, tops[ranks[n]]) for n, (w, _) in enumerate(sizes)]
        self.width = max((centres[n] - left + w / 2 for n, w in enumerate(self._widths)), default=0.0)
        self.height = tops[-1] + heights[-1] if count else 0.0
        entries = self._entries(sizes, paths, centres)
        self.routes: list[list[Point]] = []
        for e, path in enumerate(paths):
            points: list[Point] = []
            for place, n in enumerate(path[:-1]):
                x, rank = centres[n] - left, ranks[n]
                top = tops[rank] + (sizes[n][1] if place == 0 else 0.0)
                points += [(x, top), (x, tops[rank] + heights[rank])]
            self.routes.append([*points, (entries[e] - left, tops[ranks[path[-1]]])])

    @staticmethod
    def _ranks(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
        to_end = [0] * count
        for a, b in sorted(edges, reverse=True):  # a falls, and every edge leads to a larger number
            to_end[a] = max(to_end[a], to_end[b] + 1)
        most = max(to_end, default=0)
        return [most - rank for rank in to_end]

    def _with_columns(self, ranks: list[int], edges: Sequence[tuple[int, int]]) -> list[list[int]]:
        """Each edge as a path of neighbours, through columns that are new nodes."""
        paths = []
        for a, b in edges:
            path = [a]
            for rank in range(ranks[a] + 1, ranks[b]):
                path.append(len(ranks))
                ranks.append(rank)
                self._widths.append(COLUMN)
            paths.append([*path, b])
        return paths

    def _order(self) -> None:
        """Sort each layer by the mean place of its neighbours, above and below in turn."""
        for sweep in range(SWEEPS):
            downwards = sweep % 2 == 0
            layers = self._layers if downwards else self._layers[::-1]
            near = self._above if downwards else self._below
            for fixed, layer in zip(layers, layers[1:], strict=False):
                place = {n: float(i) for i, n in enumerate(fixed)}
                mean = {n: self._mean(near[n], place, len(place) / 2) for n in layer}
                layer.sort(key=mean.__getitem__)

    def _centres(self) -> list[float]:
        centres = [0.0] * len(self._widths)
        for layer in self._layers:
            self._place(layer, [0.0] * len(layer), centres)
        for sweep in range(SWEEPS):
            downwards = sweep % 2 == 1
            near = self._above if downwards else self._below
            for layer in self._layers if downwards else self._layers[::-1]:
                wanted = [self._mean(near[n], centres, centres[n]) for n in layer]
                self._place(layer, wanted, centres)
        return centres

    def _place(self, layer: list[int], wanted: list[float], centres: list[float]) -> None:
        """The centres nearest to the wanted ones that keep the order and the distances."""
        offsets = [0.0]
        for a, b in zip(layer, layer[1:], strict=False):
            offsets.append(offsets[-1] + (self._widths[a] + self._widths[b]) / 2 + self._gap)
        pools: list[tuple[float, float, int]] = []  # (mean of wanted − offset, weight, how many); means must not fall
        for n, want, offset in zip(layer, wanted, offsets, strict=True):
            mean, weight, count = want - offset, self._weights[n], 1
            while pools and pools[-1][0] > mean:
                other, heavy, more = pools.pop()
                mean, weight = (other * heavy + mean * weight) / (heavy + weight), heavy + weight
                count += more
            pools.append((mean, weight, count))
        means = [mean for mean, _, count in pools for _ in range(count)]
        for n, mean, offset in zip(layer, means, offsets, strict=True):
            centres[n] = mean + offset

    def _entries(
        self, sizes: Sequence[tuple[float, float]], paths: list[list[int]], centres: list[float]
    ) -> list[float]:
        """Where each edge meets its target: spread over the top of the box, in the order of where they come from."""
        entries = [0.0] * len(paths)
        arriving: dict[int, list[int]] = {}
        for e, path in enumerate(paths):
            arriving.setdefault(path[-1], []).append(e)
        for n, incoming in arriving.items():
            incoming.sort(key=lambda e: centres[paths[e][-2]])
            for i, e in enumerate(incoming):
                entries[e] = centres[n] + sizes[n][0] * 0.7 * ((i + 0.5) / len(incoming) - 0.5)
        return entries

    def _mean(self, near: list[int], place: Mapping[int, float] | list[float], otherwise: float) -> float:
        total = sum(self._weights[n] for n in near)
        return sum(self._weights[n] * place[n] for n in near) / total if near else otherwise
