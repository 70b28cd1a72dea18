"""The loader: batches from a dataset, in order, ahead of time if wished, and resumable in the middle of an epoch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from ..backend import Device, Generator, check_generator, courier, stream
from ..errors import ArgumentError, ArgumentTypeError, OutOfRangeError, StateDictError
from ._random import own_stream
from .collate import default_collate
from .dataset import Subset, TensorDataset, check_indices
from .device_batches import pinned, sent_ahead
from .sampler import RandomSampler, SequentialSampler


class DataLoader:
    """Batches of a dataset; iterating once is one epoch.

    The batches are the same whatever `num_workers` is: they arrive in order, and transforms without a generator of
    their own draw from a stream that belongs to the sample. Workers are threads: they help where fetching waits for the
    disk or runs in NumPy. An exception of the dataset arrives as it was raised, with a note that names the sample, and
    one of collate_fn with a note that names the samples of the batch.

    Args:      dataset: has ``__getitem__`` and ``__len__``. shuffle: a new order each epoch. sampler: an iterable of
               indices with a length, instead of shuffle; it is drawn whole at the start of an epoch.
               drop_last: leave out a last batch that is not full. num_workers: threads; 0 fetches when asked.
               prefetch: batches that each worker fetches ahead. generator: what shuffle draws from, by default the
               stream "data". collate_fn: list of samples → batch, by default :func:`default_collate`.
               device: "cuda" gives batches whose tensors are there, copied while the batch before is worked on: one
               batch more is fetched ahead. See :mod:`.device_batches`
    Raises:    ArgumentError: batch_size < 1, num_workers < 0, prefetch < 1, or shuffle together with a sampler.
               DeviceError: a device that is not there
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool | None = False,
        sampler: Iterable[int] | None = None,
        *,
        drop_last: bool = False,
        num_workers: int = 0,
        prefetch: int = 2,
        generator: Generator | None = None,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        device: Device | str | None = None,
    ):
        _check_dataset(dataset, sampler)
        _check_count("batch_size", batch_size, 1)
        _check_count("num_workers", num_workers, 0)
        _check_count("prefetch", prefetch, 1)
        check_generator(generator, "DataLoader")
        self.device = None if device is None else Device(device)
        if self.device is not None:
            self.device.check_usable()
        if shuffle and sampler is not None:
            raise ArgumentError("DataLoader: shuffle=True and a sampler both decide the order; give one of them")
        if sampler is None:
            sampler = RandomSampler(dataset, generator) if shuffle else SequentialSampler(dataset)
        self.dataset, self.sampler, self.collate_fn = dataset, sampler, collate_fn
        self.batch_size, self.drop_last, self.num_workers, self.prefetch = batch_size, drop_last, num_workers, prefetch
        self._epoch = 0  # complete passes
        self._position = 0  # batches handed out in the running epoch
        self._epoch_start: dict[str, Any] | None = None  # what the running epoch's random numbers follow from
        self._resuming = False

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        samples = len(self.sampler)  # type: ignore[arg-type]
        return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        generator = self._generator()
        if self._resuming and self._epoch_start is not None:
            order = self._order_from(self._epoch_start["order"])
        else:
            self._position = 0
            self._epoch_start = {
                "order": generator and generator.get_state(),
                "augment_seed": int(stream("augment").numpy.integers(1 << 62)),
            }
            order = self._order()
        self._resuming = False
        seed = self._epoch_start["augment_seed"]
        count = len(order) // self.batch_size if self.drop_last else -(-len(order) // self.batch_size)
        todo = range(self._position, count)

        def load(number: int) -> Any:
            return self._load(number, order[number * self.batch_size : (number + 1) * self.batch_size], seed)

        return self._deliver(todo, load)

    def _deliver(self, todo: range, load: Callable[[int], Any]) -> Iterator[Any]:
        carrier = courier(self.device) if self.device is not None and self.device.type == "cuda" else None
        load = pinned(load, carrier) if carrier else load
        # no map: to that a StopIteration of the dataset would be the end of the epoch
        alone = (load(number) for number in todo)
        batches = _ahead(load, todo, self.num_workers, self.prefetch) if self.num_workers else alone
        batches = sent_ahead(batches, carrier) if carrier else batches
        for number, batch in zip(todo, batches, strict=True):
            self._position = number + 1
            yield batch
        self._epoch, self._position, self._epoch_start = self._epoch + 1, 0, None

    def _load(self, number: int, indices: np.ndarray, seed: int) -> Any:
        gather = _gatherer(self.dataset) if self.collate_fn is None else None
        if gather:
            return gather(indices)
        samples = []
        for place, index in enumerate(indices.tolist(), start=number * self.batch_size):
            with own_stream(seed, 0, place):
                try:
                    samples.append(self.dataset[index])
                except Exception as error:
                    error.add_note(f"DataLoader: raised by dataset[{index}], in batch {number}")
                    raise
        with own_stream(seed, 1, number):
            try:
                return (self.collate_fn or default_collate)(samples)
            except Exception as error:
                error.add_note(f"DataLoader: raised by collate_fn, in batch {number} of the samples {indices.tolist()}")
                raise

    # The order of an epoch

    def _generator(self) -> Generator | None:
        return getattr(self.sampler, "generator", None)

    def _order(self) -> np.ndarray:
        order = np.array(list(self.sampler))
        if order.size and order.dtype.kind not in "iu":
            raise ArgumentTypeError(f"DataLoader: a sampler gives integers, this one gave {order.dtype}")
        return order.astype(np.int64)

    def _order_from(self, state: dict[str, Any] | None) -> np.ndarray:
        generator = self._generator()
        if generator is None or state is None:
            return self._order()
        now = generator.get_state()
        try:
            generator.set_state(state)
            return self._order()
        finally:
            generator.set_state(now)

    def indices(self, number: int) -> np.ndarray:
        """The samples in batch `number`, from 0, of the running epoch, by their index in the dataset.

        An order from a sampler without a ``generator`` attribute is covered only if the sampler repeats itself.

        Raises:    OutOfRangeError: no epoch is running, or it has no such batch
        """
        if self._epoch_start is None or not 0 <= number < len(self):
            raise OutOfRangeError(f"DataLoader.indices: no batch {number} of {len(self)} in a running epoch")
        order = self._order_from(self._epoch_start["order"])
        return order[number * self.batch_size : (number + 1) * self.batch_size]

    # Stopping and going on

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands, in plain Python types: the complete epochs, the batches handed out, the streams.

        A loader with this state, over the same dataset, goes on with the next batch of the same epoch. An order from a
        sampler without a ``generator`` attribute is covered only if the sampler repeats itself.
        """
        generator = self._generator()
        return {
            "epoch": self._epoch,
            "position": self._position,
            "samples": len(self.sampler),  # type: ignore[arg-type]
            "batch_size": self.batch_size,
            "epoch_start": self._epoch_start,
            "generator": generator and generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a :meth:`state_dict`: the next iteration yields the batches that were still to come.

        Raises:    StateDictError: a state with other keys, or of a loader of another length or batch size
        """
        mine = self.state_dict()
        if not isinstance(state, dict) or state.keys() != mine.keys():
            raise StateDictError(f"DataLoader.load_state_dict: needs the keys {list(mine)}, got {state!r}")
        for key in ("samples", "batch_size"):
            if state[key] != mine[key]:
                raise StateDictError(f"DataLoader.load_state_dict: {key} was {state[key]} and is now {mine[key]}")
        generator = self._generator()
        if generator is not None and state["generator"] is not None:
            generator.set_state(state["generator"])
        self._epoch, self._position, self._epoch_start = state["epoch"], state["position"], state["epoch_start"]
        self._resuming = self._epoch_start is not None


