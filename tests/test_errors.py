"""Each error is one of minidl's and also what PyTorch raises for the same mistake."""

import pickle

import pytest

from minidl import errors
from minidl.errors import MinidlError

ALL = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, MinidlError)]


@pytest.mark.parametrize("error", ALL, ids=lambda e: e.__name__)
def test_messages_are_shown_as_they_are(error):
    """KeyError would quote them, OSError and ImportError have formats of their own."""
    raised = error("a 'message'")
    assert str(raised) == "a 'message'"
    raised.layer_path = "features.3.conv"
    assert str(raised) == "a 'message' [in layer features.3.conv]"
    assert error.__doc__


@pytest.mark.parametrize("error", ALL, ids=lambda e: e.__name__)
def test_errors_can_cross_processes(error):
    raised = error("message")
    raised.layer_path = "conv"
    copied = pickle.loads(pickle.dumps(raised))
    assert type(copied) is error and str(copied) == "message [in layer conv]"


@pytest.mark.parametrize(
    "name, builtins",
    {
        "ShapeError": (RuntimeError, ValueError),
        "DtypeError": (TypeError, RuntimeError),
        "DeviceError": (RuntimeError,),
        "ArgumentError": (ValueError, RuntimeError),
        "ArgumentTypeError": (TypeError,),
        "MissingAttributeError": (AttributeError, KeyError),
        "OutOfRangeError": (IndexError, ValueError, RuntimeError),
        "GradientError": (RuntimeError,),
        "NotTwiceDifferentiable": (RuntimeError,),
        "InPlaceError": (RuntimeError, TypeError),
        "GradcheckError": (RuntimeError, AssertionError),
        "StateDictError": (RuntimeError, KeyError),
        "FileFormatError": (RuntimeError, ValueError),
        "SaveError": (OSError,),
        "DatasetError": (RuntimeError, ValueError),
        "DownloadError": (OSError,),
        "MissingPackageError": (ImportError,),
    }.items(),
)
def test_builtin_exceptions_catch_them_too(name, builtins):
    for builtin in builtins:
        with pytest.raises(builtin, match="message"):
            raise getattr(errors, name)("message")


def test_several_arguments_and_none():
    assert str(MinidlError("a", 1)) == "a, 1"
    assert str(MinidlError()) == ""
    assert errors.NotTwiceDifferentiable.__mro__[1] is errors.GradientError
