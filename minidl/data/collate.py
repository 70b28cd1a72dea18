"""Turning a list of samples into one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..backend import array_module
from ..errors import ArgumentTypeError, DtypeError, ShapeError


def default_collate(samples: Sequence[Any]) -> Any:
    """Stack samples along a new first dimension.

    Tensors, arrays and numbers become one Tensor (Python floats float32, ints int64); tuples, named tuples, lists and
    dicts are collated entry by entry; strings and bytes stay a list.

    Raises:    ShapeError: shapes, lengths or keys that differ between samples. DtypeError: dtypes that differ.
               ArgumentTypeError: something else, as None
    """
    if not samples:
        raise ArgumentTypeError("default_collate: there are no samples to collate")
    first = samples[0]
    if isinstance(first, Tensor):
        return Tensor(_stack([sample.data for sample in samples]))
    if isinstance(first, np.ndarray | np.generic):
        return Tensor(_stack([np.asarray(sample) for sample in samples]))
    if isinstance(first, bool | int | float):
        numbers = np.array(samples)
        return Tensor(numbers.astype(np.float32) if numbers.dtype == np.float64 else numbers)
    if isinstance(first, str | bytes):
        return list(samples)
    if isinstance(first, Mapping):
        for sample in samples:
            if sample.keys() != first.keys():
                raise ShapeError(f"default_collate: samples have different keys: {list(first)} and {list(sample)}")
        return {key: default_collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, Sequence):
        if len(lengths := {len(sample) for sample in samples}) > 1:
            raise ShapeError(f"default_collate: samples have different numbers of entries: {sorted(lengths)}")
        columns = [default_collate(column) for column in zip(*samples, strict=True)]
        if hasattr(first, "_fields"):
            return type(first)(*columns)
        return tuple(columns) if isinstance(first, tuple) else columns
    raise ArgumentTypeError(
        f"default_collate: cannot collate {type(first).__name__}; return Tensors, arrays, numbers, strings, tuples or "
        "dicts, or give the loader a collate_fn"
    )


def _stack(arrays: list[Any]) -> Any:
    first = arrays[0]
    for array in arrays:
        if array.shape != first.shape:
            raise ShapeError(
                f"default_collate: samples have different shapes, {first.shape} and {array.shape}; bring them to one "
                "size (transforms.Resize, Pad) or give the loader a collate_fn"
            )
        if array.dtype != first.dtype:
            raise DtypeError(f"default_collate: samples have different dtypes, {first.dtype} and {array.dtype}")
    return array_module(first).stack(arrays)
