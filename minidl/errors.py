"""Every error that a public call raises.

Each is a :class:`MinidlError` and also the built-in exception that PyTorch raises for the same mistake, so both
``except minidl.errors.ShapeError`` and ``except RuntimeError`` catch it. A message names the operation, the offending
values, the rule that they break and what to change. Inside a Module the path of the layer is added on the way up.
"""

from __future__ import annotations


class MinidlError(Exception):
    """Base of all errors of minidl. ``layer_path`` is the path of the layer that raised, "" outside a Module."""

    layer_path: str = ""

    def __str__(self) -> str:
        message = self.args[0] if len(self.args) == 1 else ", ".join(map(str, self.args))
        return f"{message} [in layer {self.layer_path}]" if self.layer_path else str(message)


class ShapeError(MinidlError, RuntimeError, ValueError):
    """Shapes, ranks or channel counts that do not fit each other."""


class DtypeError(MinidlError, TypeError, RuntimeError):
    """A dtype that the operation does not take, or two float dtypes in one operation."""


class DeviceError(MinidlError, RuntimeError):
    """Tensors on different devices, or a device that is not there."""


class ArgumentError(MinidlError, ValueError, RuntimeError):
    """An argument whose value is not allowed (a stride of 0, p outside [0, 1], an unknown reduction)."""


class ArgumentTypeError(MinidlError, TypeError):
    """An argument of the wrong kind, such as a list where a Tensor is needed."""


class IndexTypeError(ArgumentTypeError, DtypeError, IndexError):
    """An index in brackets that is no index: a float, a string, a tensor of floats."""


class MissingMethodError(MinidlError, NotImplementedError):
    """A subclass that lacks a method which it has to define."""


class NameTakenError(ArgumentError, KeyError):
    """A name that a module cannot give to a parameter, buffer or layer: taken already, empty, or with a dot."""


class MissingAttributeError(MinidlError, AttributeError, KeyError):
    """A parameter, buffer, layer or key that a module does not have, or not yet."""


class OutOfRangeError(MinidlError, IndexError, ValueError, RuntimeError):
    """An index, a class label or a dimension outside its range."""


class GradientError(MinidlError, RuntimeError):
    """A backward pass that cannot be done, or a backward that returned something impossible."""


class NotTwiceDifferentiable(GradientError):
    """The gradient of this operation cannot itself be differentiated."""


class InPlaceError(MinidlError, RuntimeError, TypeError):
    """An attempt to write into a tensor, or a saved tensor that was changed before backward."""


class GradcheckError(MinidlError, RuntimeError, AssertionError):
    """An analytic gradient that disagrees with finite differences."""


class StateDictError(MinidlError, RuntimeError, KeyError):
    """A state dict whose keys or shapes do not fit the module."""


class FileFormatError(MinidlError, RuntimeError, ValueError):
    """A file that is truncated, corrupt, hostile, or not of the format that its name says."""


class SaveError(MinidlError, OSError):
    """A file that could not be written: the disk is full, or the folder or the old file is read-only. The old file, if
    there was one, is as it was."""


class DatasetError(MinidlError, RuntimeError, ValueError):
    """A data set that cannot be found or read."""


class DownloadError(DatasetError, OSError):
    """A download that failed, stalled or did not match its checksum. Nothing is left behind."""


class MissingPackageError(MinidlError, ImportError):
    """An optional package that this call needs is not installed. The message says what to install."""


class NonFiniteError(MinidlError, RuntimeError, FloatingPointError):
    """A NaN or an infinity where only finite numbers make sense, such as the loss of a training."""


class WorkerError(MinidlError, RuntimeError):
    """A worker process that ended in the middle of its work. The next operations start a new one."""


class OutOfMemoryError(MinidlError, RuntimeError, MemoryError):
    """A GPU that has no memory left for what was asked. The message says how much that was, and who has the rest."""
