# %% [markdown]
# # 07  The cost of a convolution
#
# **Goal.** Know what a convolutional layer costs, in arithmetic and in memory traffic, and where the time goes on
# your own machine. We climb from loops by way of im2col, blocks that fit the cache, and Winograd's algorithm, which
# needs a quarter of the multiplications, to memory layout and threads. Each rung is held against the same reference,
# timed, and given its place under the *roofline* of the machine that runs this.
#
# **Needs.** Lesson 05 (convolution, im2col, its gradients) and some patience with indices.
#
# **Time.** Under a minute on two cores.

# %%
import os

# before NumPy is imported: matrix products in one thread; where we want two threads, we start them ourselves
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
from _lesson import FAST, finish, save_picture
from matplotlib import pyplot as plt
from numpy.lib.stride_tricks import as_strided, sliding_window_view

import minidl as ml
from minidl import functional as F
from minidl.data.datasets import photographs

rng = np.random.default_rng(0)
CORES = ml.get_num_threads()  # what minidl uses if it is not told otherwise: all that this process may run on
KB, MB = 1024, 1024**2


def seconds(call, budget=0.25, fast_budget=0.02):
    """The shortest of several runs. Whatever else the machine does can only lengthen a run, never shorten it."""
    call()
    times, end = [], time.perf_counter() + (fast_budget if FAST else budget)
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def error(y, reference):
    """The largest difference, relative to the largest value."""
    return float(np.abs(np.asarray(y, np.float64) - reference).max() / np.abs(reference).max())


# %% [markdown]
# ## Two bills: arithmetic and traffic
#
# A layer computes, for N images, O output channels and $H' \times W'$ places, a sum of $C k^2$ products (lesson 05; a
# cross-correlation, whatever its name). A product and its addition count as two floating-point operations:
#
# $$ \text{FLOP} = 2 \cdot N \cdot O \cdot H' W' \cdot C k^2 . $$
#
# (FLOP/s is a speed; the plural, FLOPs, is met for both.) The second bill is for *traffic*. However clever the
# program, each input, each weight and each output must cross between memory and processor at least once, four bytes
# each in float32:
#
# $$ \text{bytes} \ge 4 \left( N C H W + O C k^2 + N O H' W' \right) . $$
#
# Their ratio, the **arithmetic intensity** in FLOP per byte, says which of the bills will matter. Let $P$ be the most
# FLOP/s that the machine can do and $B$ the most bytes/s that it can move. Then, even if it does both at once, the time
# is at least $\max(\text{FLOP} / P, \text{bytes} / B)$, so that
#
# $$ \text{speed} \le \min(P, \; \text{intensity} \cdot B) . $$
#
# This is the *roofline* (Williams, Waterman and Patterson 2009): a slope where memory limits, a flat roof where
# arithmetic does, and a ridge at $P / B$ between them.
#
# Here are the bills of a small network on a photograph: the layers are of kinds that real networks have, the shapes
# come out of minidl. A fully connected layer is the convolution of a $1 \times 1$ image with a $1 \times 1$ kernel.


# %%
def flop(x_shape, w_shape, y_shape):
    return 2 * int(np.prod(y_shape)) * int(np.prod(w_shape[1:]))  # w is (O, C / groups, k, k)


def least_bytes(x_shape, w_shape, y_shape):
    return 4 * sum(int(np.prod(shape)) for shape in (x_shape, w_shape, y_shape))


def weights(*shape):
    """Random weights that keep the size of what passes through them and a ReLU (He et al. 2015)."""
    return rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)


photo = photographs("astronaut")
photo = (photo - photo.mean()) / photo.std()
LAYERS = [
    ("7 × 7, stride 2", (64, 3, 7, 7), {"stride": 2, "padding": 3}, 2),
    ("3 × 3", (64, 64, 3, 3), {"padding": 1}, 1),
    ("1 × 1", (256, 64, 1, 1), {}, 1),
    ("3 × 3, depthwise", (256, 1, 3, 3), {"padding": 1, "groups": 256}, 4),
    ("3 × 3, deep", (512, 256, 3, 3), {"padding": 1}, 14),
    ("fully connected", (1000, 512, 1, 1), {}, 1),
]
print("                                                     one image                       32 images")
print("layer              input            weights            MFLOP       MB  FLOP/byte     FLOP/byte")
x = ml.tensor(photo[None, :, :224, 100:324])
intensities = {}
with ml.no_grad():
    for name, w_shape, settings, pool in LAYERS:
        y = F.conv2d(x, ml.tensor(weights(*w_shape)), **settings)
        bills = [
            [count((n, *x.shape[1:]), w_shape, (n, *y.shape[1:])) for count in (flop, least_bytes)] for n in (1, 32)
        ]
        (one_flop, one_bytes), (many_flop, many_bytes) = bills
        intensities[name] = one_flop / one_bytes
        shapes = f"{' × '.join(map(str, x.shape[1:])):15s}  {' × '.join(map(str, w_shape)):18s}"
        print(
            f"{name:17s}  {shapes}{one_flop / 1e6:8.1f}  {one_bytes / 1e6:7.1f} {intensities[name]:10.1f} {many_flop / many_bytes:13.1f}"
        )
        x = F.max_pool2d(F.relu(y), pool) if pool > 1 else F.relu(y)

# a convolution of ones with ones counts its own multiply-adds
counted = F.conv2d(ml.ones(2, 3, 9, 8), ml.ones(4, 3, 3, 3), stride=2)
assert 2 * int(counted.numpy().sum()) == flop((2, 3, 9, 8), (4, 3, 3, 3), counted.shape)
assert intensities["fully connected"] < 0.5 < intensities["3 × 3, depthwise"] < intensities["3 × 3"]

# %% [markdown]
# A fully connected layer on one image does half an operation for each byte: its time is the time to read the weights. A
# batch shares them, and so the intensity rises. A depthwise convolution, with one input channel for each output
# channel, has little to do to each number it reads, and no batch helps: few FLOP are not the same as fast. The dense
# $3 \times 3$ layers could be limited by arithmetic, *if* they moved no more than they must.
#
# ## The machine
#
# Both limits can be measured with NumPy. $P$: the fastest product of two large matrices, $2n^3$ FLOP (the libraries
# behind it come close to what the hardware can do; Goto and van de Geijn 2008). $B$: the copying of an array, which
# reads it and writes it. $B$ depends on where the array is. Memory is a ladder of its own: a core computes from
# registers, which are filled from a first-level cache of some 32–64 KB, that from a second of some 0.25–2 MB, that
# from a third, which all cores share, and that from DRAM; every step is larger and slower. So we copy arrays of many
# sizes. A call from Python costs a fraction of a microsecond before anything is copied, which we also measure, by
# copying one number, and take off for a second curve.


# %%
def cache_sizes():
    """Data caches of the first core in bytes, by level, where the system tells (Linux)."""
    sizes = {}
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
            if kind != "Instruction":
                sizes[int(level)] = int(size.removesuffix("K")) * KB
        except (OSError, ValueError):
            continue
    return dict(sorted(sizes.items()))


def copy_seconds(size, budget):
    a, b = np.ones(size, np.uint8), np.ones(size, np.uint8)  # written to, or they would not exist yet
    return seconds(lambda: np.copyto(b, a), budget, 0.01)


CACHES = cache_sizes()
L2 = CACHES.get(2)
print("caches:", ", ".join(f"L{n} {size / KB:,.0f} KB" for n, size in CACHES.items()) or "unknown", f"; {CORES} cores")

call_cost = copy_seconds(4, 0.1)
copy_sizes = 2 ** np.arange(12, 25 if FAST else 28)
copy_times = np.array([copy_seconds(int(size), 0.1) for size in copy_sizes])
bandwidth = 2 * copy_sizes / copy_times
bandwidth_inside = 2 * copy_sizes / np.maximum(copy_times - call_cost, 0.2 * copy_times)
print(f"a call costs {1e9 * call_cost:.0f} ns. Copying, read + written, in GB/s (without the cost of the call):")
for size, speed, inside in list(zip(copy_sizes, bandwidth, bandwidth_inside, strict=True))[::2]:
    print(f"  {size / KB:8,.0f} KB  {speed / 1e9:6.1f}  ({inside / 1e9:.1f})")

