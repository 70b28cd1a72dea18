"""What is measured. Each module has ``cases(libraries)``, which gives rows of one table."""

from . import conv, lenet, pooling

ALL = {"conv": conv.cases, "pooling": pooling.cases, "lenet": lenet.cases}

__all__ = ["ALL"]
