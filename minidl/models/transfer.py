"""Transfer: another last layer, what a network sees in images, and learning rates that fall with depth.

Freezing is :func:`minidl.nn.utils.freeze`, which works for any module. The usual course of a transfer::

    model = efficientnet_lite0(pretrained=True)
    head = replace_head(model, num_classes=10)
    freeze(model)
    unfreeze(head)  # train it, with an optimizer of head.parameters(); then
    unfreeze(model)  # and train on, gently
    optimizer = optim.AdamW(parameter_groups(model, lr=1e-3, decay=0.7))

Source: Yosinski et al. 2014, "How transferable are features in deep neural networks?"
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, overload

from .. import functional as F
from .. import nn
from ..autograd import Tensor, no_grad
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..nn.module import same_mode_afterwards


def replace_head(model: nn.Module, num_classes: int) -> nn.Linear:
    """Put a new last layer, drawn at random, in the place of the old one; all else stays.

    The head is the fully connected layer that was registered last, which it is in every network of this package.
    Auxiliary classifiers (googlenet, inception_v3) keep their classes; leave them out with ``aux_logits=False``.

    Args:      num_classes: logits of the new head, which has the old one's inputs, device, dtype, and a bias if it had
    Returns:   the new head, which is trained where the old one was frozen, too
    Raises:    ArgumentError: the model has no fully connected layer, is one itself, or num_classes is not positive
    """
    if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 1:
        raise ArgumentError(f"replace_head: num_classes must be a positive integer, got {num_classes!r}")
    path, old = _head(model, "replace_head")
    if not path:
        raise ArgumentError("replace_head: the model is a single Linear; make a new one instead")
    weight = old.weight
    head = nn.Linear(old.in_features, num_classes, old.bias is not None, device=weight.device, dtype=weight.dtype)
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, head.train(model.training))
    return head


def parameter_groups(model: nn.Module, lr: float, decay: float) -> list[dict[str, Any]]:
    """Groups for an optimizer, one a layer: the last learns at the rate `lr`, each one before it more slowly.

    What lies near the pixels, edges and textures, is of use for any images; what lies near the logits is not.

    Math:      lr_k = lr · decayᵏ for the k-th layer from the end, k = 0, 1, …
    Args:      lr: of the last layer. decay: in (0, 1]; 1 gives all the same rate. Howard & Ruder recommend 1/2.6 for a
               network of four layers; 0.7 to 0.9 suits twenty
    Returns:   dicts {"params", "lr", "name"} from the first layer to the last. A layer is a child of the model, or an
               item of a Sequential or ModuleList in it, however nested; one without matrices, such as batch norm, joins
               the one before it. What is frozen is left out, but counts as a layer
    Raises:    ArgumentError: an lr or decay out of its range, or everything is frozen
    Source:    Howard & Ruder 2018, "Universal language model fine-tuning for text classification", section 3.2
    """
    if not lr > 0:
        raise ArgumentError(f"parameter_groups: lr must be positive, got {lr}")
    if not 0 < decay <= 1:
        raise ArgumentError(f"parameter_groups: decay must be in (0, 1], got {decay}")
    layers: list[tuple[str, list[Tensor]]] = []
    seen: set[int] = set()
    for name, own in _layers(model):
        parameters = [parameter for parameter in own if id(parameter) not in seen]
        seen.update(id(parameter) for parameter in parameters)
        if layers and all(parameter.ndim < 2 for parameter in parameters):
            layers[-1][1].extend(parameters)
        elif parameters:
            layers.append((name, parameters))
    groups = [
        {"params": trained, "lr": lr * decay ** (len(layers) - 1 - i), "name": name}
        for i, (name, parameters) in enumerate(layers)
        if (trained := [parameter for parameter in parameters if parameter.requires_grad])
    ]
    if not groups:
        raise ArgumentError(
            f"parameter_groups: {type(model).__name__} has no parameter that requires a gradient; unfreeze some layers"
        )
    return groups


@overload
def extract_features(
    model: nn.Module, images: Any, layers: str | None = None, *, pool: int = 1, batch_size: int = 64
) -> Tensor: ...
@overload
def extract_features(
    model: nn.Module, images: Any, layers: Sequence[str], *, pool: int = 1, batch_size: int = 64
) -> dict[str, Tensor]: ...
def extract_features(
    model: nn.Module,
    images: Tensor | Iterable[Any],
    layers: str | Sequence[str] | None = None,
    *,
    pool: int = 1,
    batch_size: int = 64,
) -> Tensor | dict[str, Tensor]:
    """What a network computes on the way to its logits: vectors, on which something small can be trained.

    The model runs in evaluation mode without gradients, and only as far as the last layer asked for.

    Args:      images: (N, C, H, W), on the model's device and preprocessed as for it; or an iterable of batches, as a
               DataLoader that does not shuffle, each images or (images, …). layers: the path of a layer, such as
               "features.13", whose output is wanted, or several paths; None means the input of the head.
               pool: maps (N, C, H, W) are averaged over pool × pool equal windows. batch_size: images at a time, where
               `images` is one Tensor
    Returns:   (N, D), D = C · pool² of a map; for several layers a dict of them. No graph leads to it
    Raises:    MissingAttributeError: there is no such layer. ArgumentError: a layer that the model does not call, no
               images at all, or a setting that is not positive. ShapeError: a layer's output is neither (N, D) nor
               (N, C, H, W)
    """
    for name, value in (("pool", pool), ("batch_size", batch_size)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ArgumentError(f"extract_features: {name} must be a positive integer, got {value!r}")
    if layers is None:
        path, head = _head(model, "extract_features")
        paths = [path]
    else:
        paths = [layers] if isinstance(layers, str) else list(layers)
        watched = [model.get_submodule(path) for path in paths]
    if not paths:
        raise ArgumentError("extract_features: layers is empty; name at least one, or give None for the head's input")
    vectors: dict[str, list[Tensor]] = {path: [] for path in paths}
    found: dict[str, Tensor] = {}

    def see(path: str, x: Any) -> None:
        found.setdefault(path, _vectors(x, pool, path))
        if len(found) == len(vectors):
            raise _SeenAll

    def see_input(module: nn.Module, args: Any) -> None:
        see(paths[0], args[0])

    def see_output(path: str, module: nn.Module, args: Any, output: Any) -> None:
        see(path, output)

    if layers is None:
        handles = [head.register_forward_pre_hook(see_input)]
    else:
        handles = [
            layer.register_forward_hook(partial(see_output, path)) for path, layer in zip(paths, watched, strict=True)
        ]
    try:
        with same_mode_afterwards(model), no_grad():
            model.eval()
            for batch in _batches(images, batch_size):
                found.clear()
                try:
                    model(batch)
                except _SeenAll:
                    pass
                if unseen := [path for path in vectors if path not in found]:
                    raise ArgumentError(f"extract_features: the model does not call {unseen[0]!r} in evaluation mode")
                for path, vector in found.items():
                    vectors[path].append(vector)
    finally:
        for handle in handles:
            handle.remove()
    if not vectors[paths[0]]:
        raise ArgumentError("extract_features: there are no images")
    features = {path: F.cat(parts) for path, parts in vectors.items()}
    return features[paths[0]] if layers is None or isinstance(layers, str) else features


class _SeenAll(Exception):
    """Raised in a hook to leave a forward that has nothing more to show."""


def _head(model: nn.Module, op: str) -> tuple[str, nn.Linear]:
    if not isinstance(model, nn.Module):
        raise ArgumentTypeError(f"{op}: model must be a Module, got {type(model).__name__}")
    dense = [(path, module) for path, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not dense:
        raise ArgumentError(f"{op}: {type(model).__name__} has no Linear layer that could be its head")
    return dense[-1]


def _layers(module: nn.Module, path: str = "") -> Iterator[tuple[str, list[Tensor]]]:
    """The model's layers in order, each with its path and parameters."""
    if own := list(module.parameters(recurse=False)):
        yield path, list(own)
    for name, child in module.named_children():
        inside = f"{path}.{name}" if path else name
        if isinstance(child, nn.Sequential | nn.ModuleList):
            yield from _layers(child, inside)
        else:
            yield inside, list(child.parameters())


def _vectors(x: Any, pool: int, path: str) -> Tensor:
    if isinstance(x, Tensor) and x.ndim == 4:
        x = F.adaptive_avg_pool2d(x, pool).flatten(1)
    if not isinstance(x, Tensor) or x.ndim != 2:
        got = f"shape {x.shape}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise ShapeError(f"extract_features: {path!r} gives {got}, not (N, D) or (N, C, H, W); choose another layer")
    return Tensor(x.data)  # computed now, should it have waited


def _batches(images: Any, batch_size: int) -> Iterator[Tensor]:
    if isinstance(images, Tensor):
        for start in range(0, len(images), batch_size):
            yield images[start : start + batch_size]
        return
    if not isinstance(images, Iterable):
        raise ArgumentTypeError(
            f"extract_features: images must be a Tensor or batches of them, got {type(images).__name__}"
        )
    for batch in images:
        batch = batch[0] if isinstance(batch, tuple | list) else batch
        if not isinstance(batch, Tensor):
            raise ArgumentTypeError(f"extract_features: a batch must be a Tensor, got {type(batch).__name__}")
        yield batch
