# %% [markdown]
# # 05  Convolution
#
# **Goal.** Understand the convolutional layer: what it computes and what it does not (it does not
# flip its kernel), what filters do to a photograph, sizes, channels, pooling, receptive fields; why its gradient is
# again a convolution; and how seven nested loops become one matrix product.
#
# **Needs.** Lessons 01 (layers as matrix products), 02 (backpropagation) and 03 (gradient checks).
#
# **Time.** About ten seconds.

# %%
import os

# before NumPy is imported: matrix products in one thread, to time all rungs of the ladder alike
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
from _lesson import FAST, finish, save_picture
from matplotlib import pyplot as plt

import minidl as ml
from minidl import functional as F
from minidl import nn
from minidl.autograd import gradcheck
from minidl.data.datasets import photographs

rng = np.random.default_rng(0)


def tensor(*shape):
    """Random float64 numbers to compare two computations on."""
    return ml.tensor(rng.normal(size=shape))


def difference(a, b):
    return float(np.abs(np.asarray(a) - np.asarray(b)).max())


# %% [markdown]
# ## Where it comes from
#
# Hubel and Wiesel (1962) found cells in the visual cortex that respond to edges at one place of the visual field.
# Fukushima's *Neocognitron* (1980) put such cells into layers in which all cells of a kind share their weights. LeCun
# et al. (1989, Bell Labs) trained such layers by backpropagation. Lesson 06 tells how it went on from there.
#
# A dense layer on an image gives every output its own weight for every pixel. A convolutional layer makes two
# assumptions about images instead: what belongs together lies close together (each output looks through a small
# window), and what is worth seeing in one place is worth seeing in any other (all windows share their weights).
#
# ## Cross-correlation, called convolution
#
# For one channel, with a $k \times k$ kernel $w$, the layer computes
#
# $$ y_{ij} = \sum_{u,v} w_{uv} \, x_{i+u,\, j+v} \qquad\text{(cross-correlation)}. $$
#
# Mathematics reserves the name *convolution* for
#
# $$ (x * w)_{ij} = \sum_{u,v} w_{uv} \, x_{i-u,\, j-v}, $$
#
# in which the kernel is flipped. Read the other way round, every pixel $x_{ab}$ leaves a copy of the kernel, scaled
# by its value, at its place. The two differ by the flip alone, and a layer learns its kernel either way, so nobody
# flips; but the name stayed. (A reader may have met "convolution" for both, without a word.) Below are both, from
# their definitions, and how they relate to `F.conv2d`.


# %%
def cross_correlate(x, w):
    """Every place where the kernel and the image overlap: the image is extended by zeros."""
    (h, width), (kh, kw) = x.shape, w.shape
    padded = np.pad(x, ((kh - 1, kh - 1), (kw - 1, kw - 1)))
    y = np.zeros((h + kh - 1, width + kw - 1))
    for i, j in np.ndindex(y.shape):
        for u, v in np.ndindex(w.shape):
            y[i, j] += w[u, v] * padded[i + u, j + v]
    return y


def convolve(x, w):
    """Every pixel leaves a copy of the kernel at its place."""
    (h, width), (kh, kw) = x.shape, w.shape
    y = np.zeros((h + kh - 1, width + kw - 1))
    for a, b in np.ndindex(x.shape):
        y[a : a + kh, b : b + kw] += x[a, b] * w
    return y


def conv2d(x, w, **settings):
    """F.conv2d for one image of one channel and one kernel, as arrays."""
    return F.conv2d(ml.tensor(x[None, None]), ml.tensor(w[None, None]), **settings).numpy()[0, 0]


point = np.zeros((3, 3))
point[1, 1] = 1.0
kernel = np.arange(1.0, 10.0).reshape(3, 3)
print("the kernel:        a point, seen by the layer:    a point, convolved:")
for k, seen, true in zip(kernel, conv2d(point, kernel, padding=1), convolve(point, kernel)[1:-1, 1:-1], strict=True):
    print("  ".join(f"{str(row):27s}" for row in (k, seen, true)))

image, kernel = rng.normal(size=(7, 6)), rng.normal(size=(3, 3))
layer_is_correlation = difference(conv2d(image, kernel, padding=2), cross_correlate(image, kernel))
flipped_is_convolution = difference(conv2d(image, kernel[::-1, ::-1].copy(), padding=2), convolve(image, kernel))
print(
    f"the layer and cross-correlation differ by {layer_is_correlation:.0e}; with the kernel flipped, the layer and convolution by {flipped_is_convolution:.0e}"
)

