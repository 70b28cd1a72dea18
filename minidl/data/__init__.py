"""Datasets, the loader that makes batches of them, transforms of images, and data to learn on: data sets and scenes."""

from . import datasets, scenes, transforms
from .cache import cache_dir
from .collate import default_collate
from .dataset import (
    ConcatDataset,
    Dataset,
    Subset,
    TensorDataset,
    TransformedDataset,
    random_split,
    stratified_split,
)
from .download import Checksum, download
from .loader import DataLoader
from .sampler import RandomSampler, SequentialSampler, WeightedRandomSampler

__all__ = [
    "Checksum",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "RandomSampler",
    "SequentialSampler",
    "Subset",
    "TensorDataset",
    "TransformedDataset",
    "WeightedRandomSampler",
    "cache_dir",
    "datasets",
    "default_collate",
    "download",
    "random_split",
    "scenes",
    "stratified_split",
    "transforms",
]
