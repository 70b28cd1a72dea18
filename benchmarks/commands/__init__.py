"""What ``python -m benchmarks`` can do: each module has ``run``, which prints and returns rows, and ``plot``."""