assert max(layer_is_correlation, flipped_is_convolution) < 1e-12
assert difference(convolve(image, kernel), convolve(kernel, image)) < 1e-12  # convolution commutes,
assert difference(cross_correlate(image, kernel), cross_correlate(kernel, image)) > 0.1  # cross-correlation does not

# %% [markdown]
# ## Filters on a photograph
#
# Before networks learned their kernels, people designed them. Five classics: a *blur* weighs the neighborhood by a
# bell (here binomial coefficients); *sharpen* adds to each pixel its difference from its neighbors; the *Sobel*
# kernels (1968) estimate the slope of the brightness across and down; the *Laplacian* is the sum of the second
# derivatives. In a layer they are five output channels, and one call computes all of them. (The $3 \times 3$ ones are
# surrounded by zeros to be of the size of the blur.)

# %%
bell = np.array([1, 4, 6, 4, 1]) / 16
FILTERS = {
    "blur": np.outer(bell, bell),
    "sharpen": np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
    "Sobel, across": np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
    "Sobel, down": np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]]),
    "Laplacian": np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
}
bank = ml.tensor(
    np.stack([np.pad(w, (5 - len(w)) // 2)[None] for w in FILTERS.values()]).astype(np.float64)
)  # (O, C, kh, kw)

photo = photographs("camera").astype(np.float64)
photo = photo[:, 60:316, 110:366] if FAST else photo
filtered = F.conv2d(ml.tensor(photo[None]), bank, padding=2).numpy()[0]
print(f"photograph {photo.shape}, kernels {bank.shape}, responses {filtered.shape}")

# %% [markdown]
# What a kernel does can be read from simple images. Its response to a constant is the sum of its elements: 1 for blur
# and sharpen, which keep the brightness; 0 for the others, which see differences only. On a ramp that rises by 1 with
# every column, Sobel across gives 8 (divide by 8 to get the slope), and the Laplacian 0, for a ramp is not curved.

# %%
flat, ramp = np.ones((9, 9)), np.tile(np.arange(9.0), (9, 1))
on_flat, on_ramp = (F.conv2d(ml.tensor(x[None, None]), bank).numpy()[0, :, 2, 2] for x in (flat, ramp))
print("                 on a constant   on a ramp")
for name, a, b in zip(FILTERS, on_flat, on_ramp, strict=True):
    print(f"  {name:14s} {a:8.2f} {b:15.2f}")

assert np.allclose(on_flat, [1, 1, 0, 0, 0]) and np.allclose(on_ramp, [4, 4, 8, 0, 0])

# %% [markdown]
# ## Padding, stride, dilation: how large is the output?
#
# *Padding* $p$ surrounds the image with zeros, $p$ rows or columns on every side. *Stride* $s$ moves the window by
# $s$ pixels at a time. *Dilation* $d$ spreads the taps of the kernel $d$ pixels apart, so that it spans
# $d(k - 1) + 1$ pixels. The window can start at $0, s, 2s, \dots$ as long as its last tap is inside the padded image:
# $i s + d(k - 1) \le H + 2p - 1$. Counting the $i$,
#
# $$ H' = \left\lfloor \frac{H + 2p - d(k - 1) - 1}{s} \right\rfloor + 1. $$
#
# With $s = 1$ and odd $k$, $p = d(k-1)/2$ keeps the size ("same"). The formula is easily remembered wrongly, so let
# us hold it against a plain count and against minidl, for all settings in a range (Dumoulin and Visin 2016 draw
# them).


# %%
def out_size(size, k, stride, padding, dilation):
    return (size + 2 * padding - dilation * (k - 1) - 1) // stride + 1


def counted(size, k, stride, padding, dilation):
    return sum(start + dilation * (k - 1) < size + 2 * padding for start in range(0, size + 2 * padding, stride))


settings_tried = 0
for size, k, stride, padding, dilation in product(range(4, 13), range(1, 6), range(1, 5), range(4), range(1, 4)):
    if size + 2 * padding >= dilation * (k - 1) + 1:
        x, w = np.zeros((1, 1, size, 9)), np.zeros((1, 1, k, 1))
        y = F.conv2d(ml.tensor(x), ml.tensor(w), stride=(stride, 1), padding=(padding, 0), dilation=(dilation, 1))
        assert y.shape[2] == out_size(size, k, stride, padding, dilation) == counted(size, k, stride, padding, dilation)
        settings_tried += 1
print(f"formula, count and minidl agree in {settings_tried} settings")

# %% [markdown]
# ## Channels
#
# A color image has three channels; a layer inside a network has hundreds. Each output channel $o$ has one kernel *for
# every input channel*, and adds up what they see:
#
# $$ y_{n,o,i,j} = b_o + \sum_{c,u,v} w_{o,c,u,v} \; x_{n,\, c,\, is + ud - p,\; js + vd - p}. $$
#
# The layout, in minidl and in PyTorch, is (N, C, H, W) for images and (O, C, kh, kw) for weights. Kernels of
# $1 \times 1$ are not as pointless as they look: they are a dense layer over the channels, the same at every pixel.

# %%
x, w, b = tensor(2, 3, 8, 9), tensor(4, 3, 3, 3), tensor(4)
by_channels = sum(F.conv2d(x[:, c : c + 1], w[:, c : c + 1]) for c in range(3)) + b.reshape(1, 4, 1, 1)
channels_error = difference(F.conv2d(x, w, b), by_channels)

w1 = tensor(4, 3, 1, 1)
per_pixel = F.linear(x.permute(0, 2, 3, 1), w1.reshape(4, 3)).permute(0, 3, 1, 2)
pointwise_error = difference(F.conv2d(x, w1), per_pixel)
print(
    f"sum over channels: {channels_error:.0e}; a 1×1 convolution and a dense layer at each pixel: {pointwise_error:.0e}"
)

assert max(channels_error, pointwise_error) < 1e-12

# %% [markdown]
# ## A dense layer with most weights 0 and the others shared
#
# The layer is linear, so it *is* a matrix from all pixels to all outputs. We can read it off: an image with a single
# 1 gives one column. For a $6 \times 6$ image and a $3 \times 3$ kernel it has $16 \times 36$ entries, but 9 in each
# row are not 0, and they are the same 9 in every row.

# %%
kernel = np.arange(1.0, 10.0).reshape(1, 1, 3, 3)
impulses = np.eye(36).reshape(36, 1, 6, 6)
matrix = F.conv2d(ml.tensor(impulses), ml.tensor(kernel)).numpy().reshape(36, 16).T
image = rng.normal(size=(6, 6))
matrix_error = difference(matrix @ image.ravel(), conv2d(image, kernel[0, 0]).ravel())
print(
    f"matrix {matrix.shape}: {matrix.size} entries, {np.count_nonzero(matrix)} not 0, {len(np.unique(matrix)) - 1} different; matrix · image = layer to {matrix_error:.0e}"
)

assert matrix_error < 1e-12
assert all(sorted(row[row != 0]) == list(range(1, 10)) for row in matrix)

conv_layer = nn.Conv2d(3, 16, 3, padding=1)
conv_count = sum(p.numel() for p in conv_layer.parameters())
pixels_in, pixels_out = 3 * 32 * 32, 16 * 32 * 32
dense_count = pixels_out * pixels_in + pixels_out  # nn.Linear(3072, 16384): 200 MB, which we need not build to count
print(
    f"from 3 to 16 channels of 32 × 32 pixels: {conv_count} parameters; a dense layer: {dense_count:,} ({dense_count / conv_count:,.0f} times as many)"
)

assert conv_count == 16 * (3 * 3 * 3 + 1) == 448

# %% [markdown]
# Shared weights have a consequence that a dense layer would have to learn from examples: *equivariance*. Move the
# image, and the response moves with it, unchanged (away from the borders). What the layer knows about an edge, it
# knows everywhere.

# %%
moved = np.roll(photo, (3, 5), axis=(1, 2))
response_moved = F.conv2d(ml.tensor(moved[None]), bank, padding=2).numpy()[0]
inside = slice(10, -10)
equivariance = difference(np.roll(filtered, (3, 5), axis=(1, 2))[:, inside, inside], response_moved[:, inside, inside])
print(f"filter, then move, against move, then filter: {equivariance:.0e}")

assert equivariance < 1e-12

# %% [markdown]
# ## Pooling
#
# Pooling summarizes each window by one number, its maximum or its mean, channel by channel, usually with a stride as
# large as the window. It has no weights. Two things come of it: the image gets smaller (*downsampling*), and small
# movements matter less (*local translation tolerance*; Goodfellow et al. 2016, chapter 9). A reader may have met the
# claim that pooling "focuses on the important areas". It cannot: it knows no areas. Every window, of sky or of face,
# gives one number, and where in its window the largest pixel lay is forgotten. Shuffle the pixels inside every
# window, and max pooling does not notice.

# %%
edges = np.hypot(filtered[2], filtered[3])  # how steep the brightness is, from both Sobel responses
window = 8
tiles = edges.reshape(len(edges) // window, window, -1, window).swapaxes(1, 2).reshape(-1, window * window)
shuffled = (
    rng.permuted(tiles, axis=1).reshape(len(edges) // window, -1, window, window).swapaxes(1, 2).reshape(edges.shape)
)
pooled, pooled_shuffled = (F.max_pool2d(ml.tensor(e[None, None]), window).numpy()[0, 0] for e in (edges, shuffled))
print(
    f"{edges.shape} -> {pooled.shape}; shuffled inside every window, the pixels change by {difference(edges, shuffled):.1f}, the maxima by {difference(pooled, pooled_shuffled)}"
)

assert difference(pooled, pooled_shuffled) == 0
assert difference(pooled, tiles.max(axis=1).reshape(pooled.shape)) == 0

# %% [markdown]
# Now the tolerance, measured. We shift the photograph by one pixel, to the right, and ask how much the edge map
# changes: as it is, and reduced by $k$ in three ways. *Subsampling* takes every $k$-th pixel, so that it differs from
# pooling only in that it does not look at the window. The measure is the root mean square of the change, divided by
# what it would be for two unrelated maps of this spread ($\sqrt 2$ times the standard deviation): 0 means unchanged,
# 1 means nothing in common.

# %%
REDUCTIONS = {
    "subsampling": lambda e, k: e[:, :, ::k, ::k],
    "mean pooling": lambda e, k: F.avg_pool2d(e, k),
    "max pooling": lambda e, k: F.max_pool2d(e, k),
}
MARGIN = 24  # so that every shift sees real pixels only
side = len(edges) - 2 * MARGIN


def change(reduce, k, shift):
    """How much the reduced edge map changes when the photograph moves by `shift` pixels."""
    crops = [
        ml.tensor(edges[None, None, MARGIN : MARGIN + side, MARGIN - s : MARGIN - s + side].copy()) for s in (0, shift)
    ]
    here, there = (reduce(crop, k).numpy() for crop in crops)
    return np.sqrt(((here - there) ** 2).mean() / 2) / here.std()


by_one = {name: [change(reduce, k, 1) for k in (1, 2, 4, 8)] for name, reduce in REDUCTIONS.items()}
print("change of the edge map when the photograph moves by 1 pixel, reduced by")
print("                  1      2      4      8")
for name, values in by_one.items():
    print(f"  {name:12s}" + "".join(f"{value:7.3f}" for value in values))

for name in ("mean pooling", "max pooling"):
    assert all(pool < plain for pool, plain in zip(by_one[name][1:], by_one["subsampling"][1:], strict=True))
    assert by_one[name] == sorted(by_one[name], reverse=True)
assert min(by_one["subsampling"]) > 0.8 * by_one["subsampling"][0]

# %% [markdown]
# The larger the window, the less a step of one pixel matters, and subsampling alone gains next to nothing: the
# tolerance comes from the window, not from the smaller size. It is *local*: in the picture at the end it dwindles as
# the shift grows to the size of the window and beyond. And it is partial: the maximum of a window still changes when
# its pixel moves into the next window (Zhang 2019).
#
# ## Flattening
#
# Between the last feature map and a dense layer stands a *flattening*: (N, C, H, W) becomes (N, C·H·W). A reader may
# have met the statement that it applies ReLU and sums. It does neither; it is a pure reshape. No number changes,
# negative ones survive, none is lost, and its gradient is the reshape back.

# %%
maps = ml.tensor(rng.normal(size=(2, 3, 4, 5)), requires_grad=True)
flat = F.flatten(maps, 1)
(back,) = ml.grad(flat, (maps,), ml.tensor(np.arange(120.0).reshape(2, 60)))
print(f"{maps.shape} -> {flat.shape}; smallest number before {maps.min().item():.4f}, after {flat.min().item():.4f}")

assert (flat.detach().numpy() == maps.detach().numpy().reshape(2, 60)).all()
assert (back.numpy() == np.arange(120.0).reshape(maps.shape)).all()

# %% [markdown]
# ## Receptive field
#
# One output of a $3 \times 3$ layer sees $3 \times 3$ pixels. An output of a second such layer sees $3 \times 3$
# outputs of the first: $5 \times 5$ pixels. In general, let $r$ be how many pixels an output sees and $j$ how many
# pixels lie between neighboring outputs (the *jump*). Before the first layer $r = j = 1$; a layer with kernel $k$,
# stride $s$, dilation $d$ makes
#
# $$ r \leftarrow r + d(k - 1)\, j, \qquad j \leftarrow j s. $$
#
# Strides multiply, and so pooling early makes everything after it see more. The engine can check the formula: the
# pixels that an output sees are those to which its gradient is not 0. (We pool by the mean here: the gradient of a
# maximum reaches only the winner.)

# %%
STACK = [
    ("conv", 3, 1, 1),
    ("conv", 3, 1, 1),
    ("pool", 2, 2, 1),
    ("conv", 3, 1, 1),
    ("pool", 2, 2, 1),
    ("conv", 3, 1, 2),
    ("conv", 3, 1, 1),
]


def seen_by_center(weights):
    """The gradient of the middle output of STACK with respect to the image."""
    image = ml.tensor(np.zeros((1, 1, 96, 96)), requires_grad=True)
    x, sizes = image, []
    for (kind, k, stride, dilation), w in zip(STACK, weights, strict=True):
        x = F.avg_pool2d(x, k, stride) if kind == "pool" else F.conv2d(x, w, stride=stride, dilation=dilation)
        r, j = (1, 1) if not sizes else sizes[-1]
        sizes.append((r + dilation * (k - 1) * j, j * stride))
    middle = x.shape[2] // 2
    (gradient,) = ml.grad(x[0, 0, middle, middle], (image,))
    return gradient.numpy()[0, 0], sizes


field, sizes = seen_by_center([ml.tensor(rng.uniform(0.5, 1, size=(1, 1, k, k))) for _, k, _, _ in STACK])
for (kind, k, stride, dilation), (r, j) in zip(STACK, sizes, strict=True):
    print(
        f"  {kind} {k}×{k}, stride {stride}, dilation {dilation}: an output sees {r:2d} × {r:<2d} pixels, neighbors are {j} apart"
    )
rows, columns = (np.flatnonzero(field.any(axis=axis)) for axis in (1, 0))
receptive_field = sizes[-1][0]
print(f"formula: {receptive_field} pixels; by the gradient: {len(rows)} × {len(columns)}")

assert len(rows) == len(columns) == receptive_field

# %% [markdown]
# A pixel in the middle reaches the output on many paths, one at the rim on few. With random weights the influence
# falls off towards the rim: the *effective* receptive field is smaller than $r$ (Luo et al. 2016). How much of the
# influence lies in the inner quarter of the area, which would have 25% if all pixels counted alike?

# %%
trials = [
    seen_by_center([ml.tensor(rng.normal(size=(1, 1, k, k))) for _, k, _, _ in STACK])[0] ** 2
    for _ in range(20 if FAST else 200)
]
influence = np.mean(trials, axis=0)[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
quarter = receptive_field // 4
inner = influence[quarter:-quarter, quarter:-quarter].sum() / influence.sum()
print(f"share of the influence in the inner quarter of the {receptive_field} × {receptive_field} pixels: {inner:.0%}")

assert inner > 0.4

# %% [markdown]
# ## The gradient of a convolution is a convolution
#
# Let $\bar y$ be the gradient that arrives. Each product $w_{uv} x_{i+u,j+v}$ in $y_{ij}$ passes $w_{uv} \bar y_{ij}$
# to its pixel and $x_{i+u,j+v} \bar y_{ij}$ to its weight. Collect what arrives at the pixel $(a, b)$, where
# $i = a - u$ and $j = b - v$:
#
# $$ \bar x_{ab} = \sum_{u,v} w_{uv} \, \bar y_{a-u,\, b-v}, \qquad
#    \bar w_{uv} = \sum_{i,j} x_{i+u,\, j+v} \, \bar y_{ij}, \qquad \bar b = \sum_{i,j} \bar y_{ij}. $$
#
# The first has minus signs: it is a true convolution of $\bar y$ with $w$, that is, a cross-correlation with the
# *flipped* kernel, over all overlaps ("full": padding $k - 1$, or $k - 1 - p$ if the forward pass padded by $p$). The
# second is a cross-correlation of $x$ with $\bar y$ as a large kernel. With channels, the input gradient sums over
# $o$ where the forward pass summed over $c$, so the two axes of $w$ change places; and the weight gradient sums over
# the batch, which therefore takes the place of the channels. All of it can be said with `F.conv2d`.

# %%
padding, k = 1, 3
x, w, b = tensor(4, 3, 10, 11), tensor(5, 3, k, k), tensor(5)
for t in (x, w, b):
    t.requires_grad = True
y = F.conv2d(x, w, b, padding=padding)
gy = tensor(*y.shape)
gx, gw, gb = ml.grad(y, (x, w, b), gy)
with ml.no_grad():
    gx_by_conv = F.conv2d(gy, w.flip((2, 3)).transpose(0, 1), padding=k - 1 - padding)
    gw_by_conv = F.conv2d(x.transpose(0, 1), gy.transpose(0, 1), padding=padding).transpose(0, 1)
gradient_error = max(difference(gx, gx_by_conv), difference(gw, gw_by_conv), difference(gb, gy.sum((0, 2, 3))))
print(f"gradients by minidl's backward and as convolutions differ by {gradient_error:.0e}")

assert gradient_error < 1e-12
assert gradcheck(
    lambda x, w, b: F.conv2d(x, w, b, padding=1), (x[:1, :, :4, :4].detach().requires_grad_(), w, b), mode="directional"
)

# %% [markdown]
# ## From loops to a matrix product
#
# Everything above is exact and says nothing about speed. A convolution is seven nested loops: over images, output
# channels, rows, columns, input channels, and the two directions of the kernel. We climb in four rungs, each of which
# must give the same numbers as the one before.
#
# **Rung 1: the loops**, as in the formula. One multiplication at a time.


# %%
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


# %% [markdown]
# **Rung 2: vectorized over the batch.** At one position $(i, j)$ the windows of all images form a matrix, N × C·k·k,
# and the layer is a dense layer (lesson 01): one product for the whole batch and all channels. Two loops remain.


# %%
def conv_batched(x, w):
    (n_images, _, h, width), (outputs, _, kh, kw) = x.shape, w.shape
    y = np.empty((n_images, outputs, h - kh + 1, width - kw + 1), x.dtype)
    rows = w.reshape(outputs, -1)
    for i, j in np.ndindex(y.shape[2:]):
        y[:, :, i, j] = x[:, :, i : i + kh, j : j + kw].reshape(n_images, -1) @ rows.T
    return y


# %% [markdown]
# **Rung 3: one product.** Write the windows of *all* positions side by side, as the columns of one large matrix
# ("im2col"; Chellapilla et al. 2006). Then the layer is a single matrix product, for which there are libraries that
# have been tuned for decades:
#
# $$ \underbrace{Y}_{O \,\times\, N H' W'} = \underbrace{W}_{O \,\times\, C k k} \;
#    \underbrace{X_\text{col}}_{C k k \,\times\, N H' W'}. $$


# %%
def im2col(x, kh, kw):
    windows = np.lib.stride_tricks.sliding_window_view(x, (kh, kw), axis=(2, 3))  # (N, C, H', W', kh, kw), a view
    return windows.transpose(1, 4, 5, 0, 2, 3).reshape(x.shape[1] * kh * kw, -1)  # a copy: k·k times as large as x


def conv_im2col(x, w):
    outputs, _, kh, kw = w.shape
    y = w.reshape(outputs, -1) @ im2col(x, kh, kw)
    return y.reshape(outputs, len(x), x.shape[2] - kh + 1, -1).swapaxes(0, 1)


# %% [markdown]
# **Rung 4: minidl.** The column matrix holds every pixel up to $k^2$ times. For a real layer it is far larger than
# the processor's cache, and sometimes than memory. minidl makes the columns of a few images at a time, at most 1.6 MB
# of them, in memory that it reuses, and multiplies them while they are still in the cache.
#
# First: are the four equal?


# %%
def conv_minidl(x, w):
    with ml.no_grad():
        return F.conv2d(ml.from_numpy(x), ml.from_numpy(w)).numpy()


LADDER = {"loops": conv_loops, "over the batch": conv_batched, "im2col": conv_im2col, "minidl": conv_minidl}
tiny = rng.normal(size=(4, 3, 12, 12)), rng.normal(size=(8, 3, 3, 3))
larger = rng.normal(size=(8, 16, 20, 20)), rng.normal(size=(32, 16, 3, 3))
ladder_error = max(
    max(difference(fn(*tiny), conv_loops(*tiny)) for fn in LADDER.values()),
    max(difference(LADDER[name](*larger), conv_batched(*larger)) for name in ("im2col", "minidl")),
)
print(f"largest difference between the rungs, in float64: {ladder_error:.0e}")

assert ladder_error < 1e-12

# %% [markdown]
# Then: how fast? Each rung is timed in float32, as in training, in one thread (minidl would use all cores), the loops
# on the tiny layer above, the others on one of a useful size. The unit is the time of one multiply-add, of which a
# layer has $N \cdot O \cdot H' W' \cdot C k k$. The figures are those of your machine, now.


# %%
def seconds(fn, x, w, repeats):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        fn(x, w)
        times.append(time.perf_counter() - start)
    return min(times)


def multiply_adds(x, w):
    out = (x.shape[2] - w.shape[2] + 1) * (x.shape[3] - w.shape[3] + 1)
    return len(x) * out * w.size


tiny = tuple(a.astype(np.float32) for a in tiny)
n_images = 8 if FAST else 64
useful = tuple(rng.normal(size=shape).astype(np.float32) for shape in ((n_images, 32, 32, 32), (64, 32, 3, 3)))
repeats = 2 if FAST else 7
threads = ml.get_num_threads()
ml.set_num_threads(1)
nanoseconds = {}
for name, fn in LADDER.items():
    layer = tiny if name == "loops" else useful
    nanoseconds[name] = 1e9 * seconds(fn, *layer, repeats=2 if name == "loops" else repeats) / multiply_adds(*layer)
print(
    f"a layer of {n_images} images, 32 -> 64 channels, 30 × 30 outputs, 3 × 3: {multiply_adds(*useful) / 1e6:,.0f} million multiply-adds"
)
print("                   ns per multiply-add   faster than loops   this layer takes")
for name, ns in nanoseconds.items():
    took = 1e-9 * ns * multiply_adds(*useful)
    print(
        f"  {name:16s} {ns:14.4f} {nanoseconds['loops'] / ns:20,.0f} ×  {took if took > 1 else 1e3 * took:16,.1f} {'s' if took > 1 else 'ms'}"
    )

# %% [markdown]
# And how much memory? `tracemalloc` counts what NumPy asks for, at the peak. (Still with one thread, and a fresh one:
# minidl keeps a block of columns for each thread from call to call, and we want to see it being asked for.)


# %%
def peak_megabytes(fn, x, w):
    """The most memory held during the call, besides its output."""
    tracemalloc.start()
    with ThreadPoolExecutor(1) as thread:
        y = thread.submit(fn, x, w).result()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (peak - y.nbytes) / 1e6


memory = {name: peak_megabytes(LADDER[name], *useful) for name in ("im2col", "minidl")}
columns_size = 32 * 9 * n_images * 30 * 30 * 4 / 1e6
print(
    f"input {useful[0].nbytes / 1e6:.1f} MB; the column matrix {columns_size:.1f} MB; peak besides the output: im2col {memory['im2col']:.1f} MB, minidl {memory['minidl']:.1f} MB"
)
vgg = 64 * 9 * 224 * 224 * 32 * 4 / 1e9
print(f"for the second layer of VGG-16 (64 channels of 224 × 224, 32 images) the column matrix would take {vgg:.1f} GB")

ml.set_num_threads(threads)

assert memory["im2col"] > 0.9 * columns_size
assert memory["minidl"] < memory["im2col"] / 3

# %% [markdown]
# ## The pictures
#
# First the photograph and what the filters make of it. Gray is 0 where a response can be negative, white positive,
# black negative. (The bright rim of the edge map is the padding: for the filter the world beyond the picture is
# black.)

# %%
figure, axes = plt.subplots(2, 3, figsize=(13, 9.2), layout="constrained")
panels = [("photograph", photo[0], 0, 1), ("blur", filtered[0], 0, 1), ("sharpen", filtered[1], 0, 1)]
panels += [("Sobel, across", filtered[2], -2, 2), ("Laplacian", filtered[4], -0.5, 0.5)]
panels += [(f"edges (both Sobels), max-pooled: {pooled.shape[0]} × {pooled.shape[1]}", pooled, 0, 3)]
for ax, (title, picture, low, high) in zip(axes.flat, panels, strict=True):
    ax.imshow(picture, cmap="gray", vmin=low, vmax=high)
    ax.set(title=title, xticks=[], yticks=[])
save_picture(figure, "05_filters")

# %% [markdown]
# Then what was measured: the matrix of the layer; the change of the pooled edge map as the photograph moves on; where
# in its receptive field an output looks; and the ladder.

# %%
figure, ((top_left, top_right), (bottom_left, bottom_right)) = plt.subplots(2, 2, figsize=(13, 9.5))
top_left.imshow(np.where(matrix == 0, np.nan, matrix), cmap="viridis")
top_left.set(
    title="A 3 × 3 convolution as a dense layer: 576 entries, 9 weights",
    xlabel="pixel of the 6 × 6 image",
    ylabel="output",
)
shifts = np.arange(17)
for k, color, marker in zip((1, 2, 4, 8), ("tab:gray", "tab:blue", "tab:orange", "black"), "os^D", strict=True):
    top_right.plot(
        shifts,
        [change(REDUCTIONS["max pooling"], k, s) for s in shifts],
        color=color,
        marker=marker,
        markersize=5,
        label=f"max pooling {k} × {k}" if k > 1 else "no pooling",
    )
top_right.set(
    title="Tolerance to translation is local", xlabel="shift in pixels", ylabel="change of the edge map", ylim=(0, None)
)
top_right.legend()
drawn = bottom_left.imshow(np.sqrt(influence / influence.max()), cmap="magma")
bottom_left.set(
    title=f"Influence of {receptive_field} × {receptive_field} pixels on one output",
    xlabel="column of the receptive field",
    ylabel="row",
)
figure.colorbar(drawn, ax=bottom_left, label="root mean square, relative to the largest")
bottom_right.plot(list(nanoseconds.values()), list(nanoseconds), "o", color="tab:blue", markersize=10)
for name, ns in nanoseconds.items():
    text = f"{ns:,.0f} ns" if ns > 10 else f"{ns:.3f} ns"
    bottom_right.annotate(text, (ns, name), (10, 0), textcoords="offset points", va="center")
bottom_right.grid(axis="y", color="lightgray")
bottom_right.set(
    title="Time of one multiply-add, one thread of this machine",
    xlabel="nanoseconds",
    xscale="log",
    xlim=(min(nanoseconds.values()) / 3, 20 * nanoseconds["loops"]),
    ylim=(-0.6, 3.6),
)
bottom_right.invert_yaxis()
figure.tight_layout()
save_picture(figure, "05_convolution")

# %% [markdown]
# ## Summary
#
# - A convolutional layer computes a cross-correlation with learned kernels: a dense layer whose weights are mostly 0
#   and otherwise shared.
# - $H' = \lfloor (H + 2p - d(k-1) - 1)/s \rfloor + 1$.
# - Convolution is equivariant to translation; pooling adds a local, partial tolerance, and makes the image smaller.
#   It does not look for what matters.
# - Flattening is a reshape, no more.
# - The receptive field grows with depth, and its middle counts most.
# - The gradients are convolutions too: the input's with the flipped kernel, the weight's with the gradient as the
#   kernel.
# - One matrix product computes it all; in blocks, for the sake of the cache and of memory.
#
# ## Exercises
#
# 1. Find a $3 \times 3$ kernel that shifts an image by one pixel to the left. Which one would a true convolution
#    need?
# 2. The blur is an outer product of two vectors. Replace it by two one-dimensional convolutions, check that the
#    result is the same, and count the multiplications for a kernel of $k \times k$.
# 3. What is the input gradient of a convolution with stride 2? Spread $\bar y$ with zeros between its elements and
#    check your answer against minidl. (This is the *transposed convolution*, which returns in the lesson on
#    segmentation. It is the adjoint of the convolution, not its inverse.)
# 4. Pool the edge map with windows of 3 and a stride of 2 instead. Does the tolerance to a shift by one pixel get
#    better than for windows of 2?
# 5. Which is cheaper, and which sees more: one layer of $7 \times 7$, or three of $3 \times 3$? Count parameters for
#    C channels in and out, and check the receptive field with `seen_by_center` and another `STACK`.
# 6. Loop over the $k^2$ taps instead of the positions: with $w_{uv}$ as an $O \times C$ matrix, each adds
#    `w[:, :, u, v] @ x[:, :, u:u+out_h, v:v+out_w].reshape(N, C, -1)` to the output. Where does this rung stand?

# %%
finish(
    f"the layer is cross-correlation to {layer_is_correlation:.0e}; with the kernel flipped, convolution to {flipped_is_convolution:.0e}; sizes agree in {settings_tried} settings",
    f"3 -> 16 channels on 32 × 32 pixels: {conv_count} parameters, dense {dense_count:,}",
    f"a shift by one pixel changes the edge map by {by_one['max pooling'][0]:.2f}; max-pooled by 2, 4, 8: {', '.join(f'{v:.2f}' for v in by_one['max pooling'][1:])}; subsampled by 8: {by_one['subsampling'][3]:.2f}",
    f"receptive field {receptive_field} by formula and by gradient; {inner:.0%} of the influence in the inner quarter",
    f"gradients as convolutions agree to {gradient_error:.0e}; the rungs of the ladder to {ladder_error:.0e}",
    f"ns per multiply-add: {', '.join(f'{name} {ns:.3g}' for name, ns in nanoseconds.items())}",
    f"memory besides the output: im2col {memory['im2col']:.0f} MB, minidl {memory['minidl']:.1f} MB",
)
