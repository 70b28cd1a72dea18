"""Fashion-MNIST: garments of 28×28 pixels, a harder stand-in for MNIST."""

from __future__ import annotations

from ..download import Checksum
from ._find import Source
from ._labeled import LabeledImages
from .mnist import load_idx

CLASSES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
_MIRRORS = (
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",  # has no https; the checksum guards it
)
_SHA256_UNZIPPED = {  # Debian compresses the same files anew
    "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
FILES = [
    Source(
        "fashion-mnist",
        name,
        remedy="Remedy: apt install dataset-fashion-mnist, connect to the network, or put the four .gz files into the "
        "cache by hand.",
        system="/usr/share/datasets/fashion-mnist",
        urls=[mirror + name for mirror in _MIRRORS],
        checksum=Checksum("sha256", sha256, gunzipped=True),
        max_bytes=32_000_000,
    )
    for name, sha256 in _SHA256_UNZIPPED.items()
]


def fashion_mnist(download: bool = True) -> tuple[LabeledImages, LabeledImages]:
    """Fashion-MNIST: (train, test) of 60,000 and 10,000 garments.

    On Debian and Ubuntu ``apt install dataset-fashion-mnist`` makes it work without a network.

    Args:      download: whether the network may be asked when the files are nowhere on this machine (31 MB)
    Returns:   images (N, 1, 28, 28) float32 in [0, 1], white on black; labels (N,) int64; classes "T-shirt/top" …
    Raises:    DatasetError: the files are nowhere. FileFormatError: they are not what they should be
    Source:    Xiao, Rasul & Vollgraf 2017; licence MIT
    """
    return load_idx(FILES, CLASSES, download)
