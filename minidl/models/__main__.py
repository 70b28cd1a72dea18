"""``python -m minidl.models``: every network with its parameters, the FLOPs of one image and its source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..nn.summary import summarize
from . import (
    DCGAN,
    MLPGAN,
    SNGAN,
    VAE,
    WGAN,
    WGANGP,
    Autoencoder,
    ConditionalGAN,
    DeconvNet,
    FCN8s,
    FCN16s,
    FCN32s,
    LeNet5,
    MiniInception,
    MiniVGG,
    ResNetCifar,
    SegNet,
    UNet,
    alexnet,
    efficientnet_lite0,
    fasterrcnn_resnet50_fpn,
    fcn_resnet50,
    googlenet,
    inception_v3,
    maskrcnn_resnet50_fpn,
    mobilenet_v2,
    plain_cifar,
    resnet18,
    resnet34,
    resnet50,
    vgg11,
    vgg16,
    vgg16_bn,
)

# name, how to make it, shape of an image, or of the noise from which it makes one; source
MODELS: list[tuple[str, Callable[[], Any], tuple[int, ...], str]] = [
    ("LeNet5", LeNet5, (1, 28, 28), "LeCun et al. 1998"),
    ("MiniVGG", MiniVGG, (3, 32, 32), "after Simonyan & Zisserman 2015"),
    ("MiniInception", MiniInception, (3, 32, 32), "Zhang et al. 2017, figure 3"),
    ("ResNetCifar(20)", lambda: ResNetCifar(20), (3, 32, 32), "He et al. 2016, section 4.2"),
    ("ResNetCifar(56)", lambda: ResNetCifar(56), (3, 32, 32), "He et al. 2016, section 4.2"),
    ("plain_cifar(20)", lambda: plain_cifar(20), (3, 32, 32), "He et al. 2016, section 4.2"),
    ("alexnet", alexnet, (3, 224, 224), "Krizhevsky et al. 2012; Krizhevsky 2014"),
    ("vgg11", vgg11, (3, 224, 224), "Simonyan & Zisserman 2015, A"),
    ("vgg16", vgg16, (3, 224, 224), "Simonyan & Zisserman 2015, D"),
    ("vgg16_bn", vgg16_bn, (3, 224, 224), "the same, with batch norm"),
    ("googlenet", lambda: googlenet(aux_logits=False), (3, 224, 224), "Szegedy et al. 2015"),
    ("inception_v3", lambda: inception_v3(aux_logits=False), (3, 299, 299), "Szegedy et al. 2016"),
    ("resnet18", resnet18, (3, 224, 224), "He et al. 2016"),
    ("resnet34", resnet34, (3, 224, 224), "He et al. 2016"),
    ("resnet50", resnet50, (3, 224, 224), "He et al. 2016"),
    ("mobilenet_v2", mobilenet_v2, (3, 224, 224), "Sandler et al. 2018"),
    ("efficientnet_lite0", efficientnet_lite0, (3, 224, 224), "Tan & Le 2019; Lite form 2020"),
    ("FCN32s", FCN32s, (3, 224, 224), "Long et al. 2015, on vgg16"),
    ("FCN16s", FCN16s, (3, 224, 224), "the same"),
    ("FCN8s", FCN8s, (3, 224, 224), "the same"),
    ("fcn_resnet50", fcn_resnet50, (3, 224, 224), "the same, on a dilated ResNet-50"),
    ("DeconvNet", DeconvNet, (3, 224, 224), "Noh et al. 2015"),
    ("SegNet", SegNet, (3, 224, 224), "Badrinarayanan et al. 2017"),
    ("UNet", UNet, (1, 224, 224), "Ronneberger et al. 2015, with batch norm"),
    ("fasterrcnn_resnet50_fpn", fasterrcnn_resnet50_fpn, (3, 224, 224), "Ren et al. 2015, Lin et al. 2017"),
    ("maskrcnn_resnet50_fpn", maskrcnn_resnet50_fpn, (3, 224, 224), "He et al. 2017"),
    ("Autoencoder", Autoencoder, (1, 28, 28), "after Hinton & Salakhutdinov 2006"),
    ("VAE", VAE, (1, 28, 28), "Kingma & Welling 2014"),
    ("MLPGAN", MLPGAN, (64,), "Goodfellow et al. 2014"),
    ("DCGAN", DCGAN, (100,), "Radford et al. 2016, for 28 × 28"),
    ("ConditionalGAN", ConditionalGAN, (100,), "Mirza & Osindero 2014, on DCGAN"),
    ("WGAN", WGAN, (100,), "Arjovsky et al. 2017, on DCGAN"),
    ("WGANGP", WGANGP, (100,), "Gulrajani et al. 2017, on DCGAN"),
    ("SNGAN", SNGAN, (100,), "Miyato et al. 2018, on DCGAN"),
]


def main() -> None:
    """Make each network, run it once, print its row."""
    print(f"{'network':<23} {'parameters':>12} {'image':>14} {'GFLOPs':>8}  source")
    for name, make, image, source in MODELS:
        summary = summarize(make(), (1, *image))
        size = " × ".join(map(str, image))
        print(f"{name:<23} {summary.parameters:>12,} {size:>14} {summary.flops / 1e9:>8.2f}  {source}", flush=True)
    print("Without auxiliary classifiers. A multiplication and an addition count as two FLOPs.")


if __name__ == "__main__":
    main()
