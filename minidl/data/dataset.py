"""Datasets: things with a length whose samples are fetched by index."""

from __future__ import annotations

import bisect
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..backend import Generator, array_module, check_generator, is_array, stream
from ..errors import ArgumentError, ArgumentTypeError, MissingMethodError, OutOfRangeError, ShapeError


class Dataset:
    """Base of map-style datasets: a subclass defines ``__len__`` and ``__getitem__(index)``."""

    def __getitem__(self, index: int) -> Any:
        raise MissingMethodError(f"{type(self).__name__} must define __getitem__(self, index)")

    def __len__(self) -> int:
        raise MissingMethodError(f"{type(self).__name__} must define __len__(self)")

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


def check_index(index: Any, length: int, owner: str) -> int:
    """`index` as an int, if it lies in −length … length−1."""
    try:
        number = operator.index(index)
    except TypeError:
        raise ArgumentTypeError(f"{owner}: an index is an integer, got {type(index).__name__}") from None
    if not -length <= number < length:
        raise OutOfRangeError(f"{owner}: index {number} is out of range for {length} samples")
    return number


def check_indices(indices: Any, length: int, owner: str) -> np.ndarray:
    """Many indices as an int64 array, if all of them lie in −length … length−1."""
    array = np.asarray(indices.data if isinstance(indices, Tensor) else indices)
    if array.size == 0:
        return np.zeros(array.shape, np.int64)
    if array.dtype.kind not in "iu":
        raise ArgumentTypeError(f"{owner}: indices are integers, got {array.dtype}")
    for worst in (int(array.min()), int(array.max())):
        check_index(worst, length, owner)
    return array.astype(np.int64)


class TensorDataset(Dataset):
    """Tensors of equal length, indexed together: sample i is ``(tensors[0][i], tensors[1][i], …)``.

    Samples are views without gradient. An index may also be a slice or an array of indices, which gives many at once.

    Args:      tensors: Tensors or arrays of shape (N, …)
    Raises:    ShapeError: lengths that differ, or a tensor without dimensions
    """

    def __init__(self, *tensors: Any):
        if not tensors:
            raise ArgumentError("TensorDataset: at least one tensor is needed")
        for position, tensor in enumerate(tensors):
            if not (isinstance(tensor, Tensor) or is_array(tensor)):
                raise ArgumentTypeError(
                    f"TensorDataset: argument {position} must be a Tensor or an array, got {type(tensor).__name__}"
                )
        self.tensors = tuple(tensor if isinstance(tensor, Tensor) else Tensor(tensor) for tensor in tensors)
        shapes = [tensor.shape for tensor in self.tensors]
        if any(len(shape) == 0 for shape in shapes) or len({shape[0] for shape in shapes}) > 1:
            raise ShapeError(f"TensorDataset: the tensors must have equal first dimensions, got the shapes {shapes}")

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        if isinstance(index, slice):
            return tuple(Tensor(tensor.data[index]) for tensor in self.tensors)
        if isinstance(index, list | np.ndarray | Tensor):
            index = check_indices(index, len(self), "TensorDataset")
            arrays = (tensor.data for tensor in self.tensors)
            return tuple(Tensor(array[array_module(array).asarray(index), ...]) for array in arrays)
        number = check_index(index, len(self), "TensorDataset")
        return tuple(Tensor(tensor.data[number, ...]) for tensor in self.tensors)


class Subset(Dataset):
    """The samples of another dataset at the given indices, in that order.

    Raises:    OutOfRangeError: an index outside the dataset
    """

    def __init__(self, dataset: Any, indices: Sequence[int] | np.ndarray):
        self.dataset = dataset
        self.indices = check_indices(indices, len(dataset), "Subset")

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[check_index(index, len(self), "Subset")])]


class ConcatDataset(Dataset):
    """Datasets one after the other."""

    def __init__(self, datasets: Sequence[Any]):
        self.datasets = list(datasets)
        if not self.datasets:
            raise ArgumentError("ConcatDataset: at least one dataset is needed")
        self.cumulative_sizes = np.cumsum([len(dataset) for dataset in self.datasets]).tolist()

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        index = check_index(index, len(self), "ConcatDataset") % len(self)
        which = bisect.bisect_right(self.cumulative_sizes, index)
        start = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][index - start]


class TransformedDataset(Dataset):
    """A dataset whose samples pass through a transform each time they are fetched.

    Args:      transform: applied to the first entry of a tuple sample, the image; to the whole of any other sample,
               such as a dict of image, boxes and masks. target_transform: applied to the second entry of a tuple sample
    """

    def __init__(
        self,
        dataset: Any,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ):
        self.dataset, self.transform, self.target_transform = dataset, transform, target_transform

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        sample = self.dataset[index]
        if not isinstance(sample, tuple):
            return self.transform(sample) if self.transform else sample
        transforms = (self.transform, self.target_transform, *[None] * (len(sample) - 2))
        return tuple(change(part) if change else part for part, change in zip(sample, transforms, strict=False))


def random_split(dataset: Any, lengths: Sequence[float], generator: Generator | None = None) -> list[Subset]:
    """Cut a dataset at random into parts that do not overlap.

    Args:      lengths: whole numbers that sum to ``len(dataset)``, or fractions that sum to 1, rounded down, where what
               is left over goes to the parts in turn. generator: by default the stream "data"
    Raises:    ArgumentError: lengths that sum to something else, or a negative one
    """
    total = len(dataset)
    lengths = list(lengths)
    if any(length < 0 for length in lengths):
        raise ArgumentError(f"random_split: lengths {lengths} must not be negative")
    if math.isclose(sum(lengths), 1.0) and total != 1:
        sizes = [math.floor(total * fraction) for fraction in lengths]
        for left_over in range(total - sum(sizes)):
            sizes[left_over % len(sizes)] += 1
    else:
        sizes = [int(length) for length in lengths]
        if sizes != lengths or sum(sizes) != total:
            raise ArgumentError(
                f"random_split: lengths {lengths} must be whole numbers that sum to {total}, the length of the "
                "dataset, or fractions that sum to 1"
            )
    order = (check_generator(generator, "random_split") or stream("data")).numpy.permutation(total)
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(sizes)[:-1])]


def stratified_split(
    labels: Any, test_fraction: float, generator: Generator | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of a random train and test part in which every class has the same share.

    Args:      labels: (N,) class indices, Tensor or array. test_fraction: of each class, rounded to whole samples.
               generator: by default the stream "data"
    Returns:   (train indices, test indices), each in random order
    """
    if not 0 <= test_fraction <= 1:
        raise ArgumentError(f"stratified_split: test_fraction={test_fraction} must lie in 0 … 1")
    array = np.asarray(labels.data if isinstance(labels, Tensor) else labels)
    if array.ndim != 1:
        raise ShapeError(f"stratified_split: labels must have shape (N,), got {array.shape}")
    rng = (check_generator(generator, "stratified_split") or stream("data")).numpy
    train, test = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for label in np.unique(array):
        members = rng.permutation(np.flatnonzero(array == label))
        count = round(len(members) * test_fraction)
        test.append(members[:count])
        train.append(members[count:])
    return rng.permutation(np.concatenate(train)), rng.permutation(np.concatenate(test))
