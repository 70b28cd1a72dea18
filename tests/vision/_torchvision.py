"""torchvision as an oracle, where it is installed."""

import sys

import pytest


def torchvision():
    """(torch, torchvision), or the test is skipped."""
    pytest.importorskip("torch")
    return pytest.importorskip("torch"), pytest.importorskip("torchvision", exc_type=ImportError)


def roi_align_in_python():
    """torchvision's RoIAlign in Python, uncompiled; it does not know that far outside the image there is nothing."""
    torchvision()
    return sys.modules["torchvision.ops.roi_align"]._roi_align.__wrapped__


def has_compiled_operations():
    """Whether torchvision's operations in C++ fit this PyTorch."""
    return torchvision()[1].extension._has_ops()
