"""Images to learn on. Most need no network: they lie inside wheels of PyPI or packages of Debian.

Nothing is fetched at import. A data set is looked for in the user's cache (:func:`minidl.data.cache_dir`), then in a
system package, then inside an installed wheel (which is read as a file, not imported), and only then downloaded.
"""

from ._idx import read_idx
from ._labeled import LabeledImages
from .cifar10 import cifar10
from .digits import digits
from .fashion_mnist import fashion_mnist
from .lfw import lfw_subset
from .mnist import mnist, mnist5k
from .nuclei import nuclei
from .photographs import motorcycle_disparity, photograph_names, photographs

__all__ = [
    "LabeledImages",
    "cifar10",
    "digits",
    "fashion_mnist",
    "lfw_subset",
    "mnist",
    "mnist5k",
    "motorcycle_disparity",
    "nuclei",
    "photograph_names",
    "photographs",
    "read_idx",
]