def _check_dataset(dataset: Any, sampler: Any) -> None:
    needed = ["__getitem__"] if sampler is not None else ["__getitem__", "__len__"]
    for method in needed:
        if not hasattr(dataset, method):
            raise ArgumentTypeError(f"DataLoader: {type(dataset).__name__} is no dataset: it has no {method}")


def _check_count(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ArgumentError(f"DataLoader: {name}={value!r} must be an integer ≥ {least}")


def _gatherer(dataset: Any) -> Callable[[np.ndarray], Any] | None:
    """One fancy index instead of many samples, where the dataset is plain tensors with samples as they are."""
    fetch = type(dataset).__getitem__
    if isinstance(dataset, TensorDataset) and fetch is TensorDataset.__getitem__:
        return dataset.__getitem__
    if isinstance(dataset, Subset) and fetch is Subset.__getitem__ and (inner := _gatherer(dataset.dataset)):
        return lambda indices: inner(dataset.indices[check_indices(indices, len(dataset), "Subset")])
    return None


def _ahead(load: Callable[[int], Any], todo: range, workers: int, prefetch: int) -> Iterator[Any]:
    """``map(load, todo)`` by threads that work ahead: in order, at most workers · prefetch results waiting."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="minidl-loader")
    waiting: deque[Future[Any]] = deque()
    try:
        for number in todo:
            waiting.append(pool.submit(load, number))
            if len(waiting) > workers * prefetch:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # also when the consumer leaves early
        pool.shutdown(wait=True, cancel_futures=True)
