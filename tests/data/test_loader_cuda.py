"""DataLoader(device="cuda") on the stand-in, in which a copy that nobody waited for has not happened."""

import threading
from typing import NamedTuple

import numpy as np
import pytest

import minidl as ml
from minidl.backend import courier
from minidl.data import DataLoader, TensorDataset
from minidl.errors import DeviceError
from tests import cupy_stand_in
from tests.cupy_stand_in import counting


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_are_those_of_the_cpu(stand_in, num_workers):
    data = TensorDataset(ml.arange(20, dtype=ml.float32).reshape(10, 2), ml.arange(10))
    expected = list(DataLoader(data, 3))
    with counting() as seen:
        batches = list(DataLoader(data, 3, num_workers=num_workers, device="cuda"))
    assert seen.synchronisations == 0 and seen.transfers_to_host == 0
    assert len(batches) == len(expected) == 4
    for got, want in zip(batches, expected, strict=True):
        for x, y in zip(got, want, strict=True):
            assert x.device == "cuda" and x.dtype == y.dtype
            np.testing.assert_array_equal(x.cpu().numpy(), y.numpy())


def test_tensors_are_moved_wherever_they_are_and_nothing_else(stand_in):
    samples = [{"x": (np.float32(i), [np.float32(-i)]), "name": str(i)} for i in range(4)]
    batch = next(iter(DataLoader(samples, 4, device="cuda")))
    x, (y,) = batch["x"]
    assert x.device == y.device == "cuda" and list(batch["name"]) == ["0", "1", "2", "3"]
    np.testing.assert_array_equal(x.cpu().numpy(), -y.cpu().numpy())


class Pair(NamedTuple):
    image: object
    label: object


def test_named_tuples_lists_and_empty_tensors(stand_in):
    def collate(samples):
        return Pair([ml.tensor(samples), None, 3], {"none": ml.zeros(0, 2), "text": "as it is"})

    batch = next(iter(DataLoader(range(4), 4, device="cuda", collate_fn=collate)))
    assert type(batch) is Pair and batch.image[1:] == [None, 3] and batch.label["text"] == "as it is"
    assert batch.image[0].device == batch.label["none"].device == "cuda"
    assert batch.image[0].tolist() == [0, 1, 2, 3] and batch.label["none"].shape == (0, 2)


def test_transposed_batches(stand_in):
    """Page-locked memory is in row-major order, whatever the batch's was."""
    loader = DataLoader(range(6), 6, device="cuda", collate_fn=lambda samples: ml.tensor(samples).reshape(2, 3).T)
    assert next(iter(loader)).tolist() == [[0, 3], [1, 4], [2, 5]]


def test_tensors_that_are_on_a_gpu_already(stand_in):
    x = ml.arange(4, device="cuda")
    batch = next(iter(DataLoader(range(4), 4, device="cuda", collate_fn=lambda samples: (x, x.to("cuda:1")))))
    assert batch[0].data is x.data and batch[1].device == "cuda:0" and batch[1].tolist() == [0, 1, 2, 3]


def test_the_other_device(stand_in):
    with ml.cuda.device(1):
        for (x,) in DataLoader(TensorDataset(ml.arange(4)), 2, device="cuda:1"):
            assert x.device == "cuda:1" and (x + 1).sum().item() in (3, 7)


def test_one_batch_is_on_its_way_ahead_and_its_memory_is_pinned(stand_in):
    batches = iter(DataLoader(TensorDataset(ml.arange(10, dtype=ml.float32)), 2, device="cuda"))
    sent = []
    with counting() as seen:
        for _ in batches:
            sent.append(seen.transfers_to_device)
    assert sent == [2, 3, 4, 5, 5] and seen.synchronisations == 0  # a copy from other memory would count as one


def test_a_batch_is_not_there_before_it_is_waited_for(stand_in):
    """What the loader's order is good for: the copy runs beside the program, and reads its memory late."""
    carrier = courier(ml.device("cuda"))
    assert carrier._stream.non_blocking  # or every operation on the default stream would wait for it
    pinned = carrier.pin(np.arange(3.0))
    copy = carrier.send(pinned)
    ended = carrier.end()
    assert np.isnan(copy._array).all()
    pinned[0] = 7  # too early
    carrier.receive(ended)
    assert copy.get().tolist() == [7, 1, 2]


