"""Measurements of minidl, side by side with PyTorch and DeZero where they are installed. Run ``python -m benchmarks``."""
