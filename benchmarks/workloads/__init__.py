"""What is measured as a whole: training steps and inference of small networks."""

from __future__ import annotations

from functools import partial

from . import chainer_nets, dcgan, dezero_nets, fcn, lenet, mlp, resnet, vgg
from ._workload import Workload

TRAINING = [
    Workload("MLP 784-256-10", 0.6, mlp.step, chainer_nets.mlp, dezero_nets.mlp, layouts=False),
    Workload("LeNet-5", 0.6, lenet.step, chainer_nets.lenet, dezero_nets.lenet),
    Workload("VGG-like", 0.75, vgg.step, chainer_nets.vgg, dezero_nets.vgg),
    Workload("ResNet-20", 1.0, resnet.step),
    Workload("FCN-8s-like", 1.0, fcn.step),
    Workload("DCGAN nf=32", 1.0, partial(dcgan.step, nf=32)),
    Workload("DCGAN nf=64", 1.0, partial(dcgan.step, nf=64)),
]
INFERENCE = [
    Workload("VGG-like eval", 0.5, vgg.evaluation),
    Workload("ResNet-20 eval", 0.8, resnet.evaluation),
]
