"""Datasets, splits and collation."""

from collections import namedtuple

import numpy as np
import pytest

from minidl.autograd import Tensor
from minidl.backend import Generator, manual_seed
from minidl.data import (
    ConcatDataset,
    Dataset,
    Subset,
    TensorDataset,
    TransformedDataset,
    default_collate,
    random_split,
    stratified_split,
)
from minidl.errors import ArgumentError, ArgumentTypeError, DtypeError, MissingMethodError, OutOfRangeError, ShapeError


class Squares(Dataset):
    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if not 0 <= index < self.length:
            raise IndexError(index)
        return index * index


def test_a_dataset_must_define_both_methods():
    with pytest.raises(MissingMethodError, match="Dataset must define __getitem__"):
        Dataset()[0]
    with pytest.raises(MissingMethodError, match="Dataset must define __len__"):
        len(Dataset())


def test_tensor_dataset_gives_tensors_by_index_slice_and_array():
    x, y = np.arange(12.0).reshape(4, 3), np.arange(4)
    dataset = TensorDataset(Tensor(x), y)
    image, label = dataset[1]
    assert isinstance(image, Tensor) and isinstance(label, Tensor) and label.shape == ()
    np.testing.assert_array_equal(image.data, x[1])
    assert dataset[-1][1].data == 3 and len(dataset) == 4
    assert dataset[np.int64(2)][1].data == 2
    np.testing.assert_array_equal(dataset[1:3][0].data, x[1:3])
    np.testing.assert_array_equal(dataset[[3, 0]][1].data, [3, 0])
    np.testing.assert_array_equal(dataset[Tensor(np.array([2, 2]))][0].data, x[[2, 2]])
    assert [int(label.data) for _, label in dataset] == [0, 1, 2, 3], "iteration ends with the data"


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: TensorDataset(), ArgumentError, "at least one tensor"),
        (lambda: TensorDataset([1, 2]), ArgumentTypeError, "argument 0 must be a Tensor or an array, got list"),
        (lambda: TensorDataset(np.zeros((3, 2)), np.zeros(4)), ShapeError, r"equal first dimensions.*\(3, 2\), \(4,\)"),
        (lambda: TensorDataset(np.zeros(())), ShapeError, r"equal first dimensions, got the shapes \[\(\)\]"),
        (lambda: TensorDataset(np.zeros(3))[3], OutOfRangeError, "index 3 is out of range for 3 samples"),
        (lambda: TensorDataset(np.zeros(3))[[0, -4]], OutOfRangeError, "index -4 is out of range for 3 samples"),
        (lambda: TensorDataset(np.zeros(3))["a"], ArgumentTypeError, "an index is an integer, got str"),
        (lambda: TensorDataset(np.zeros(3))[[0.5]], ArgumentTypeError, "indices are integers, got float64"),
        (lambda: Subset(Squares(3), [0, 3]), OutOfRangeError, "Subset: index 3 is out of range for 3"),
        (lambda: Subset(Squares(3), [0])[1], OutOfRangeError, "Subset: index 1 is out of range for 1"),
        (lambda: ConcatDataset([]), ArgumentError, "at least one dataset"),
        (lambda: ConcatDataset([Squares(2)])[2], OutOfRangeError, "ConcatDataset: index 2"),
    ],
)
def test_bad_datasets_and_indices(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_subset_and_concatenation():
    subset = Subset(Squares(10), [7, 2])
    assert (len(subset), subset[0], subset[-1]) == (2, 49, 4)
    assert len(Subset(Squares(10), [])) == 0
    both = Squares(3) + Squares(0) + subset
    assert [both[i] for i in range(len(both))] == [0, 1, 4, 49, 4]
    assert both[-1] == 4


def test_transformed_dataset():
    pairs = TensorDataset(np.arange(3.0), np.arange(3), np.arange(3))
    image, label, extra = TransformedDataset(pairs, lambda x: -x.data, lambda y: y.data + 10)[2]
    assert (image, label, int(extra.data)) == (-2.0, 12, 2)
    assert TransformedDataset(pairs)[1][0].data == 1.0
    assert TransformedDataset(Squares(4), lambda x: x + 1)[3] == 10
    assert len(TransformedDataset(Squares(4))) == 4 and TransformedDataset(Squares(4))[3] == 9


def test_random_split_covers_everything_once():
    parts = random_split(Squares(10), [7, 3], Generator(0))
    assert [len(part) for part in parts] == [7, 3]
    assert sorted(np.concatenate([part.indices for part in parts]).tolist()) == list(range(10))
    again = random_split(Squares(10), [7, 3], Generator(0))
    np.testing.assert_array_equal(parts[0].indices, again[0].indices)


def test_random_split_by_fractions_hands_out_what_is_left_over():
    assert [len(part) for part in random_split(Squares(10), [0.33, 0.33, 0.34])] == [4, 3, 3]
    assert [len(part) for part in random_split(Squares(1), [1, 0])] == [1, 0]


def test_random_split_draws_from_the_data_stream():
    manual_seed(3)
    first = random_split(Squares(50), [25, 25])[0].indices
    manual_seed(3)
    np.testing.assert_array_equal(first, random_split(Squares(50), [25, 25])[0].indices)


@pytest.mark.parametrize("lengths", [[5, 4], [0.5, 0.4], [5.5, 4.5]])
def test_random_split_refuses_lengths_that_do_not_add_up(lengths):
    with pytest.raises(ArgumentError, match="whole numbers that sum to 10"):
        random_split(Squares(10), lengths)


def test_random_split_refuses_negative_lengths_and_foreign_generators():
    with pytest.raises(ArgumentError, match="must not be negative"):
        random_split(Squares(10), [11, -1])
    with pytest.raises(ArgumentTypeError, match="generator must be a minidl.Generator or None, got Generator"):
        random_split(Squares(10), [5, 5], np.random.default_rng(0))


def test_stratified_split_keeps_the_share_of_each_class():
    labels = np.repeat([0, 1, 2], [10, 20, 5])
    train, test = stratified_split(Tensor(labels), 0.2, Generator(1))
    np.testing.assert_array_equal(np.bincount(labels[test]), [2, 4, 1])
    assert sorted([*train, *test]) == list(range(35))
    assert (np.diff(labels[train]) != 0).sum() > 2, "not sorted by class"
    assert [len(part) for part in stratified_split(np.zeros(0, int), 0.5)] == [0, 0]


def test_stratified_split_bad_input():
    with pytest.raises(ArgumentError, match="test_fraction=2 must lie in 0 … 1"):
        stratified_split([0, 1], 2)
    with pytest.raises(ShapeError, match=r"labels must have shape \(N,\)"):
        stratified_split([[0, 1]], 0.5)


def test_collate_keeps_the_structure():
    Point = namedtuple("Point", "x y")
    samples = [
        {"a": Tensor(np.ones(2, np.float32)), "b": (np.zeros(3), 1), "c": [2.0], "d": "cat", "e": Point(1, True)},
        {"a": Tensor(np.ones(2, np.float32)), "b": (np.ones(3), 2), "c": [3.0], "d": "dog", "e": Point(2, False)},
    ]
    batch = default_collate(samples)
    assert batch["a"].shape == (2, 2) and batch["a"].dtype == np.float32
    assert isinstance(batch["b"], tuple) and batch["b"][0].dtype == np.float64 and batch["b"][1].dtype == np.int64
    assert isinstance(batch["c"], list) and batch["c"][0].dtype == np.float32
    assert batch["d"] == ["cat", "dog"]
    assert isinstance(batch["e"], Point) and batch["e"].y.dtype == np.bool_
    assert default_collate([np.float32(1), np.float32(2)]).dtype == np.float32


@pytest.mark.parametrize(
    ("samples", "error", "match"),
    [
        ([], ArgumentTypeError, "no samples"),
        ([None], ArgumentTypeError, "cannot collate NoneType"),
        ([np.zeros(2), np.zeros(3)], ShapeError, r"different shapes, \(2,\) and \(3,\); bring them to one size"),
        ([np.zeros(2), np.zeros(2, np.float32)], DtypeError, "different dtypes, float64 and float32"),
        ([(1, 2), (1,)], ShapeError, r"different numbers of entries: \[1, 2\]"),
        ([{"a": 1}, {"b": 1}], ShapeError, r"different keys: \['a'\] and \['b'\]"),
    ],
)
def test_collate_bad_input(samples, error, match):
    with pytest.raises(error, match=match):
        default_collate(samples)