# %% [markdown]
# The left end of the curve is limited by the call, the right end by memory; in between lies the size of piece that
# NumPy likes best. Keep it in mind. (On a server the third level may hold hundreds of MB and be shared with strangers;
# then the last step does not show here.)
#
# Now the two limits, for one thread and for two. Two threads on two cores have twice the arithmetic units. They share
# the memory, but one core alone can seldom use all that it can give. (Most processors also read the target before they
# overwrite it; we count only what the program asks for.)

# %%
pool = ThreadPoolExecutor(2)


def together(*calls):
    """Run the calls at once, each in a thread of its own."""
    for future in [pool.submit(call) for call in calls]:
        future.result()


def machine(threads):
    """(P in FLOP/s, B in bytes/s) of so many threads."""
    size, elements = 768 if FAST else 1024, (16 if FAST else 64) * MB // 4
    a, b = (np.ones((threads, size, size), np.float32) for _ in range(2))
    c, (source, target) = np.empty_like(a), np.ones((2, threads, elements // threads), np.float32)
    products = [lambda i=i: np.matmul(a[i], b[i], out=c[i]) for i in range(threads)]
    copies = [lambda i=i: np.copyto(target[i], source[i]) for i in range(threads)]
    if threads == 1:
        return 2 * size**3 / seconds(products[0], 0.6), 2 * source.nbytes / seconds(copies[0], 0.4)
    in_products = threads * 2 * size**3 / seconds(lambda: together(*products), 0.6)
    return in_products, 2 * source.nbytes / seconds(lambda: together(*copies), 0.4)


LIMITS = {threads: machine(threads) for threads in (1, 2)}
for threads, (peak, memory) in LIMITS.items():
    print(
        f"{threads} thread{'s' * (threads > 1)}: P = {peak / 1e9:.0f} GFLOP/s, B = {memory / 1e9:.0f} GB/s, ridge at P / B = {peak / memory:.1f} FLOP/byte"
    )

# %% [markdown]
# ## The layer
#
# The ladder needs one layer for all. The photograph is cut into pieces of $64 \times 64$ pixels, and a first layer of
# minidl ($7 \times 7$, stride 2, ReLU) makes feature maps of them: 64 channels of $32 \times 32$. The layer to compute
# is $3 \times 3$, from 64 channels to 64, with padding 1; much of a ResNet's time goes into layers like this. We add
# the padding beforehand, so that the rungs need not.
#
# The reference is in float64. It takes the taps of the kernel one by one: $w_{uv}$, as an $O \times C$ matrix, times
# the image that is shifted by $(u, v)$. We hold it against the seven loops of the definition twice: on a corner of the
# layer, in full, and at random places of the whole layer.

# %%
N, C, OUT, K, SIZE = 4 if FAST else 32, 64, 64, 3, 32
pieces = photo.reshape(3, 8, 64, 8, 64).transpose(1, 3, 0, 2, 4).reshape(64, 3, 64, 64)[32 - N // 2 : 32 + N // 2]
stem = ml.tensor(weights(64, 3, 7, 7))


def first_layer(images):
    with ml.no_grad():
        return F.relu(F.conv2d(ml.tensor(images), stem, stride=2, padding=3))


features = first_layer(pieces)
x = np.ascontiguousarray(np.pad(features.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1))))
w = weights(OUT, C, K, K)
FLOP = flop(x.shape, w.shape, (N, OUT, SIZE, SIZE))
BYTES = least_bytes(x.shape, w.shape, (N, OUT, SIZE, SIZE))


def conv_loops(x, w):
    (n_images, channels, h, width), (outputs, _, kh, kw) = x.shape, w.shape
    y = np.zeros((n_images, outputs, h - kh + 1, width - kw + 1), x.dtype)
    for n in range(n_images):
        for o in range(outputs):
            for i in range(y.shape[2]):
                for j in range(y.shape[3]):
                    for c in range(channels):
                        for u in range(kh):
                            for v in range(kw):
                                y[n, o, i, j] += w[o, c, u, v] * x[n, c, i + u, j + v]
    return y


def conv_float64(x, w):
    (n_images, _, h, width), (outputs, channels, kh, kw) = x.shape, w.shape
    x, w = x.astype(np.float64), w.astype(np.float64)
    y = np.zeros((n_images, outputs, h - kh + 1, width - kw + 1))
    for u, v in np.ndindex(kh, kw):
        shifted = x[:, :, u : u + y.shape[2], v : v + y.shape[3]].reshape(n_images, channels, -1)
        y += (w[:, :, u, v] @ shifted).reshape(y.shape)
    return y


tiny_x, tiny_w = x[:1, :4, 10:20, 10:20], w[:8, :4]  # 8 × 8 places
tiny_y = conv_loops(tiny_x.astype(np.float64), tiny_w.astype(np.float64))
reference = conv_float64(x, w)
probes = rng.integers(0, reference.shape, (20, 4))
probed = [
    conv_loops(x[n : n + 1, :, i : i + K, j : j + K].astype(np.float64), w[o : o + 1].astype(np.float64)).item()
    for n, o, i, j in probes
]
reference_error = max(error(conv_float64(tiny_x, tiny_w), tiny_y), error(probed, reference[tuple(probes.T)]))
print(
    f"the layer: {N} images, {C} -> {OUT} channels, {SIZE} × {SIZE}, 3 × 3: {FLOP / 1e9:.2f} GFLOP, at least {BYTES / 1e6:.1f} MB, {FLOP / BYTES:.0f} FLOP/byte"
)
print(f"the reference and the seven loops differ by {reference_error:.0e}")

assert reference_error < 1e-13

# %% [markdown]
# Every rung is checked on both shapes and timed on the real one, and we keep its bill: its time, what it moves, how
# many threads it uses, its error.

# %%
ladder = {}


def add_rung(name, call, y, truth, moved=BYTES, work=FLOP, done=None, threads=1, bound=2e-6):
    """Check the result `y` of `call`, time it, and print its line.

    `work` is what the definition asks for; `done` is what the rung computes, where that differs.
    """
    rung = {"seconds": seconds(call, 0.4), "work": work, "done": done or work, "moved": moved, "threads": threads}
    rung["error"], rung["speed"] = error(y, truth), work / rung["seconds"]
    ladder[name] = rung
    print(f"{name:34s} {1e3 * rung['seconds']:8.1f} ms {rung['speed'] / 1e9:8.3g} GFLOP/s   error {rung['error']:.0e}")
    assert rung["error"] <= bound, f"{name}: an error of {rung['error']:.1e} is more than {bound:.0e}"


# %% [markdown]
# ## Rung 0: loops
#
# On the corner only: the whole layer would take minutes. The processor needs less than a nanosecond for a
# multiplication (in vector instructions, a small fraction of one); Python needs hundreds of them to find, check, unbox
# and box the numbers.

# %%
tiny_bill = [count(tiny_x.shape, tiny_w.shape, tiny_y.shape) for count in (least_bytes, flop)]
add_rung("0 loops (a corner)", lambda: conv_loops(tiny_x, tiny_w), conv_loops(tiny_x, tiny_w), tiny_y, *tiny_bill)

# %% [markdown]
# ## Rung 1: im2col
#
# All windows side by side in one matrix, and one product (Chellapilla, Puri and Simard 2006): $Y = W X_\text{col}$ with
# $W$ of $O \times C k^2$ and $X_\text{col}$ of $C k^2 \times N H' W'$. All arithmetic is now in the product, which is
# what libraries do best (with 64 rows not quite as fast as the large squares that gave us $P$). But each input is
# written down up to $k^2 = 9$ times. The columns are written and read again, and so the intensity falls from $2 O C k^2
# / 4(C + O)$ to about $2 O C k^2 / 8 C k^2 = O / 4$, whatever the kernel: here to 16. They are far larger than the
# second-level cache; and being new to the process, their pages must first be handed out and cleared by the operating
# system. Let us take the time apart.


# %%
def windows_of(x):
    """The windows of x as (C, k, k, N, H', W'): a view, nothing is copied."""
    return sliding_window_view(x, (K, K), axis=(2, 3)).transpose(1, 4, 5, 0, 2, 3)


def conv_im2col(x, w):
    columns = windows_of(x).reshape(w[0].size, -1)  # a copy
    y = w.reshape(len(w), -1) @ columns
    return y.reshape(len(w), len(x), x.shape[2] - K + 1, -1).swapaxes(0, 1)


column_bytes = 4 * C * K * K * N * SIZE * SIZE
assert error(conv_im2col(tiny_x, tiny_w), tiny_y) < 1e-6
add_rung("1 im2col", lambda: conv_im2col(x, w), conv_im2col(x, w), reference, moved=BYTES + 2 * column_bytes)

columns = windows_of(x).reshape(C * K * K, -1)
in_place = columns.reshape(windows_of(x).shape)
product = np.empty((OUT, columns.shape[1]), np.float32)
parts = {
    "columns, in new memory": seconds(lambda: windows_of(x).reshape(C * K * K, -1)),
    "columns, in memory used before": seconds(lambda: np.copyto(in_place, windows_of(x))),
    "matrix product": seconds(lambda: np.matmul(w.reshape(OUT, -1), columns, out=product)),
}
against = f"; L2: {L2 / MB:.1f} MB" if L2 else ""
print(f"the column matrix: {columns.nbytes / MB:.1f} MB ({x.nbytes / MB:.1f} MB of input{against})")
for part, took in parts.items():
    print(f"  {part:32s} {1e3 * took:6.1f} ms")

# %% [markdown]
# ## Rung 2: blocks that fit the cache
#
# Nothing forces us to make all columns before we multiply the first. Take a few rows of a few images, make their
# columns in memory that is used again and again, multiply, go on. The columns live and die in the cache; to memory go
# only the input, the weights and the output, and the intensity is back at its best. Small blocks have a price too:
# more calls, and products of matrices too narrow to be fast. Let the machine say where the best block size lies.


# %%
def conv_blocked(x, w, images, rows, scratch=None):
    """im2col for so many images and output rows at a time."""
    windows, y = windows_of(x), np.empty((len(x), len(w), x.shape[2] - K + 1, x.shape[3] - K + 1), x.dtype)
    matrix = w.reshape(len(w), -1)
    if scratch is None:
        scratch = np.empty(w[0].size * images * rows * y.shape[3], x.dtype)
    for n in range(0, len(x), images):
        for i in range(0, y.shape[2], rows):
            block = windows[:, :, :, n : n + images, i : i + rows]
            columns = scratch[: block.size].reshape(block.shape)
            np.copyto(columns, block)
            sums = matrix @ columns.reshape(len(matrix[0]), -1)
            y[n : n + images, :, i : i + rows] = sums.reshape(len(w), *block.shape[3:]).swapaxes(0, 1)
    return y


assert error(conv_blocked(tiny_x, tiny_w, images=1, rows=3), tiny_y) < 1e-6  # 3 rows do not divide 8
SIZES = [(1, 1), (1, 2), (1, 4), (1, 8), (1, 16), *((n, SIZE) for n in (1, 2, 4, 8, 16, 32) if n <= N)]
sweep = {}
scratch = np.ones(column_bytes // 4, np.float32)  # in use already: the sweep is about the cache alone
for images, rows in SIZES:
    took = seconds(lambda i=images, r=rows: conv_blocked(x, w, i, r, scratch), 0.3)
    sweep[images, rows] = column_bytes * images * rows / (N * SIZE), took
for (images, rows), (size, took) in sweep.items():
    print(f"  {images:2d} images × {rows:2d} rows: {size / MB:6.2f} MB of columns at a time, {1e3 * took:6.1f} ms")
best = min(sweep, key=lambda block: sweep[block][1])
add_rung("2 im2col, best block", lambda: conv_blocked(x, w, *best), conv_blocked(x, w, *best), reference)

# %% [markdown]
# ## Rung 3: 1 × 1 is a matrix product as it stands
#
# A window of one pixel: the columns *are* the image. $Y_n = W X_n$, with $X_n$ the image as a matrix $C \times H W$,
# and there is nothing to copy. It is another layer (so it gets its own bill) with a ninth of the arithmetic
# on the same input and output: about $O / 4$ FLOP per byte again, as im2col had, but this time because there is no more
# to do.

# %%
image, w1 = np.ascontiguousarray(features.numpy()), weights(OUT, C, 1, 1)


def conv_1x1(x, w):
    return (w[:, :, 0, 0] @ x.reshape(*x.shape[:2], -1)).reshape(len(x), len(w), *x.shape[2:])


shapes = image.shape, w1.shape, image.shape
add_rung(
    "3 product (a 1 × 1 layer)",
    lambda: conv_1x1(image, w1),
    conv_1x1(image, w1),
    conv_float64(image, w1),
    moved=least_bytes(*shapes),
    work=flop(*shapes),
)

# %% [markdown]
# ## Rung 4: Winograd's algorithm
#
# So far each rung did the same multiplications in a better place. This one does fewer.
#
# Two neighboring outputs of a filter with three taps, F(2, 3), take four inputs, and by the definition six
# multiplications:
#
# $$ y_0 = d_0 g_0 + d_1 g_1 + d_2 g_2, \qquad y_1 = d_1 g_0 + d_2 g_1 + d_3 g_2 . $$
#
# Four are enough:
#
# $$ m_1 = (d_0 - d_2)\, g_0, \quad m_2 = (d_1 + d_2) \tfrac{g_0 + g_1 + g_2}{2}, \quad
#    m_3 = (d_2 - d_1) \tfrac{g_0 - g_1 + g_2}{2}, \quad m_4 = (d_3 - d_1)\, g_2, $$
#
# $$ y_0 = m_1 + m_2 + m_3, \qquad y_1 = m_2 - m_3 + m_4 . $$
#
# (Expand $m_2 + m_3 = d_1 g_1 + d_2 (g_0 + g_2)$ and $m_2 - m_3 = d_2 g_1 + d_1 (g_0 + g_2)$ to see it.) It is no lucky
# find. Toom (1963) and Cook (1966) multiply *polynomials* this way: the product of $a(t)$ with $m$ coefficients and
# $g(t)$ with $r$ has $n = m + r - 1$, so that its values at $n$ points determine it, and a value of the product is one
# multiplication of values. With $V_m$ for the matrix that evaluates $m$ coefficients at the points,
#
# $$ \text{coefficients of } a g = V_n^{-1} \left[ (V_r g) \odot (V_m a) \right]
#    = \underbrace{V_n^{-1} \, \mathrm{diag}(V_r g) \, V_m}_{T(g)} \; a . $$
#
# Element $(k, i)$ of $T(g)$ is $g_{k-i}$: this is true convolution, with the kernel flipped. Now *transpose*:
# $(T(g)^\top d)_i = \sum_k g_{k-i} d_k = \sum_u g_u d_{i+u}$ is the cross-correlation that the layer computes, $m$
# outputs from $n$ inputs, and
#
# $$ y = T(g)^\top d = V_m^\top \, \mathrm{diag}(V_r g) \, V_n^{-\top} d
#    = A^\top \left[ (G g) \odot (B^\top d) \right], \qquad
#    A^\top = V_m^\top, \quad G = V_r, \quad B^\top = V_n^{-\top} . $$
#
# Hence F(m, r) takes $m + r - 1$ multiplications, as many as there are inputs, and Winograd (1980) proved that no
# algorithm of this kind takes fewer. The additions in $A^\top$ and $B^\top$ must be cheap, so the points are small: $0,
# \pm 1, \pm 2, \dots$ and $\infty$, where "the value" is the leading coefficient. Row $i$ of $V_n^{-\top}$ has the
# coefficients of the polynomial that is 1 at point $i$ and 0 at the others (Lagrange), $\prod_{j \ne i} (t - p_j) /
# \prod_{j \ne i} (p_i - p_j)$, over the finite points; for $\infty$, those of $\prod_j (t - p_j)$. We move its
# denominator into $G$, which acts on the few weights, and $B^\top$ is left with integers. In exact fractions:


# %%
def winograd(m, r, points):
    """The matrices Aᵀ (m, n), G (n, r) and Bᵀ (n, n) of F(m, r), n = m + r − 1, from n − 1 points and infinity."""
    n, points = m + r - 1, [Fraction(p) for p in points]
    assert len(points) == len(set(points)) == n - 1
    at, g, bt = (np.full(shape, Fraction(0)) for shape in ((m, n), (n, r), (n, n)))
    for i, p in enumerate([*points, None]):
        others = [q for q in points if q != p]
        polynomial = [Fraction(1)]  # coefficients from the lowest power up
        for q in others:  # times (t − q)
            polynomial = [
                a - q * b for a, b in zip([Fraction(0), *polynomial], [*polynomial, Fraction(0)], strict=True)
            ]
        bt[i, : len(polynomial)] = polynomial
        if p is None:  # infinity
            at[m - 1, i] = g[i, r - 1] = Fraction(1)
        else:
            at[:, i] = [p**power for power in range(m)]
            g[i] = [p**power / np.prod([p - q for q in others]) for power in range(r)]
    return at, g, bt


F23 = winograd(2, 3, (0, 1, -1))
F43 = winograd(4, 3, (0, 1, -1, 2, -2))
for name, matrices in (("F(2, 3)", F23), ("F(4, 3)", F43)):
    print(name)
    for symbol, matrix in zip(("Aᵀ", "G", "Bᵀ"), matrices, strict=True):
        for row, line in enumerate(matrix):
            print(f"  {symbol if row == 0 else '':4s}", *(f"{str(value):>6s}" for value in line))


def is_exact(m, r, at, g, bt):
    """Σᵢ Aᵀ[y, i] G[i, u] Bᵀ[i, k] must be 1 where k = y + u, else 0: the definition, for every d and g at once."""
    return all(
        sum(at[y, i] * g[i, u] * bt[i, k] for i in range(m + r - 1)) == (k == y + u)
        for y in range(m)
        for u in range(r)
        for k in range(m + r - 1)
    )


assert is_exact(2, 3, *F23) and is_exact(4, 3, *F43)
assert not is_exact(2, 3, F23[0], F23[1], -F23[2])
print("both are the definition, exactly, in rational numbers")

# %% [markdown]
# The signs differ here and there from the matrices that Lavin and Gray (2016) print; a row of $B^\top$ and the same row
# of $G$, or the column of $A^\top$, may change sign together.
#
# **In two dimensions** the algorithm is nested in itself: rows first, then columns. A tile of $m \times m$ outputs
# takes $n \times n$ inputs and
#
# $$ Y = A^\top \left[ (G w G^\top) \odot (B^\top d B) \right] A ,
#    \qquad n^2 \text{ multiplications instead of } m^2 r^2 : $$
#
# 16 instead of 36 for F(2×2, 3×3), 36 instead of 144 for F(4×4, 3×3). Against that stand the transforms. Each tile of
# the input is transformed once for all O output channels, and the sum over input channels is taken *before* the
# transform back, so with many channels they cost little. And for each of the $n^2$ places of the tile, the sum over
# channels of products is a matrix product over all tiles: $M_{ij} = U_{ij} V_{ij}$, of $O \times C$ and $C \times$
# tiles. Here they are counted, with each transform as the dense matrix product that we shall use (it multiplies by
# zeros and ones as well):


# %%
def multiplications(m, r):
    return (m + r - 1) ** 2, (m * r) ** 2


def multiply_adds_done(m, r, channels, outputs):
    """Per output element and input channel: (products, input transform, output transform). Directly: r²."""
    n = m + r - 1
    return n**2 / m**2, 2 * n**3 / (m**2 * outputs), (m * n**2 + m**2 * n) / (m**2 * channels)


print("              multiplications     multiply-adds per output and input channel")
print("              in a tile           products + transforms, in, out = all           direct")
for m in (2, 4):
    (few, many), done = multiplications(m, K), multiply_adds_done(m, K, C, OUT)
    terms = " + ".join(f"{term:.2f}" for term in done)
    print(f"F({m}×{m}, 3×3)   {few} instead of {many:3d}   {terms} = {sum(done):.2f}                      {K * K}")

assert multiplications(2, 3) == (16, 36) and multiplications(4, 3) == (36, 144)

# %% [markdown]
# Now the code. The tiles overlap by $r - 1 = 2$ pixels; a strided view shows them without a copy. Gathered as a matrix
# with the place in the tile first, each one-dimensional transform is one long matrix product, on the first axis of the
# tile, then on the second.


# %%
POINTS = 0, 1, -1, 2, -2, Fraction(1, 2), Fraction(-1, 2), 3, -3


@cache
def matrices_for(m, dtype):
    return [matrix.astype(np.float64).astype(dtype) for matrix in winograd(m, K, POINTS[: m + K - 2])]


def transform_weights(w, g):
    """G w Gᵀ for all channels: (n·n, O, C)."""
    both = np.kron(g, g)  # (n·n, 9): the two transforms in one
    return (both @ w.reshape(-1, K * K).T).reshape(len(both), *w.shape[:2])


def conv_winograd(x, w, m):
    """F(m×m, 3×3) on (N, C, H, W); m must divide the size of the output."""
    at, g, bt = matrices_for(m, x.dtype)
    n, (outputs, channels) = m + K - 1, w.shape[:2]
    tiles = sliding_window_view(x, (n, n), axis=(2, 3))[:, :, ::m, ::m].transpose(4, 5, 1, 0, 2, 3)
    grid = tiles.shape[3:]  # (N, tile rows, tile columns)
    v = bt @ tiles.reshape(n, -1)  # the gather, and Bᵀ d
    v = np.matmul(bt, v.reshape(n, n, -1))  # (Bᵀ d) B
    products = transform_weights(w, g) @ v.reshape(n * n, channels, -1)  # (n·n, O, tiles)
    y = at @ products.reshape(n, -1)
    y = np.matmul(at, y.reshape(m, n, -1)).reshape(m, m, outputs, *grid)
    return y.transpose(3, 2, 4, 0, 5, 1).reshape(len(x), outputs, m * grid[1], m * grid[2])


def traffic_of_tiles(m):
    """Bytes, if every array that conv_winograd makes is written once and read once."""
    n, places = m + K - 1, N * SIZE**2 / m**2
    return BYTES + 4 * 2 * places * (3 * n * n * C + (n * n + m * n + m * m) * OUT)


for m in (2, 4):
    in_float64 = error(conv_winograd(tiny_x.astype(np.float64), tiny_w, m), tiny_y)
    assert error(conv_winograd(tiny_x, tiny_w, m), tiny_y) < 2e-5 and in_float64 < 1e-13
    add_rung(
        f"4 Winograd F({m}×{m}, 3×3)",
        lambda m=m: conv_winograd(x, w, m),
        conv_winograd(x, w, m),
        reference,
        moved=traffic_of_tiles(m),
        done=FLOP * sum(multiply_adds_done(m, K, C, OUT)) / K**2,
        bound=2e-5,
    )

# %% [markdown]
# A quarter of the multiplications, and yet no quarter of the time, or not even any gain: the gather copies single
# numbers that lie $m$ apart, and every step writes an array that is larger than the cache. We come to that on the next
# rung.
#
# **The error.** In rational numbers the algorithm is exact, in float32 it is less so than the sum it replaces. The
# matrices have entries like 4, 5 and 8: the products $m_i$ are larger than the result and cancel in it, while their
# rounding errors, relative to *their* size, stay. How much larger? For independent inputs and weights of variance 1,
# output $y$ is a sum over $i$ of terms of variance $A_{yi}^2 \lVert G_i \rVert^2 \lVert B_i \rVert^2$, and has variance
# $r$ itself; the root of the ratio, averaged, is the amplification in one dimension, and its square in two. Larger
# tiles save still more multiplications, if fewer and fewer, while their transforms and errors grow. (Better points
# help; Barabasz et al. 2020 search for them. The points here are $0, \pm 1, \pm 2, \pm \frac12, \pm 3$, as many as are
# needed.)


# %%
def amplification(m):
    at, g, bt = matrices_for(m, np.dtype(np.float64))
    sizes = at**2 @ ((g**2).sum(axis=1) * (bt**2).sum(axis=1))
    return float(sizes.mean() / K)  # the square of a root: two dimensions


some_x, some_truth = x[:4, :, :26, :26], reference[:4, :, :24, :24]  # 24 is a multiple of 2, 4, 6 and 8
tile_errors = {m: error(conv_winograd(some_x, w, m), some_truth) for m in (2, 4, 6, 8)}
direct_error = error(conv_im2col(some_x, w), some_truth)
print("             multiplications per output   amplification   error")
print(f"direct       {9:12.2f} {1:25.1f}      {direct_error:.1e}")
for m, found in tile_errors.items():
    few, many = multiplications(m, K)
    print(f"F({m}×{m}, 3×3)  {few / m**2:12.2f} {amplification(m):25.1f}      {found:.1e}")

assert direct_error < tile_errors[4] < tile_errors[8]

# %% [markdown]
# F(2×2, 3×3) may even be more accurate than the direct sum: it adds up 64 channels at a time where that adds up 576
# products, and more additions mean more rounding. From F(4×4, 3×3) on the amplification prevails, and F(8×8, 3×3) is
# of no use in float32.
#
# Is an error of $10^{-5}$ tolerable? In training, yes: the noise of a minibatch is larger by orders of magnitude. In
# a gradient check (lesson 03), no. So minidl uses such algorithms for float32 alone, and its checks run in float64.
#
# ## Rung 5: memory layout
#
# An array of shape (N, C, H, W) can lie in memory in different orders; the *strides* say by how far apart neighbors
# along each axis are. NumPy copies and computes along the innermost axis in one fast loop, and pays for each start of
# that loop. Shift an image by one pixel, as convolutions do: in NCHW a row of W' numbers stays in one piece; in
# "channels last" (NHWC) W'·C; and with the image axes outermost, (H, W, N, C), W'·N·C. Take every fourth pixel, as
# Winograd's tiles do: single numbers in NCHW, runs of C in NHWC, and of N·C in (H, W, N, C). We copy two images, few
# enough for the cache, to see the layout and not the memory.

# %%
LAYOUTS = {"(N, C, H, W)": (0, 1, 2, 3), "(N, H, W, C)": (0, 2, 3, 1), "(H, W, N, C)": (2, 3, 0, 1)}
print("copies, GB/s read + written       strides of n, c, h, w           shifted   run    every 4th   run")
layout_speeds = {}
for name, order in LAYOUTS.items():
    stored = np.ascontiguousarray(x[:2].transpose(order))
    strides = dict(zip(order, (s // 4 for s in stored.strides), strict=True))
    for spacing in (1, 4):
        cut = [slice(None), slice(None), slice(1, 1 + SIZE, spacing), slice(1, 1 + SIZE, spacing)]
        seen = stored[tuple(cut[axis] for axis in order)]
        target = np.zeros(seen.shape, np.float32)
        pixel = 1
        for axis in order[order.index(3) + 1 :]:
            pixel *= stored.shape[order.index(axis)]
        run = pixel * SIZE if spacing == 1 else pixel
        speed = 2 * target.nbytes / seconds(lambda s=seen, t=target: np.copyto(t, s), 0.1)
        layout_speeds[name, spacing] = run, speed
    numbers = " ".join(f"{strides[axis]:7,d}" for axis in range(4))
    (run, shifted), (sparse_run, sparse) = (layout_speeds[name, spacing] for spacing in (1, 4))
    print(f"  {name:14s}        {numbers}   {shifted / 1e9:12.1f} {run:7,d} {sparse / 1e9:9.1f} {sparse_run:7,d}")

# %% [markdown]
# The same, swept: copy runs of $r$ numbers, each followed by a gap of $r$, a quarter of a million numbers in all.

# %%
run_lengths = 2 ** np.arange(1, 15, 2 if FAST else 1)
run_speeds = []
for run in run_lengths:
    gapped = np.ones((2**18 // run, 2 * run), np.float32)[:, :run]
    dense = np.zeros(gapped.shape, np.float32)
    run_speeds.append(2 * dense.nbytes / seconds(lambda s=gapped, t=dense: np.copyto(t, s), 0.1))
print("run in numbers: GB/s ", "  ".join(f"{r}: {s / 1e9:.1f}" for r, s in zip(run_lengths, run_speeds, strict=True)))

# %% [markdown]
# In (H, W, N, C) Winograd's transforms need no gather at all. The rows of a tile row are $n$ rows of a matrix with
# W·N·C columns, so $B^\top d$ is one product with the image itself. For the second transform a strided view shows the
# overlapping tiles with runs of N·C. The products have the pixels as rows, (tiles, C) times (C, O), and the last
# transform writes into the output itself. And as on rung 2 we work in blocks, here of some tiles of one tile row, so
# small that all that lies in between stays in the cache: with 64 tiles the products take and give
# $2 \cdot 36 \cdot 64 \cdot 64$ numbers, 1.2 MB.


# %%
def conv_winograd_hwnc(x, w, m=4, tiles=64, out=None):
    """F(m×m, 3×3) on (H, W, N, C), in blocks of about so many tiles. m must divide the size of the output."""
    at, g, bt = matrices_for(m, x.dtype)
    n, (_, width, images, channels), outputs = m + K - 1, x.shape, len(w)
    tile_rows, tile_columns = (x.shape[0] - 2) // m, (width - 2) // m
    y = np.empty((m * tile_rows, m * tile_columns, images, outputs), x.dtype) if out is None else out
    u = np.ascontiguousarray(transform_weights(w, g).swapaxes(1, 2))  # (n·n, C, O)
    block = max(d for d in range(1, tile_columns + 1) if tile_columns % d == 0 and d * images <= max(tiles, images))
    pixel_in, pixel_out, pixels = images * channels, images * outputs, m * block
    half = np.empty((n, (pixels + 2) * pixel_in), x.dtype)
    v = np.empty((n, n, block, pixel_in), x.dtype)
    products = np.empty((n * n, block * images, outputs), x.dtype)
    half_y = np.empty((m, products.size // n), x.dtype)
    row, number = half.strides
    overlapping = as_strided(half, (n, block, n, pixel_in), (row, m * pixel_in * number, pixel_in * number, number))
    for i in range(0, m * tile_rows, m):
        for j in range(0, m * tile_columns, pixels):
            np.matmul(bt, x[i : i + n, j : j + pixels + 2].reshape(n, -1), out=half)  # Bᵀ d
            np.matmul(bt, overlapping, out=v.swapaxes(1, 2))  # (Bᵀ d) B
            np.matmul(v.reshape(n * n, -1, channels), u, out=products)  # ⊙, summed over channels
            np.matmul(at, products.reshape(n, -1), out=half_y)  # Aᵀ M
            target = y[i : i + m, j : j + pixels].reshape(m, block, m, pixel_out)
            np.matmul(at, half_y.reshape(m, n, block, pixel_out).swapaxes(1, 2), out=target)  # (Aᵀ M) A
    return y


HWNC, BACK = (2, 3, 0, 1), (2, 3, 0, 1)  # the order and its inverse: here they are the same
x_hwnc = np.ascontiguousarray(x.transpose(HWNC))
tiny_hwnc = conv_winograd_hwnc(np.ascontiguousarray(tiny_x.transpose(HWNC)), tiny_w)
assert error(tiny_hwnc.transpose(BACK), tiny_y) < 2e-5
in_cache = {"done": FLOP * sum(multiply_adds_done(4, K, C, OUT)) / K**2, "bound": 2e-5}
y_hwnc = conv_winograd_hwnc(x_hwnc, w)
add_rung(
    "5 F(4×4, 3×3) in (H, W, N, C)",
    lambda: conv_winograd_hwnc(x_hwnc, w),
    y_hwnc.transpose(BACK),
    reference,
    **in_cache,
)
to_hwnc = seconds(lambda: np.ascontiguousarray(x.transpose(HWNC)))
to_nchw = seconds(lambda: np.ascontiguousarray(y_hwnc.transpose(BACK)))
print(f"to (H, W, N, C) and back would cost {1e3 * to_hwnc:.1f} + {1e3 * to_nchw:.1f} ms")

# %% [markdown]
# Going there and back again around each layer would eat part of the gain. But a network can stay in this layout from
# its first layer to its last: the shape remains (N, C, H, W), only the strides differ.
#
# ## Rung 6: threads
#
# Python runs one thread at a time: a thread must hold the *global interpreter lock*, the GIL, to run Python code. NumPy
# lets go of it while it computes or copies at length, and takes it again to return. Two threads can therefore compute
# at once, as long as the calls are long; the start and end of every call still happen one at a time, and handing over
# the lock costs time by itself. We let two threads compute exponentials in calls of different lengths, each thread on
# an array of its own, and compare with one thread that does half of the work.


# %%
def calling(size, calls):
    a, b = np.ones((2, size), np.float32)

    def run():
        for _ in range(calls):
            np.exp(a, out=b)

    return run


def second_thread(size):
    """(the time of a call, the speed-up by a second thread)"""
    calls = max(2, int((0.002 if FAST else 0.015) / (4e-7 + 5e-10 * size)))
    first, second = calling(size, calls), calling(size, calls)
    alone, both = seconds(lambda: together(first), 0.3), seconds(lambda: together(first, second), 0.3)
    return alone / calls, 2 * alone / both


gil = getattr(sys, "_is_gil_enabled", lambda: True)()
print(f"this Python has {'a' if gil else 'no'} GIL")
print("  numbers in a call   µs per call   speed-up by a second thread")
gil_sizes = 2 ** np.arange(6, 19, 2 if FAST else 1)
call_lengths, speed_ups = np.array([second_thread(size) for size in gil_sizes]).T
for size, length, speed_up in zip(gil_sizes, call_lengths, speed_ups, strict=True):
    print(f"  {size:12,d} {1e6 * length:16.2f} {speed_up:16.2f}")

# %% [markdown]
# In a Python with a GIL, NumPy keeps the lock during the shortest calls (up to 500 numbers): no gain, no loss. Then it
# gives the lock away in every call, only to want it back at once, and a second thread makes *both* slower. Long calls
# run side by side. A convolution in blocks is a chain of calls of tens to hundreds of microseconds, near the lower end
# of that table. So cut the output into an upper and a lower half and give each to a thread; the halves of the input
# overlap by two rows. In (H, W, N, C) a range of rows is one piece of memory. (That is also why `OPENBLAS_NUM_THREADS`
# is 1 here: threads of BLAS inside our threads would fight for the same cores.)


# %%
def conv_two_threads(x, w, m=4):
    h, width, images, _ = x.shape
    y, cut = np.empty((h - 2, width - 2, images, len(w)), x.dtype), m * ((h - 2) // m // 2)
    together(
        lambda: conv_winograd_hwnc(x[: cut + 2], w, m, out=y[:cut]),
        lambda: conv_winograd_hwnc(x[cut:], w, m, out=y[cut:]),
    )
    return y


add_rung(
    "6 the same in two threads",
    lambda: conv_two_threads(x_hwnc, w),
    conv_two_threads(x_hwnc, w).transpose(BACK),
    reference,
    threads=2,
    **in_cache,
)

# %% [markdown]
# Amdahl's law (1967): if a share $s$ of the time cannot be shared out, two threads are faster by no more than $1 / (s +
# (1 - s)/2) = 2 / (1 + s)$. Read backwards, a speed-up of $S$ looks like a serial share of $2/S - 1$, whatever it is
# made of: Python between the calls, waiting for the lock, waking the other thread, the memory that both share, or
# whoever else uses this machine.

# %%
gain = ladder["5 F(4×4, 3×3) in (H, W, N, C)"]["seconds"] / ladder["6 the same in two threads"]["seconds"]
share = (
    f"as if {max(2 / gain - 1, 0):.0%} of the time could not be shared out" if gain > 1 else "the calls are too short"
)
print(f"speed-up {gain:.2f}: {share}")

# %% [markdown]
# ## minidl
#
# minidl's own `F.conv2d` chooses an algorithm by the shape of the layer, works in blocks that fit the second-level
# cache, in memory that it reuses, and shares them out over the cores. It gets the feature maps as its own first layer
# has left them in memory, pads by itself, and hands over a Tensor. Its error betrays what it chose: about $10^{-7}$ for
# sums of products as they are, $10^{-6}$ and more for Winograd. (A first call may have to start threads, or other
# helpers; the timing leaves it out.)

# %%
weight = ml.from_numpy(w)


def conv_minidl():
    with ml.no_grad():
        return F.conv2d(features, weight, padding=1)


for threads in (1, 2):
    ml.set_num_threads(threads)
    y = conv_minidl().numpy()
    time.sleep(0 if FAST else 0.5)  # helpers, if any, start in the background
    add_rung(f"7 minidl, {threads} thread{'s' * (threads > 1)}", conv_minidl, y, reference, threads=threads, bound=2e-5)
ml.set_num_threads(CORES)

# %% [markdown]
# ## Backward: twice the price
#
# The gradients of a convolution are convolutions (lesson 05): the input's is the cross-correlation of $\bar y$ with the
# flipped kernel, C and O exchanged; the weight's is that of $x$ with $\bar y$ as a kernel of $H' \times W'$. Count:
# each has $N \cdot O \cdot H' W' \cdot C k^2$ products, as the forward pass has. So a training step costs three forward
# passes (the first layer two: nobody asks for the gradient of a photograph). And every rung of the ladder has its
# place: the input gradient is a $3 \times 3$ convolution with stride 1, to which Winograd applies as it is; the weight
# gradient is a matrix product with the same columns, $\bar W = \bar Y X_\text{col}^\top$, in blocks if they shall stay
# in the cache. (What is measured may differ from 3: the three need not run at the same speed.)

# %%
gy = rng.normal(size=reference.shape).astype(np.float32)
gy_tensor = ml.from_numpy(gy)
x_tensor, w_tensor = features.detach().requires_grad_(), ml.tensor(w, requires_grad=True)


def training_step():
    return ml.grad(F.conv2d(x_tensor, w_tensor, padding=1), (x_tensor, w_tensor), gy_tensor)


gx, gw = (gradient.numpy() for gradient in training_step())

flipped = np.ascontiguousarray(w[:, :, ::-1, ::-1].swapaxes(0, 1))
padded = np.pad(gy, ((0, 0), (0, 0), (1, 1), (1, 1)))  # k − 1 − padding = 1
gx_truth = conv_float64(padded, flipped)
gw_truth = np.empty(w.shape)
for u, v in np.ndindex(K, K):
    shifted = x[:, :, u : u + SIZE, v : v + SIZE].astype(np.float64).swapaxes(0, 1).reshape(C, -1)
    gw_truth[:, :, u, v] = gy.astype(np.float64).swapaxes(0, 1).reshape(OUT, -1) @ shifted.T

gw_columns = (gy.swapaxes(0, 1).reshape(OUT, -1) @ windows_of(x).reshape(C * K * K, -1).T).reshape(w.shape)
backward_errors = {
    "input gradient by Winograd": error(conv_winograd(padded, flipped, 4), gx_truth),
    "input gradient by minidl": error(gx, gx_truth),
    "weight gradient by columns": error(gw_columns, gw_truth),
    "weight gradient by minidl": error(gw, gw_truth),
}

step, forward = seconds(training_step, 0.6), seconds(conv_minidl, 0.4)
for name, found in backward_errors.items():
    print(f"{name:28s} error {found:.0e}")
print(f"minidl: forward {1e3 * forward:.1f} ms, forward and backward {1e3 * step:.1f} ms: {step / forward:.1f} times")

assert max(backward_errors.values()) < 2e-5
assert flop(gy.shape, flipped.shape, (N, C, SIZE, SIZE)) == FLOP  # input gradient, without what only padding sees
assert 2 * w.size * gy[:, 0].size == FLOP  # weight gradient: for each weight, a product for each place

# %% [markdown]
# ## The pictures
#
# First what was measured on the way: how Winograd's tiles lie on a feature map, what a copy costs by size and by the
# length of its runs, im2col by the size of its blocks, Winograd's error by the size of its tiles, and what a second
# thread brings by the length of the calls.

# %%
INK, BLUE, RED, GREEN, GRAY = "#222222", "#1f6fb4", "#c8402f", "#2f8f4e", "#8a8a8a"
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 11.5, "font.size": 10})


def sized(value):
    return f"{value / MB:g} MB" if value >= MB else f"{value / KB:g} KB"


def mark(ax, value, text):
    """A vertical line, named at its top."""
    ax.axvline(value, color=GRAY, linestyle=":", linewidth=1.2, zorder=0)
    ax.annotate(text, (value, 1), (3, -3), xycoords=("data", "axes fraction"), textcoords="offset points",
                va="top", fontsize=8.5, color=GRAY)  # fmt: skip


figure, axes = plt.subplots(2, 3, figsize=(16, 9.4), layout="constrained")
(tiles_ax, copy_ax, runs_ax), (block_ax, error_ax, threads_ax) = axes

face = first_layer(photo[None, :, 60:188, 160:288]).numpy()[0]  # 64 × 64
tiles_ax.imshow(face[face.std(axis=(1, 2)).argmax()], cmap="gray", extent=(0, 64, 64, 0))
tiles_ax.hlines(range(0, 65, 4), 0, 64, color="white", alpha=0.3, linewidth=0.7)
tiles_ax.vlines(range(0, 65, 4), 0, 64, color="white", alpha=0.3, linewidth=0.7)
for left, upper, color in ((24, 28, "#ffb000"), (28, 28, "#4fc3ff")):
    tiles_ax.add_patch(plt.Rectangle((left, upper), 4, 4, facecolor=color, alpha=0.4))
    tiles_ax.add_patch(plt.Rectangle((left - 1, upper - 1), 6, 6, fill=False, edgecolor=color, linewidth=2.2))
tiles_ax.set(title="Winograd: 4 × 4 outputs see 6 × 6 inputs; neighbors share 2", xticks=range(0, 65, 16))
tiles_ax.set(yticks=range(0, 65, 16), xlabel="a feature map of the photograph")

copy_ax.plot(copy_sizes, bandwidth_inside / 1e9, "--", color=GRAY, label="without the cost of the call")
copy_ax.plot(copy_sizes, bandwidth / 1e9, "o-", color=BLUE, markersize=4.5, label="as measured")
for level, size in CACHES.items():
    if size < 2 * copy_sizes[-1]:
        mark(copy_ax, size / 2, f"L{level}")  # the array and its copy share the cache
copy_ax.set(title="Copying an array: GB/s read + written", xscale="log", xlabel="bytes", ylim=(0, None))
ticks = [4 * KB, 64 * KB, MB, 16 * MB] + ([] if FAST else [128 * MB])
copy_ax.set_xticks(ticks, [sized(tick) for tick in ticks])
copy_ax.minorticks_off()
copy_ax.legend(edgecolor="white", framealpha=1)

runs_ax.plot(run_lengths, np.array(run_speeds) / 1e9, "o-", color=BLUE, markersize=4.5, label="runs with gaps")
for (name, marker), color in zip(zip(LAYOUTS, "s^D", strict=True), (RED, "#d98c1f", GREEN), strict=True):
    (run, shifted), (sparse_run, sparse) = (layout_speeds[name, spacing] for spacing in (1, 4))
    runs_ax.plot(run, shifted / 1e9, marker, color=color, markersize=9, label=f"{name}, shifted by a pixel")
    runs_ax.plot(
        sparse_run, sparse / 1e9, marker, color=color, markersize=9, fillstyle="none", label="   every 4th pixel"
    )
runs_ax.set(title="Long runs: GB/s of a copy by the length of its pieces", xscale="log", xlabel="numbers in one piece")
runs_ax.set(ylim=(0, None))
runs_ax.legend(frameon=False, fontsize=8.5)

block_sizes, block_times = np.array(list(sweep.values())).T
block_ax.plot(block_sizes, 1e3 * block_times, "o-", color=BLUE, markersize=5)
if L2:
    mark(block_ax, L2, "L2")
rung_1 = 1e3 * ladder["1 im2col"]["seconds"]
block_ax.axhline(rung_1, color=RED, linewidth=1.2)
block_ax.annotate("all at once, in new memory", (0.02, rung_1), (0, 4), xycoords=("axes fraction", "data"),
                  textcoords="offset points", color=RED, fontsize=9)  # fmt: skip
block_ax.set(title="im2col in blocks: milliseconds", xscale="log", xlabel="columns at a time", ylim=(0, 1.15 * rung_1))
ticks = [128 * KB, MB, 8 * MB] + ([] if FAST else [64 * MB])
block_ax.set_xticks(ticks, [sized(tick) for tick in ticks])
block_ax.minorticks_off()

points = [(9.0, direct_error, "direct")] + [
    (multiplications(m, K)[0] / m**2, found, f"F({m}×{m})") for m, found in tile_errors.items()
]
error_ax.plot(*list(zip(*points, strict=True))[:2], "o-", color=BLUE)
for per_output, found, name in points:
    error_ax.annotate(name, (per_output, found), (8, -4 if found > direct_error else -14), textcoords="offset points")
error_ax.set(title="Fewer multiplications, larger errors (float32)", xlabel="multiplications per output (3 × 3)")
error_ax.set(
    ylabel="largest error / largest output",
    yscale="log",
    xlim=(0, 10.3),
    ylim=(min(direct_error, tile_errors[2]) / 2, None),
)

threads_ax.plot(1e6 * call_lengths, speed_ups, "o-", color=BLUE, markersize=5)
for level in (1, 2):
    threads_ax.axhline(level, color=GRAY, linestyle=":", linewidth=1.2, zorder=0)
threads_ax.set(title=f"What a second thread brings, {'with' if gil else 'without'} a GIL: speed-up", xscale="log")
threads_ax.set_xticks(microseconds := [1, 10, 100], microseconds)
threads_ax.set(xlabel="microseconds per NumPy call", ylim=(0, 2.2))
save_picture(figure, "07_measured")

# %% [markdown]
# And the rooflines, for one thread and for two, with every rung in its place: across, its own FLOP per byte (what it
# moves between its calls counts, unless it stays in the cache); up, the FLOP/s of the *definition*. Winograd may rise
# above the roof, since it does not do what the definition says; the ring below shows what it does do. The dashed slope
# is that of the second-level cache; the lower slopes are for arrays too large for it. At the left, the layers of the
# first table, for one image.

# %%
STYLE = [GRAY, RED, BLUE, "#d98c1f", "#8d6bb8", "#6a3fa0", GREEN, "#0f8f8f", INK, "#c02f7f"]
thread_1, thread_2 = LIMITS[1], LIMITS[2]
cached = bandwidth_inside[(copy_sizes >= 64 * KB) & (copy_sizes <= (L2 or MB) / 2)].max()


colors = dict(zip(ladder, STYLE, strict=True))
crowd = [name for name, rung in ladder.items() if rung["moved"] == BYTES]  # all at one intensity: drawn side by side
places = {name: rung["work"] / rung["moved"] for name, rung in ladder.items()}
places |= {name: places[name] * 1.13 ** (i - (len(crowd) - 1) / 2) for i, name in enumerate(crowd)}


def roofline(ax, xlim, ylim, until=None):
    reach = np.geomspace(xlim[0], until or xlim[1], 400)
    for (peak, memory), color, name in ((thread_2, GRAY, "two threads"), (thread_1, INK, "one thread")):
        ax.plot(reach, np.minimum(peak, reach * memory) / 1e9, color=color, linewidth=2, label=name, zorder=1)
    slope = reach[reach < thread_1[0] / cached]
    ax.plot(slope, slope * cached / 1e9, "--", color=INK, linewidth=1, label="one thread, from L2", zorder=1)
    for name, rung in ladder.items():
        place, color, speed = places[name], colors[name], rung["speed"] / 1e9
        if rung["done"] != rung["work"]:
            did = speed * rung["done"] / rung["work"]
            ax.plot([place, place], [speed, did], color=color, linewidth=1.2, alpha=0.6, zorder=2)
            ax.plot(place, did, "o", color=color, markerfacecolor="white", markersize=8, markeredgewidth=1.5)
        marker = "o" if rung["threads"] == 1 else "D"
        ax.plot(place, speed, marker, color=color, markersize=10, markeredgecolor="white")
    ax.set(xscale="log", yscale="log", xlim=xlim, ylim=ylim, xlabel="arithmetic intensity, FLOP per byte")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    ax.grid(color="#e8e8e8", linewidth=0.8)
    ax.set_axisbelow(True)


speeds = {name: rung["speed"] / 1e9 for name, rung in ladder.items()}
fast_rungs = sorted((name for name in ladder if speeds[name] > 1), key=speeds.get)
top = 1.7 * max(thread_2[0] / 1e9, *speeds.values())

figure, (whole, close) = plt.subplots(1, 2, figsize=(16, 8.2), width_ratios=(1, 1.5), layout="constrained")
roofline(whole, (0.2, 1000), (min(speeds.values()) / 4, top))
whole.set(title="The roofline of this machine, and where layers stand", ylabel="GFLOP/s of the convolution as defined")
for name, intensity in intensities.items():
    whole.axvline(intensity, ymax=0.25, color=GRAY, linestyle=":", linewidth=1)
    whole.annotate(f"{name} ", (intensity, 0.26), xycoords=("data", "axes fraction"), rotation=90, va="bottom",
                   ha="center", fontsize=9, color=GRAY)  # fmt: skip
place = places["0 loops (a corner)"], speeds["0 loops (a corner)"]
whole.annotate("0 loops", place, (-12, 0), textcoords="offset points", ha="right", va="center", color=GRAY)
whole.legend(frameon=False, loc=(0.42, 0.44))

slowest = min(speeds[name] * ladder[name]["done"] / ladder[name]["work"] for name in fast_rungs)
roofline(close, (2, 4000), (slowest / 1.4, top), until=300)
close.minorticks_off()
for (peak, _), color, name in ((thread_2, GRAY, "two threads"), (thread_1, INK, "one thread")):
    close.annotate(
        f"{name}: {peak / 1e9:.0f} GFLOP/s", (22, peak / 1e9), (0, 5), textcoords="offset points", color=color
    )
close.set(title="Its upper right. Diamonds: two threads. Rings: the arithmetic that Winograd in fact does")
close.set_xticks(ticks := [2, 5, 10, 20, 50, 100, 200], ticks)
close.set_yticks(ticks := [t for t in (5, 10, 20, 50, 100, 200, 500, 1000, 2000) if slowest / 1.4 < t < top], ticks)

# names at the right, pushed apart where they would touch, each with a thin line to its rung
low, high = np.log(close.get_ylim())
heights = np.array([(np.log(speeds[name]) - low) / (high - low) for name in fast_rungs])
for _ in range(500):
    for i in range(len(heights) - 1):
        overlap = max(0.047 - (heights[i + 1] - heights[i]), 0)
        heights[i : i + 2] += (-overlap / 2, overlap / 2)
for name, height in zip(fast_rungs, heights, strict=True):
    close.annotate(
        f"{name}: {speeds[name]:.0f}", (places[name], speeds[name]), (0.69, height), color=colors[name],
        textcoords="axes fraction", va="center", fontsize=10.5, zorder=5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        arrowprops={"arrowstyle": "-", "color": colors[name], "alpha": 0.45, "shrinkA": 0},
    )  # fmt: skip
save_picture(figure, "07_roofline")

# %% [markdown]
# ## Summary
#
# In one table: the time, the speed by the FLOP of the definition, its share of the peak of as many threads as the rung
# uses (Winograd may pass 100 %), FLOP per byte moved, and the error.

# %%
print("rung                                       ms   GFLOP/s   of peak   FLOP/byte   error")
for name, rung in ladder.items():
    share = rung["speed"] / LIMITS[rung["threads"]][0]
    print(
        f"{name:34s} {1e3 * rung['seconds']:10.2f} {rung['speed'] / 1e9:9.3g} {share:9.1%} {rung['work'] / rung['moved']:11.1f}   {rung['error']:.0e}"
    )

# %% [markdown]
# - A layer has two bills, arithmetic and traffic. FLOP per byte decides which one limits: dense $3 \times 3$ layers can
#   be limited by arithmetic; $1 \times 1$, depthwise and fully connected layers on small batches are limited by memory.
# - im2col makes one fast product of a convolution, at the price of $k^2$ times the memory traffic; in blocks, it keeps
#   the one and avoids the other.
# - Winograd's F(4×4, 3×3) needs a quarter of the multiplications, exactly in rational numbers, with about ten times the
#   rounding error in float32; and it only pays once its transforms run along long pieces of memory and in the cache.
# - Threads help as far as calls are long, each thread in a cache of its own.
# - Backward costs two forwards.
#
# ## Exercises
#
# 1. In (H, W, N, C) there is a rung without columns: nine products of `x[u : u + 32, v : v + 32]`, as a stack of
#    matrices (W'·N, C), with $w_{uv}^\top$, added up. Write it. How many bytes does it move, where is it under the
#    roof, and what do blocks bring?
# 2. Work out F(3, 2) with $0, \pm 1, \infty$ by hand, and with `winograd`. Then look at the weight gradient tile by
#    tile: why is it F(3×3, 4×4), and which of the three matrices change places?
# 3. Replace the points $\pm 2$ of F(4, 3) by $\pm \frac12$, and then by $3, -3$. What becomes of the amplification and
#    of the error? Which points make it smallest?
# 4. Make `conv_winograd_hwnc` take any height and width: let the last tiles reach past the image, and cut the output.
#    What does this cost at $7 \times 7$? From which size on is F(2×2, 3×3) better?
# 5. Change C = O from 8 to 512 with the same FLOP (fewer images). When does rung 5 lose to rung 2? Compare with the
#    share of the transforms in `multiply_adds_done`, and find the best `tiles` for each.
# 6. A depthwise convolution has no sum over channels, so there is no matrix product. Write it in (H, W, N, C) with nine
#    multiply-adds over shifted views, place it under the roofline, and say what limits it.

# %%
fastest = max(ladder, key=lambda name: ladder[name]["speed"])
finish(
    f"F(2×2, 3×3) and F(4×4, 3×3): exact in rational numbers, {' and '.join(f'{a} instead of {b}' for a, b in (multiplications(m, K) for m in (2, 4)))} multiplications",
    f"errors against float64: im2col {ladder['1 im2col']['error']:.0e}, Winograd {ladder['4 Winograd F(2×2, 3×3)']['error']:.0e} and {ladder['4 Winograd F(4×4, 3×3)']['error']:.0e}, gradients at most {max(backward_errors.values()):.0e}",
    f"this machine: {thread_1[0] / 1e9:.0f} GFLOP/s and {thread_1[1] / 1e9:.0f} GB/s with one thread, {thread_2[0] / 1e9:.0f} and {thread_2[1] / 1e9:.0f} with two",
    f"the fastest rung was {fastest!r}: {ladder[fastest]['speed'] / 1e9:.0f} GFLOP/s of the definition",
)
