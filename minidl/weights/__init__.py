"""Weights on disk: ``.safetensors`` and ``.npz`` both ways, PyTorch's ``.pt`` and ``.pth`` read only; no pickle is run.

==================== ============================================================================
``files``            :func:`save` and :func:`load`: which format a path means, and safe replacement
``state``            a nested state as named arrays plus a JSON tree, and back
``safetensors_file`` ``npz_file``   the two formats that are written
``pickle_reader``    a pickle interpreter that imports nothing and calls nothing
``torch_objects``    the few names that a PyTorch pickle may use: storages, tensors, dtypes
``torch_zip``        ``torch_legacy``   the two layouts of ``torch.save``: since 1.6, and before
==================== ============================================================================
"""

from .files import load, save

__all__ = ["load", "save"]
