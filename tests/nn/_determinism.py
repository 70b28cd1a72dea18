"""One layer of each kind, and inputs large enough for several threads to share the work.

``python -m tests.nn._determinism THREADS`` prints a digest of what each computes.
"""

import hashlib
import json
import sys

import numpy as np

import minidl as ml
from minidl import nn

SIDES = {1: (1024,), 2: (32, 32), 3: (10, 10, 10)}  # of an image with so many dimensions


def images(d, channels=8):
    return lambda rng: rng.standard_normal((16, channels, *SIDES[d]))


def normal(*shape):
    return lambda rng: rng.standard_normal(shape)


def unit(*shape):
    return lambda rng: rng.uniform(0.05, 0.95, shape)


def labels(count, *shape):
    return lambda rng: rng.integers(0, count, shape)


def signs(*shape):
    return lambda rng: rng.choice([-1.0, 1.0], shape)


def columns(rng):
    return rng.standard_normal((4, 8 * 9, 30 * 30))


class Unpooled(nn.Module):
    """Max pooling and its inverse, which needs the indices."""

    def __init__(self, d):
        super().__init__()
        self.pool = getattr(nn, f"MaxPool{d}d")(2, return_indices=True)
        self.unpool = getattr(nn, f"MaxUnpool{d}d")(2)

    def forward(self, x):
        return self.unpool(*self.pool(x))


