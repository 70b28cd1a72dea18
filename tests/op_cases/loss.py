"""Rows of the operation table: losses. References go element by element, as the formulas do."""

import math

import numpy as np

from minidl import functional as F

from ._case import OpCase, normal, uniform

# ---------------------------------------------------------------------------------------------------------------------
# Class labels


def reduce(losses, reduction, total=None):
    if reduction == "none":
        return losses
    return np.asarray(losses.sum() if reduction == "sum" else losses.sum() / (losses.size if total is None else total))


def log_probabilities(x):
    shifted = x - x.max()
    return shifted - math.log(sum(math.exp(v) for v in shifted))


def by_element(x, t):
    """(position, scores, label or probabilities) of each element; classes lie along dimension 1 or 0."""
    dim = min(x.ndim - 1, 1)
    vectors = np.moveaxis(x, dim, -1)
    targets = np.moveaxis(t, dim, -1) if t.dtype.kind == "f" else t
    for index in np.ndindex(vectors.shape[:-1]):
        yield index, vectors[index], targets[index]


def class_reference(of_vector):
    """The reduction of −Σ_c w_c · q_c · of_vector(scores)_c; q: the smoothed one-hot label, or as given."""

    def reference(x, t, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
        dim = min(x.ndim - 1, 1)
        classes = x.shape[dim]
        losses, total = np.zeros(x.shape[:dim] + x.shape[dim + 1 :]), 0.0
        w = np.ones(classes) if weight is None else weight
        for index, vector, target in by_element(x, t):
            if t.dtype.kind == "f":
                share, q = 1.0, target
            elif target == ignore_index:
                continue
            else:
                share, q = w[target], np.eye(classes)[target]
            q = (1 - label_smoothing) * q + label_smoothing / classes
            losses[index] = -sum(w[c] * q[c] * of_vector(vector)[c] for c in range(classes))
            total += share
        return reduce(losses, reduction, total)

    return reference


def _labels(shape, classes=4, ignored=False):
    def draw(rng):
        labels = rng.integers(0, classes, shape[:1] + shape[2:] if len(shape) > 1 else ())
        if ignored:
            labels.flat[1] = -1
        return labels

    return draw


def _class_inputs(shape, ignored=False, weight=False):
    def draw(rng):
        classes = shape[min(len(shape) - 1, 1)]
        inputs = [rng.standard_normal(shape), np.asarray(_labels(shape, classes, ignored)(rng))]
        return inputs + [rng.uniform(0.5, 2.0, classes)] * weight

    return draw


def _probability_inputs(shape, weight=False):
    def draw(rng):
        dim = min(len(shape) - 1, 1)
        q = rng.uniform(0.1, 1.0, shape)
        inputs = [rng.standard_normal(shape), q / q.sum(dim, keepdims=True)]
        return inputs + [rng.uniform(0.5, 2.0, shape[dim])] * weight

    return draw


_MATRIX, _IMAGES, _ALONE = (5, 4), (2, 4, 3, 2), (4,)

_CLASS_SETTINGS = [
    # name, shape, ignored labels, class weights, settings
    ("mean", _MATRIX, False, False, {}),
    ("sum", _MATRIX, False, False, {"reduction": "sum"}),
    ("none", _MATRIX, False, False, {"reduction": "none"}),
    ("weight", _MATRIX, False, True, {}),
    ("weight-sum", _MATRIX, False, True, {"reduction": "sum"}),
    ("ignore", _MATRIX, True, False, {"ignore_index": -1}),
    ("ignore-none", _MATRIX, True, False, {"ignore_index": -1, "reduction": "none"}),
    ("ignore-weight", _MATRIX, True, True, {"ignore_index": -1}),
    ("images", _IMAGES, False, False, {}),
    ("images-none-weight", _IMAGES, False, True, {"reduction": "none"}),
    ("images-ignore-weight", _IMAGES, True, True, {"ignore_index": -1}),
    ("alone", _ALONE, False, False, {}),
    ("alone-weight", _ALONE, False, True, {}),
]

_SMOOTHING = [
    ("smoothing", _MATRIX, False, False, {"label_smoothing": 0.1}),
    ("smoothing-weight", _MATRIX, False, True, {"label_smoothing": 0.2}),
    ("smoothing-ignore-weight", _MATRIX, True, True, {"label_smoothing": 0.2, "ignore_index": -1}),
    ("smoothing-images", _IMAGES, True, True, {"label_smoothing": 0.3, "ignore_index": -1, "reduction": "sum"}),
]


def _class_case(op, reference, name, shape, ignored, weight, settings):
    return OpCase(
        f"{op}-{name}",
        lambda *inputs: getattr(F, op)(*inputs, **settings),
        _class_inputs(shape, ignored, weight),
        lambda *inputs: reference(*inputs, **settings),
        lambda torch, *inputs: getattr(torch.nn.functional, op)(*inputs, **settings),
        diff=(0,),
        batch_axis=0 if len(shape) > 1 else None,
        batched=(0, 1),
    )


CASES = [_class_case("cross_entropy", class_reference(log_probabilities), *row) for row in _CLASS_SETTINGS + _SMOOTHING]
CASES += [_class_case("nll_loss", class_reference(lambda x: x), *row) for row in _CLASS_SETTINGS]

CASES += [
    OpCase(
        f"cross_entropy-probabilities-{name}",
        lambda *inputs, s=settings: F.cross_entropy(*inputs, **s),
        _probability_inputs(shape, weight),
        lambda *inputs, s=settings: class_reference(log_probabilities)(*inputs, **s),
        lambda torch, *inputs, s=settings: torch.nn.functional.cross_entropy(*inputs, **s),
        diff=(0, 1),
        batch_axis=0 if len(shape) > 1 else None,
        batched=(0, 1),
    )
    for name, shape, weight, settings in [
        ("mean", _MATRIX, False, {}),
        ("none", _MATRIX, False, {"reduction": "none"}),
        ("weight", _MATRIX, True, {}),
        ("smoothing-weight", _MATRIX, True, {"label_smoothing": 0.2}),
        ("images", _IMAGES, True, {"reduction": "sum"}),
        ("alone", _ALONE, False, {}),
    ]
]


def _multi_margin(x, t, weight=None, p=1, margin=1.0, reduction="mean"):
    losses = np.zeros(x.shape[:-1])
    for index, vector, label in by_element(x, t):
        w = 1.0 if weight is None else weight[label]
        terms = [max(0.0, margin - vector[label] + v) ** p for c, v in enumerate(vector) if c != label]
        losses[index] = w * sum(terms) / len(vector)
    return reduce(losses, reduction)


CASES += [
    OpCase(
        f"multi_margin_loss-{name}",
        lambda x, t, *w, s=settings: F.multi_margin_loss(x, t, *s[:2], *w, **s[2]),
        _class_inputs(shape, False, weight),
        lambda x, t, *w, s=settings: _multi_margin(x, t, *(w or (None,)), *s[:2], **s[2]),
        lambda torch, x, t, *w, s=settings: torch.nn.functional.multi_margin_loss(x, t, *s[:2], *w, **s[2]),
        diff=(0,),
        batch_axis=0 if len(shape) > 1 else None,
        batched=(0, 1),
    )
    for name, shape, weight, settings in [
        ("mean", _MATRIX, False, (1, 1.0, {})),
        ("squared", _MATRIX, False, (2, 0.5, {"reduction": "none"})),
        ("weight", _MATRIX, True, (1, 1.0, {})),
        ("squared-weight-sum", _MATRIX, True, (2, 2.0, {"reduction": "sum"})),
        ("alone", _ALONE, False, (1, 1.0, {})),
    ]
]

# ---------------------------------------------------------------------------------------------------------------------
# Element against element


def pairwise(of_numbers):
    """A function of numbers, one from each (broadcast) array, reduced."""

    def reference(*arrays, reduction="mean", **settings):
        arrays = np.broadcast_arrays(*arrays)
        numbers = zip(*(a.ravel() for a in arrays), strict=True)
        losses = np.array([of_numbers(*group, **settings) for group in numbers])
        return reduce(losses.reshape(arrays[0].shape), reduction)

    return reference


def _bce(x, t, w=1.0):
    return -w * (t * math.log(x) + (1 - t) * math.log(1 - x))


def _bce_logits(x, t, w=1.0, pos_weight=1.0):
    return -w * (pos_weight * t * math.log(1 / (1 + math.exp(-x))) + (1 - t) * math.log(1 / (1 + math.exp(x))))


def _smooth_l1(x, t, beta=1.0):
    d = abs(x - t)
    return d * d / (2 * beta) if d < beta else d - beta / 2


def _huber(x, t, delta=1.0):
    d = abs(x - t)
    return d * d / 2 if d < delta else delta * (d - delta / 2)


def _kl(x, t, log_target=False):
    return math.exp(t) * (t - x) if log_target else t * (math.log(t) - x) if t > 0 else 0.0


def _focal(x, t, alpha=0.25, gamma=2.0):
    p = 1 / (1 + math.exp(-x))
    right = p if t else 1 - p
    scale = 1.0 if alpha == -1 else alpha if t else 1 - alpha
    return scale * (1 - right) ** gamma * -math.log(right)


def _dice(x, t, smooth):
    overlaps = [(2 * (a * b).sum() + smooth) / (a.sum() + b.sum() + smooth) for a, b in zip(x, t, strict=True)]
    return 1 - np.array(overlaps)


def _torchvision_focal(torch, x, t, alpha=0.25, gamma=2.0, reduction="none"):
    """Written from the formula: torchvision need not be installed."""
    p = torch.sigmoid(x)
    q = p * t + (1 - p) * (1 - t)
    losses = -torch.log(q) * (1 - q) ** gamma
    losses = losses if alpha == -1 else losses * (alpha * t + (1 - alpha) * (1 - t))
    return losses if reduction == "none" else getattr(losses, reduction)()


def _torch_kl_mean(torch, x, t):
    """Without the warning that "mean" is not the divergence."""
    return torch.nn.functional.kl_div(x, t, reduction="sum") / x.numel()


def _logits(*more, binary=False):
    """Scores and targets, then arrays of weights of the given shapes."""

    def draw(rng):
        targets = rng.integers(0, 2, (3, 4)).astype(float) if binary else rng.uniform(0, 1, (3, 4))
        return [rng.standard_normal((3, 4)) * 2, targets, *(rng.uniform(0.5, 2, shape) for shape in more)]

    return draw


def _signs(*shape):
    return lambda rng: rng.choice([-1.0, 1.0], shape)


def _with_signs(draw, *shape):
    return lambda rng: [*draw(rng), _signs(*shape)(rng)]


def _log_distributions(rng):
    p, q = rng.uniform(0.1, 1, (2, 3, 4))
    return [np.log(p / p.sum(1, keepdims=True)), q / q.sum(1, keepdims=True)]


def _pair(op, name, inputs, reference, diff=None, torch_fn=None, batched=(0, 1), **settings):
    return OpCase(
        f"{op}-{name}",
        lambda *arrays: getattr(F, op)(*arrays, **settings),
        inputs,
        lambda *arrays: pairwise(reference)(*arrays, **settings),
        torch_fn or (lambda torch, *arrays: getattr(torch.nn.functional, op)(*arrays, **settings)),
        diff=diff,
        batch_axis=0,
        batched=batched,
    )


_two = normal((3, 4), (3, 4))

CASES += [
    _pair("mse_loss", "mean", _two, lambda x, t: (x - t) ** 2),
    _pair("mse_loss", "sum", _two, lambda x, t: (x - t) ** 2, reduction="sum"),
    _pair("mse_loss", "none", _two, lambda x, t: (x - t) ** 2, reduction="none"),
    _pair("l1_loss", "mean", _two, lambda x, t: abs(x - t)),
    _pair("l1_loss", "none", _two, lambda x, t: abs(x - t), reduction="none"),
    _pair("smooth_l1_loss", "mean", _two, _smooth_l1),
    _pair("smooth_l1_loss", "beta", _two, _smooth_l1, beta=0.3, reduction="none"),
    _pair("huber_loss", "mean", _two, _huber),
    _pair("huber_loss", "delta", _two, _huber, delta=0.4, reduction="sum"),
    _pair("kl_div", "mean", _log_distributions, _kl, torch_fn=_torch_kl_mean),
    _pair("kl_div", "none", _log_distributions, _kl, reduction="none"),
    _pair("kl_div", "log-target", normal((3, 4), (3, 4)), _kl, log_target=True, reduction="sum"),
    _pair("binary_cross_entropy", "mean", uniform(0.1, 0.9, (3, 4), (3, 4)), _bce),
    _pair("binary_cross_entropy", "sum", uniform(0.1, 0.9, (3, 4), (3, 4)), _bce, reduction="sum"),
    _pair("binary_cross_entropy", "weight", uniform(0.1, 0.9, (3, 4), (3, 4), (4,)), _bce, (0, 1), reduction="none"),
    _pair("binary_cross_entropy_with_logits", "mean", _logits(), _bce_logits),
    _pair("binary_cross_entropy_with_logits", "none", _logits(), _bce_logits, reduction="none"),
    _pair("binary_cross_entropy_with_logits", "sum", _logits(), _bce_logits, reduction="sum"),
    _pair("binary_cross_entropy_with_logits", "weight", _logits((4,)), _bce_logits, (0, 1), reduction="sum"),
    _pair("sigmoid_focal_loss", "none", _logits(binary=True), _focal, (0,), _torchvision_focal, reduction="none"),
    _pair(
        "sigmoid_focal_loss",
        "mean",
        _logits(binary=True),
        _focal,
        (0,),
        lambda torch, x, t: _torchvision_focal(torch, x, t, 0.7, 1.5, "mean"),
        alpha=0.7,
        gamma=1.5,
        reduction="mean",
    ),
    _pair(
        "sigmoid_focal_loss",
        "no-alpha",
        _logits(binary=True),
        _focal,
        (0,),
        lambda torch, x, t: _torchvision_focal(torch, x, t, -1, 2, "sum"),
        alpha=-1,
        reduction="sum",
    ),
    _pair(
        "hinge_embedding_loss",
        "mean",
        _with_signs(normal((3, 4)), 3, 4),
        lambda x, t: x if t == 1 else max(0.0, 1 - x),
        (0,),
    ),
    _pair(
        "hinge_embedding_loss",
        "margin",
        _with_signs(normal((3, 4)), 3, 4),
        lambda x, t, margin: x if t == 1 else max(0.0, margin - x),
        (0,),
        margin=0.3,
        reduction="none",
    ),
    _pair(
        "margin_ranking_loss",
        "margin",
        _with_signs(_two, 3, 4),
        lambda a, b, t, margin: max(0.0, -t * (a - b) + margin),
        (0, 1),
        batched=(0, 1, 2),
        margin=0.5,
    ),
]

CASES += [
    OpCase(
        "binary_cross_entropy_with_logits-pos_weight",
        lambda x, t, w: F.binary_cross_entropy_with_logits(x, t, pos_weight=w),
        _logits((4,)),
        lambda x, t, w: pairwise(lambda x, t, w: _bce_logits(x, t, 1.0, w))(x, t, w),
        lambda torch, x, t, w: torch.nn.functional.binary_cross_entropy_with_logits(x, t, pos_weight=w),
        diff=(0, 1),
        batch_axis=0,
        batched=(0, 1),
    ),
    OpCase(
        "kl_div-batchmean",
        lambda x, t: F.kl_div(x, t, reduction="batchmean"),
        _log_distributions,
        lambda x, t: pairwise(_kl)(x, t, reduction="sum") / 3,
        lambda torch, x, t: torch.nn.functional.kl_div(x, t, reduction="batchmean"),
        batch_axis=0,
        batched=(0, 1),
    ),
    OpCase(
        "dice_loss",
        F.dice_loss,
        uniform(0.1, 0.9, (3, 2, 4), (3, 2, 4)),
        lambda x, t: _dice(x, t, 1.0).mean(),
        batch_axis=0,
        batched=(0, 1),
    ),
    OpCase(
        "dice_loss-none",
        lambda x, t: F.dice_loss(x, t, smooth=0.1, reduction="none"),
        uniform(0.1, 0.9, (3, 5), (3, 5)),
        lambda x, t: _dice(x, t, 0.1),
        batch_axis=0,
        batched=(0, 1),
    ),
]

# ---------------------------------------------------------------------------------------------------------------------
# Vectors


def _distance(a, b, p=2.0, eps=1e-6):
    d = np.abs(a - b + eps)
    return d.max() if p == math.inf else sum(v**p for v in d) ** (1 / p)


def _cosine(a, b, eps=1e-8):
    return (a @ b) / (max(math.sqrt(a @ a), eps) * max(math.sqrt(b @ b), eps))


def _triplet(a, p, n, margin=1.0, power=2.0, swap=False, reduction="mean"):
    losses = []
    for x, y, z in zip(a, p, n, strict=True):
        far = _distance(x, z, power)
        far = min(far, _distance(y, z, power)) if swap else far
        losses.append(max(0.0, _distance(x, y, power) - far + margin))
    return reduce(np.array(losses), reduction)


def _cosine_embedding(a, b, t, margin=0.0, reduction="mean"):
    losses = [
        1 - _cosine(x, y) if s == 1 else max(0.0, _cosine(x, y) - margin)
        for x, y, s in zip(np.atleast_2d(a), np.atleast_2d(b), np.atleast_1d(t), strict=True)
    ]
    return reduce(np.array(losses).reshape(t.shape), reduction)


_three = normal((5, 4), (5, 4), (5, 4))

CASES += [
    OpCase(
        f"pairwise_distance-p{p}",
        lambda a, b, p=p: F.pairwise_distance(a, b, p),
        normal((5, 4), (5, 4)),
        lambda a, b, p=p: np.array([_distance(x, y, p) for x, y in zip(a, b, strict=True)]),
        lambda torch, a, b, p=p: torch.nn.functional.pairwise_distance(a, b, p),
        batch_axis=0,
        batched=(0, 1),
    )
    for p in (1.0, 2.0, 3.0, math.inf)
]

CASES += [
    OpCase(
        "pairwise_distance-broadcast",
        lambda a, b: F.pairwise_distance(a, b, keepdim=True),
        normal((5, 4), (4,)),
        lambda a, b: np.array([[_distance(x, b)] for x in a]),
        lambda torch, a, b: torch.nn.functional.pairwise_distance(a, b, keepdim=True),
        batch_axis=0,
    ),
    OpCase(
        "cosine_similarity",
        F.cosine_similarity,
        normal((5, 4), (5, 4)),
        lambda a, b: np.array([_cosine(x, y) for x, y in zip(a, b, strict=True)]),
        lambda torch, a, b: torch.nn.functional.cosine_similarity(a, b),
        batch_axis=0,
        batched=(0, 1),
    ),
    OpCase(
        "cosine_similarity-broadcast",
        lambda a, b: F.cosine_similarity(a, b, dim=-1),
        normal((5, 4), (4,)),
        lambda a, b: np.array([_cosine(x, b) for x in a]),
        lambda torch, a, b: torch.nn.functional.cosine_similarity(a, b, dim=-1),
        batch_axis=0,
    ),
    OpCase(
        "cosine_embedding_loss",
        F.cosine_embedding_loss,
        _with_signs(normal((5, 4), (5, 4)), 5),
        _cosine_embedding,
        lambda torch, a, b, t: torch.nn.functional.cosine_embedding_loss(a, b, t),
        diff=(0, 1),
        batch_axis=0,
        batched=(0, 1, 2),
    ),
    OpCase(
        "cosine_embedding_loss-alone",
        lambda a, b, t: F.cosine_embedding_loss(a, b, t, -0.9, reduction="none"),
        lambda rng: [rng.standard_normal(4), rng.standard_normal(4), np.array(-1.0)],
        lambda a, b, t: _cosine_embedding(a, b, t, -0.9, "none"),
        lambda torch, a, b, t: torch.nn.functional.cosine_embedding_loss(a, b, t, -0.9, reduction="none"),
        diff=(0, 1),
    ),
]

CASES += [
    OpCase(
        f"triplet_margin_loss-{name}",
        lambda a, p, n, s=settings: F.triplet_margin_loss(a, p, n, *s[:2], swap=s[2], reduction=s[3]),
        _three,
        lambda a, p, n, s=settings: _triplet(a, p, n, *s),
        lambda torch, a, p, n, s=settings: torch.nn.functional.triplet_margin_loss(
            a, p, n, *s[:2], swap=s[2], reduction=s[3]
        ),
        batch_axis=0,
        batched=(0, 1, 2),
    )
    for name, settings in [
        ("mean", (1.0, 2.0, False, "mean")),
        ("swap", (2.0, 2.0, True, "none")),
        ("p1", (0.5, 1.0, False, "sum")),
    ]
]
