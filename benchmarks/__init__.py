"""Measurements of minidl, beside PyTorch, Chainer and DeZero. Run ``python -m benchmarks``; README.md explains."""