LAYERS = {
    "Linear": (lambda: nn.Linear(256, 256), normal(256, 256)),
    "Bilinear": (lambda: nn.Bilinear(16, 16, 8), normal(256, 16), normal(256, 16)),
    "Embedding": (lambda: nn.Embedding(50, 32), labels(50, 400)),
    "Fold": (lambda: nn.Fold(32, 3), columns),
    "Unfold": (lambda: nn.Unfold(3), images(2)),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), images(2)),
    "PixelUnshuffle": (lambda: nn.PixelUnshuffle(2), images(2)),
    "Upsample": (lambda: nn.Upsample(scale_factor=2, mode="bicubic"), images(2, 2)),
    "UpsamplingBilinear2d": (lambda: nn.UpsamplingBilinear2d(scale_factor=2), images(2)),
    "UpsamplingNearest2d": (lambda: nn.UpsamplingNearest2d(scale_factor=2), images(2)),
    "Flatten": (lambda: nn.Flatten(), images(2)),
    "Unflatten": (lambda: nn.Unflatten(1, (4, 2)), images(2)),
    "Identity": (lambda: nn.Identity(), images(2)),
    "LayerNorm": (lambda: nn.LayerNorm(256), normal(512, 256)),
    "RMSNorm": (lambda: nn.RMSNorm(256), normal(512, 256)),
    "GroupNorm": (lambda: nn.GroupNorm(4, 8), images(2)),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(5), images(2)),
    "CosineSimilarity": (lambda: nn.CosineSimilarity(), normal(256, 64), normal(256, 64)),
    "PairwiseDistance": (lambda: nn.PairwiseDistance(), normal(256, 64), normal(256, 64)),
    "Threshold": (lambda: nn.Threshold(0.1, 2.0), images(2)),
    "PReLU": (lambda: nn.PReLU(8), images(2)),
    "Softmax": (lambda: nn.Softmax(1), normal(512, 64)),
    "Softmin": (lambda: nn.Softmin(1), normal(512, 64)),
    "LogSoftmax": (lambda: nn.LogSoftmax(1), normal(512, 64)),
    "AlphaDropout": (lambda: nn.AlphaDropout(), images(2)),
    "FeatureAlphaDropout": (lambda: nn.FeatureAlphaDropout(), images(2)),
    "Dropout": (lambda: nn.Dropout(), images(2)),
}
for _name in (
    *("CELU", "ELU", "GELU", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU", "LogSigmoid", "Mish", "ReLU"),
    *("ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus", "Softsign", "Tanh"),
):
    LAYERS[_name] = (getattr(nn, _name), images(2))
for _d in (1, 2, 3):
    for _name, _settings in {
        "Conv{}d": (8, 16, 3, 1, 1),
        "ConvTranspose{}d": (8, 8, 3, 2),
        "MaxPool{}d": (3, 2, 1),
        "AvgPool{}d": (3, 2, 1),
        "LPPool{}d": (2, 2),
        "AdaptiveAvgPool{}d": (5,),
        "AdaptiveMaxPool{}d": (5,),
        "BatchNorm{}d": (8,),
        "InstanceNorm{}d": (8, 1e-5, 0.1, True),
        "CircularPad{}d": (2,),
        "ConstantPad{}d": (2, 1.0),
        "ReflectionPad{}d": (2,),
        "ReplicationPad{}d": (2,),
        "ZeroPad{}d": (2,),
        "Dropout{}d": (0.5,),
    }.items():
        _layer = getattr(nn, _name.format(_d))
        LAYERS[_layer.__name__] = (lambda layer=_layer, settings=_settings: layer(*settings), images(_d))
    LAYERS[f"MaxUnpool{_d}d"] = (lambda d=_d: Unpooled(d), images(_d))
LAYERS |= {
    "BCELoss": (nn.BCELoss, unit(512, 64), unit(512, 64)),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss, normal(512, 64), unit(512, 64)),
    "CosineEmbeddingLoss": (nn.CosineEmbeddingLoss, normal(512, 32), normal(512, 32), signs(512)),
    "CrossEntropyLoss": (nn.CrossEntropyLoss, normal(512, 64), labels(64, 512)),
    "DiceLoss": (nn.DiceLoss, unit(8, 1, 64, 64), unit(8, 1, 64, 64)),
    "HingeEmbeddingLoss": (nn.HingeEmbeddingLoss, normal(512, 64), signs(512, 64)),
    "HuberLoss": (nn.HuberLoss, normal(512, 64), normal(512, 64)),
    "KLDivLoss": (lambda: nn.KLDivLoss(reduction="batchmean"), normal(512, 64), unit(512, 64)),
    "L1Loss": (nn.L1Loss, normal(512, 64), normal(512, 64)),
    "MSELoss": (nn.MSELoss, normal(512, 64), normal(512, 64)),
    "MarginRankingLoss": (nn.MarginRankingLoss, normal(4096), normal(4096), signs(4096)),
    "MultiMarginLoss": (nn.MultiMarginLoss, normal(512, 64), labels(64, 512)),
    "NLLLoss": (nn.NLLLoss, normal(512, 64), labels(64, 512)),
    "SigmoidFocalLoss": (nn.SigmoidFocalLoss, normal(512, 64), labels(2, 512, 64)),
    "SmoothL1Loss": (nn.SmoothL1Loss, normal(512, 64), normal(512, 64)),
    "SoftmaxDiceLoss": (nn.SoftmaxDiceLoss, normal(8, 4, 64, 64), labels(4, 8, 64, 64)),
    "SoftmaxFocalLoss": (nn.SoftmaxFocalLoss, normal(512, 64), labels(64, 512)),
    "TripletMarginLoss": (nn.TripletMarginLoss, normal(512, 32), normal(512, 32), normal(512, 32)),
}


def digest(name):
    """SHA-256 of everything that a step of the layer computes: output, gradients, buffers; all from one seed."""
    make, *draws = LAYERS[name]
    ml.manual_seed(0)
    rng = np.random.default_rng(1)
    layer = make()
    arrays = [draw(rng) for draw in draws]
    inputs = [
        ml.tensor(a.astype(np.float32), requires_grad=True) if a.dtype.kind == "f" else ml.tensor(a) for a in arrays
    ]
    y = layer(*inputs)
    y.backward(ml.tensor(rng.standard_normal(y.shape).astype(np.float32)))
    gradients = [tensor.grad for tensor in (*inputs, *layer.parameters()) if tensor.grad is not None]
    assert gradients, name
    total = hashlib.sha256()
    for tensor in (y, *gradients, *layer.buffers()):
        total.update(np.ascontiguousarray(tensor.data))
    return total.hexdigest()


if __name__ == "__main__":
    ml.set_num_threads(int(sys.argv[1]))
    print(json.dumps({name: digest(name) for name in LAYERS}))