def test_a_copy_begins_when_the_operations_have_come_to_where_its_array_was_made(stand_in, monkeypatch):
    """The array's memory may have been another's, which they still read."""
    carrier = courier(ml.device("cuda"))
    pinned, waits = carrier.pin(np.arange(3.0)), []
    monkeypatch.setattr(carrier._stream, "wait_event", lambda event: waits.append(event._stream))
    operations = stand_in.cuda.Stream()
    with operations:
        carrier.send(pinned)
    assert waits == [operations]
    carrier.receive(carrier.end())


def test_page_locked_memory_is_held_until_it_was_read(stand_in):
    carrier = courier(ml.device("cuda"))

    def held():
        return [array for _, arrays in carrier._held for array in arrays]

    first, second = carrier.pin(np.arange(3.0)), carrier.pin(np.ones(2))
    carrier.send(first)
    carrier.end()
    carrier.send(second)
    ended = carrier.end()
    assert any(array is first for array in held()) and any(array is second for array in held())
    carrier.receive(ended)
    carrier.end()
    assert held() == []


@pytest.mark.parametrize("leave", ["close", "error", "drop"])
def test_copies_that_nobody_wants_are_waited_for_too(stand_in, leave):
    """Their memory goes to the next arrays of the operations' stream, which must not begin before."""

    def collate(samples):
        if leave == "error" and 4 in samples:
            raise KeyError("no such sample")
        return ml.tensor(samples)

    batches = iter(DataLoader(range(8), 2, device="cuda", collate_fn=collate))
    next(batches)
    assert courier(ml.device("cuda"))._stream._queue  # the second is on its way
    if leave == "close":
        batches.close()
    elif leave == "error":
        next(batches)
        with pytest.raises(KeyError):
            next(batches)
    del batches
    assert not courier(ml.device("cuda"))._stream._queue


@pytest.mark.parametrize("num_workers", [0, 2])
def test_going_on_in_the_middle_of_an_epoch(stand_in, num_workers):
    """What was fetched ahead but not handed out comes again."""

    def loader():
        return DataLoader(
            TensorDataset(ml.arange(20)), 3, True, generator=ml.Generator(2), num_workers=num_workers, device="cuda"
        )

    whole, stopped = loader(), loader()
    expected = [x.tolist() for (x,) in whole]
    batches = iter(stopped)
    got = [next(batches)[0].tolist() for _ in range(3)]
    state = stopped.state_dict()
    assert state["position"] == 3
    resumed = loader()
    resumed.load_state_dict(state)
    got += [x.tolist() for (x,) in resumed]
    assert got == expected
    assert [x.tolist() for (x,) in resumed] == [x.tolist() for (x,) in whole]


def test_workers_end_when_the_consumer_leaves(stand_in):
    batches = iter(DataLoader(TensorDataset(ml.arange(100)), 2, num_workers=2, device="cuda"))
    next(batches)
    assert [thread for thread in threading.enumerate() if thread.name.startswith("minidl-loader")]
    batches.close()
    del batches
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("minidl-loader")]


def test_leaving_early_and_an_error_in_its_place(stand_in):
    class Broken:
        def __len__(self):
            return 4

        def __getitem__(self, index):
            if index == 2:
                raise KeyError("no such sample")
            return np.float32(index)

    batches = iter(DataLoader(Broken(), 1, device="cuda"))
    assert next(batches).item() == 0 and next(batches).item() == 1
    with pytest.raises(KeyError, match="no such sample"):
        next(batches)
    batches = iter(DataLoader(Broken(), 1, device="cuda"))
    next(batches)
    batches.close()


def test_the_cpu_is_what_it_was(stand_in):
    data = TensorDataset(ml.arange(4))
    for device in (None, "cpu"):
        assert all(x.device == "cpu" for (x,) in DataLoader(data, 2, device=device))
    cupy_stand_in.machine.count = 0
    with pytest.raises(DeviceError):
        DataLoader(data, 2, device="cuda")
