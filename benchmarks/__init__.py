"""Measurements of minidl, beside PyTorch and DeZero where they are installed. Run ``python -m benchmarks``."""
