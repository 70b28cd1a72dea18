"""The loader: batches, orders, workers, errors, and going on in the middle of an epoch."""

import json
import threading
import time

import numpy as np
import pytest

from minidl.autograd import Tensor
from minidl.backend import Generator, manual_seed, stream
from minidl.data import (
    DataLoader,
    Dataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    TensorDataset,
    TransformedDataset,
    WeightedRandomSampler,
    default_collate,
    transforms,
)
from minidl.errors import ArgumentError, ArgumentTypeError, OutOfRangeError, StateDictError


def numbers(length=10):
    return TensorDataset(np.arange(length), np.arange(length) * 10.0)


def taken(loader):
    return [batch[0].data.tolist() for batch in loader]


class Slow(Dataset):
    """Later samples come sooner, to upset the order."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        time.sleep(0.001 * (12 - index))
        return index


def loader_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("minidl-loader")]


def test_batches_in_order():
    loader = DataLoader(numbers(), 4)
    assert len(loader) == 3
    assert taken(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    x, y = next(iter(loader))
    assert isinstance(x, Tensor) and y.dtype == np.float64


def test_drop_last():
    loader = DataLoader(numbers(), 4, drop_last=True)
    assert len(loader) == 2 and taken(loader) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_an_empty_dataset_gives_no_batches():
    assert taken(DataLoader(numbers(0), 4, shuffle=True)) == [] and len(DataLoader(numbers(0))) == 0


def test_shuffle_is_a_permutation_new_each_epoch_and_reproducible():
    loader = DataLoader(numbers(40), 8, shuffle=True, generator=Generator(5))
    first, second = taken(loader), taken(loader)
    assert sorted(sum(first, [])) == list(range(40)) and first != second
    assert taken(DataLoader(numbers(40), 8, shuffle=True, generator=Generator(5))) == first


def test_shuffle_follows_the_data_stream_by_default():
    loader = DataLoader(numbers(40), 40, shuffle=True)
    manual_seed(1)
    first = taken(loader)
    manual_seed(1)
    assert taken(loader) == first


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_the_fast_path_gives_the_same_as_sample_by_sample(workers):
    dataset = Subset(TensorDataset(np.arange(24.0).reshape(12, 2), np.arange(12)), [9, 3, 5, 3, 0])
    fast = DataLoader(dataset, 2, num_workers=workers)
    slow = DataLoader(dataset, 2, num_workers=workers, collate_fn=default_collate)
    for a, b in zip(fast, slow, strict=True):
        for mine, theirs in zip(a, b, strict=True):
            np.testing.assert_array_equal(mine.data, theirs.data)
            assert mine.dtype == theirs.dtype


def test_a_subclass_that_changes_its_samples_has_no_fast_path():
    class Negated(TensorDataset):
        def __getitem__(self, index):
            return -super().__getitem__(index)[0].data

    dataset = Negated(np.arange(1, 5))
    assert next(iter(DataLoader(dataset, 4))).data.tolist() == [-1, -2, -3, -4]
    assert next(iter(DataLoader(Subset(dataset, [2, 0]), 2))).data.tolist() == [-3, -1]


@pytest.mark.parametrize("workers", [1, 3, 20])
def test_workers_keep_the_order(workers):
    assert [batch.data.tolist() for batch in DataLoader(Slow(), 5, num_workers=workers)] == [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
        [10, 11],
    ]
    assert not loader_threads()


def test_augmented_batches_do_not_depend_on_the_number_of_workers():
    images = TensorDataset(np.random.default_rng(0).random((30, 1, 6, 6), dtype=np.float32), np.arange(30))
    augment = transforms.Compose([transforms.RandomHorizontalFlip(), transforms.RandomCrop(6, padding=2)])

    def epochs(workers):
        manual_seed(7)
        loader = DataLoader(TransformedDataset(images, augment), 4, shuffle=True, num_workers=workers)
        return [batch[0].data for _ in range(2) for batch in loader]

    alone = epochs(0)
    assert not np.array_equal(alone[0], alone[8])
    for workers in (1, 4):
        for a, b in zip(alone, epochs(workers), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_random_collate_function_does_not_depend_on_the_number_of_workers_either():
    mix = transforms.MixUp(num_classes=3)
    images = TensorDataset(np.random.default_rng(0).random((12, 1, 2, 2)), np.arange(12) % 3)

    def epoch(workers):
        manual_seed(0)
        loader = DataLoader(images, 4, num_workers=workers, collate_fn=lambda samples: mix(*default_collate(samples)))
        return np.stack([x.data for x, _ in loader])

    np.testing.assert_array_equal(epoch(0), epoch(3))


def test_prefetch_is_bounded():
    fetched = []

    class Counted(Slow):
        def __getitem__(self, index):
            fetched.append(index)
            return index

    batches = iter(DataLoader(Counted(), 1, num_workers=2, prefetch=2))
    next(batches)
    time.sleep(0.05)
    assert len(fetched) <= 5, "the one handed out and two ahead for each of two workers"
    batches.close()


def test_leaving_early_leaves_no_threads():
    for batch in DataLoader(Slow(), 2, num_workers=3):
        assert batch.shape == (2,)
        break
    assert not loader_threads()


class Faulty(Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        if index == 4:
            raise KeyError("no such file")
        return index


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_arrives_with_its_traceback_and_names_the_sample(workers):
    batches = iter(DataLoader(Faulty(), 2, num_workers=workers))
    assert [next(batches).data.tolist(), next(batches).data.tolist()] == [[0, 1], [2, 3]]
    with pytest.raises(KeyError, match=r"raised by dataset\[4\], in batch 2") as caught:
        next(batches)
    assert caught.traceback[-1].name == "__getitem__"
    assert not loader_threads()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_the_collate_function_names_the_samples(workers):
    ragged = [np.zeros(2), np.zeros(2), np.zeros(2), np.zeros(3)]
    batches = iter(DataLoader(ragged, 2, num_workers=workers))
    assert next(batches).shape == (2, 2)
    with pytest.raises(ValueError, match=r"raised by collate_fn, in batch 1 of the samples \[2, 3\]") as caught:
        next(batches)
    assert "default_collate" in [entry.name for entry in caught.traceback]
    assert not loader_threads()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_dataset_that_raises_stop_iteration_does_not_end_the_epoch(workers):
    class Exhausted(Faulty):
        def __getitem__(self, index):
            return index if index < 4 else next(iter(()))

    batches = iter(DataLoader(Exhausted(), 2, num_workers=workers))
    assert [next(batches).data.tolist(), next(batches).data.tolist()] == [[0, 1], [2, 3]]
    with pytest.raises(RuntimeError, match="raised StopIteration") as caught:
        next(batches)
    assert caught.value.__cause__.__notes__ == ["DataLoader: raised by dataset[4], in batch 2"]
    assert not loader_threads()


def test_samplers():
    dataset = numbers(4)
    assert list(SequentialSampler(dataset)) == [0, 1, 2, 3] and len(SequentialSampler(dataset)) == 4
    assert sorted(RandomSampler(dataset, Generator(0))) == [0, 1, 2, 3]
    rare = WeightedRandomSampler([0, 1, 0, 3], 4000, generator=Generator(0))
    counts = np.bincount(list(rare), minlength=4)
    assert counts[[0, 2]].tolist() == [0, 0] and 0.7 < counts[3] / len(rare) < 0.8
    assert sorted(WeightedRandomSampler([1, 1, 1], 3, replacement=False)) == [0, 1, 2]
    assert taken(DataLoader(dataset, 2, sampler=[3, 1, 2])) == [[3, 1], [2]]
    assert RandomSampler(dataset).generator is stream("data")


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: DataLoader(5), ArgumentTypeError, "int is no dataset: it has no __getitem__"),
        (lambda: DataLoader(numbers(), 0), ArgumentError, "batch_size=0 must be an integer ≥ 1"),
        (lambda: DataLoader(numbers(), 2.5), ArgumentError, "batch_size=2.5 must be an integer"),
        (lambda: DataLoader(numbers(), num_workers=-1), ArgumentError, "num_workers=-1"),
        (lambda: DataLoader(numbers(), prefetch=0), ArgumentError, "prefetch=0"),
        (lambda: DataLoader(numbers(), generator=3), ArgumentTypeError, "generator must be a minidl.Generator"),
        (lambda: DataLoader(numbers(), 1, True, [0]), ArgumentError, "both decide the order"),
        (lambda: list(DataLoader(numbers(), sampler=["a"])), ArgumentTypeError, "a sampler gives integers"),
        (lambda: list(DataLoader(numbers(), sampler=[10])), OutOfRangeError, "index 10 is out of range for 10"),
        (lambda: WeightedRandomSampler([1, -1], 2), ArgumentError, "finite numbers that are not negative"),
        (lambda: WeightedRandomSampler([0, 0], 2), ArgumentError, "a weight above 0"),
        (lambda: WeightedRandomSampler([1, 0], 2, replacement=False), ArgumentError, "only 1 weights are above 0"),
    ],
)
def test_bad_input(make, error, match):
    with pytest.raises(error, match=match):
        make()


# Stopping and going on


def augmented(workers=0, generator=None):
    images = TensorDataset(np.arange(40.0).reshape(20, 1, 1, 2), np.arange(20))
    return DataLoader(
        TransformedDataset(images, transforms.RandomHorizontalFlip()),
        3,
        shuffle=True,
        num_workers=workers,
        generator=generator,
    )


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop_after", [0, 1, 4, 7])
def test_resuming_in_the_middle_of_an_epoch_sees_the_remaining_batches_and_the_next_epoch(workers, stop_after):
    manual_seed(11)
    loader = augmented(workers)
    list(loader)  # one whole epoch before
    batches = iter(loader)
    for _ in range(stop_after):
        next(batches)
    state = json.loads(json.dumps(loader.state_dict()))
    assert (state["epoch"], state["position"]) == (1, stop_after)
    augment_state = stream("augment").get_state()
    expected = [batch[0].data for batch in batches] + [batch[0].data for batch in loader]

    manual_seed(99)  # another process
    stream("augment").set_state(augment_state)
    fresh = augmented(0)
    fresh.load_state_dict(state)
    assert fresh.state_dict() == state
    resumed = [batch[0].data for batch in fresh] + [batch[0].data for batch in fresh]
    assert len(resumed) == len(expected) == 14 - stop_after
    for a, b in zip(resumed, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert fresh.state_dict()["epoch"] == 3


def test_resuming_between_epochs():
    loader = augmented(generator=Generator(1))
    list(loader)
    state = loader.state_dict()
    assert state["epoch_start"] is None
    expected = [batch[1].data.tolist() for batch in loader]
    fresh = augmented(generator=Generator(2))
    fresh.load_state_dict(state)
    assert [batch[1].data.tolist() for batch in fresh] == expected


def test_resuming_without_a_random_order():
    loader = DataLoader(numbers(), 3)
    batches = iter(loader)
    next(batches)
    fresh = DataLoader(numbers(), 3)
    fresh.load_state_dict(loader.state_dict())
    assert taken(fresh) == [[3, 4, 5], [6, 7, 8], [9]]
    assert taken(fresh) == taken(DataLoader(numbers(), 3)), "the epoch after that is whole again"


def test_an_abandoned_epoch_does_not_count():
    loader = DataLoader(numbers(), 3)
    next(iter(loader))
    assert len(taken(loader)) == 4 and loader.state_dict()["epoch"] == 1


def test_a_state_that_does_not_fit():
    loader = DataLoader(numbers(), 3)
    with pytest.raises(StateDictError, match="needs the keys"):
        loader.load_state_dict({})
    with pytest.raises(StateDictError, match="batch_size was 2 and is now 3"):
        loader.load_state_dict(DataLoader(numbers(), 2).state_dict())
    with pytest.raises(StateDictError, match="samples was 9 and is now 10"):
        loader.load_state_dict(DataLoader(numbers(9), 3).state_dict())
