"""LeNet-5: LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document recognition"."""

from __future__ import annotations

from collections import OrderedDict

from .. import nn


class LeNet5(nn.Sequential):
    """The network that read handwritten digits, with the names of the paper: C convolution, S subsampling, F dense.

    ======  ==============================  ==================
    layer                                   output
    ======  ==============================  ==================
    input                                   1 × 28 × 28
    c1      5×5, 6 maps, padding 2          6 × 28 × 28
    s2      max 2×2                         6 × 14 × 14
    c3      5×5, 16 maps                    16 × 10 × 10
    s4      max 2×2                         16 × 5 × 5
    c5      dense                           120
    f6      dense                           84
    output  dense                           10 logits
    ======  ==============================  ==================

    61,706 parameters. Deviations: ReLU for the scaled tanh; S2 and S4 take the maximum, where the paper sums, scales
    and squashes; each map of C3 sees all maps of S2; the output is dense where the paper has radial basis functions; C1
    adds the margin that the paper's 32 × 32 images have.

    Args:      num_classes: logits. in_channels: 1 for gray, 3 for RGB. dropout: probability after C5 and F6
    Source:    section II.B
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, dropout: float = 0.0):
        super().__init__(
            OrderedDict(
                c1=nn.Conv2d(in_channels, 6, 5, padding=2),
                relu1=nn.ReLU(),
                s2=nn.MaxPool2d(2),
                c3=nn.Conv2d(6, 16, 5),
                relu3=nn.ReLU(),
                s4=nn.MaxPool2d(2),
                flatten=nn.Flatten(),
                c5=nn.Linear(16 * 5 * 5, 120),
                relu5=nn.ReLU(),
                drop5=nn.Dropout(dropout),
                f6=nn.Linear(120, 84),
                relu6=nn.ReLU(),
                drop6=nn.Dropout(dropout),
                output=nn.Linear(84, num_classes),
            )
        )
