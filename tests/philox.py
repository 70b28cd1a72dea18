"""Philox4x32-10 in plain Python, from the definition: what the kernels in CUDA C are compared with."""

import numpy as np


def block(counter, key):
    """The four words of one block. Salmon et al. 2011, section 3.3.

    Each round multiplies words 0 and 2 by constants; the lower halves of the products move on, the upper ones are mixed
    with the other two words and with the key, which grows by Weyl constants.
    """
    x, (k0, k1) = list(counter), key
    for _ in range(10):
        p0, p2 = x[0] * 0xD2511F53, x[2] * 0xCD9E8D57
        x = [(p2 >> 32) ^ x[1] ^ k0, p2 & 0xFFFFFFFF, (p0 >> 32) ^ x[3] ^ k1, p0 & 0xFFFFFFFF]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return x


def split(number, count):
    """A number as `count` words of 32 bits, the lowest first."""
    return [number >> 32 * i & 0xFFFFFFFF for i in range(count)]


def words(key, position, blocks):
    """The words of consecutive blocks of a stream: (blocks, 4) uint32."""
    rows = [block(split((position + i) % 2**128, 4), split(key, 2)) for i in range(blocks)]
    return np.array(rows, np.uint32).reshape(blocks, 4)


def spread(numbers, shape):
    """(blocks, numbers of each) as the kernels lay them out: number j of block i is element i + j · blocks."""
    size = int(np.prod(shape))
    return numbers.T.reshape(-1)[:size].reshape(shape)
