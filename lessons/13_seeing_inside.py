# %% [markdown]
# # 13  Seeing inside: filters, maps, and what an answer rests on
#
# **Goal.** Look into a network that was trained on the million photographs of ImageNet: at its first filters, at the
# maps behind them, and at the question that its users ask, *which pixels made it say so?* Four answers, saliency,
# SmoothGrad, occlusion and Grad-CAM, each derived and written down in a few lines; and three tests that such a picture
# must pass before one may believe it.
#
# **Needs.** Lessons 02 (the chain rule), 05 (filters, receptive fields) and 06 (batch norm, evaluation mode). The
# weights come with the extra `lessons`.
#
# **Time.** One to two minutes on two cores.

# %%
import numpy as np
from _lesson import FAST, finish, save_picture
from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle

import minidl as ml
from minidl import functional as F
from minidl import models
from minidl.data.datasets import photographs

rng = np.random.default_rng(0)

# %% [markdown]
# ## A network, and four photographs
#
# EfficientNet-Lite0 (Tan and Le 2019) has 4.65 million weights and knows 1,000 classes. The photographs are those of
# scikit-image. ImageNet has several classes for a house cat and no "rocket", so each photograph gets a *set* $C$ of
# classes that we accept. Its probability is $P = \sum_{c \in C} p_c$, and its score
#
# $$ s = \log \sum_{c \in C} e^{z_c} , $$
#
# which is the logit $z_c$ where $C$ has one class. (The probability itself is a poor thing to differentiate: near 1 it
# is flat, and it also rises when another class falls.)

# %%
PHOTOGRAPHS = {  # name: (file, the classes that we accept)
    "cat": ("chelsea", ["tabby", "tiger cat", "Egyptian cat"]),
    "espresso": ("coffee", ["espresso"]),
    "tripod": ("camera", ["tripod"]),
    "rocket": ("rocket", ["missile", "projectile"]),
}
SIDE = 224
model = models.efficientnet_lite0(pretrained=True).eval().requires_grad_(False)
prepare, names = models.preprocessing("efficientnet_lite0"), models.class_names()


def load(file):
    """A photograph as the network wants it, (3, 224, 224): (x − 127) / 128 for bytes x, so that 0 is middle gray."""
    pixels = photographs(file)
    return prepare(np.repeat(pixels, 3, axis=0) if len(pixels) == 1 else pixels)


images = {name: load(file) for name, (file, _) in PHOTOGRAPHS.items()}
classes = {name: [names.index(accepted) for accepted in known] for name, (_, known) in PHOTOGRAPHS.items()}


def score(logits, accepted):
    return logits[:, accepted].logsumexp(dim=1)


def probabilities(x):
    """Of the 1,000 classes, for a batch of images."""
    with ml.no_grad():
        return F.softmax(model(ml.tensor(x)), dim=1).numpy()


def probability(x, accepted):
    """P for a batch of images."""
    return probabilities(x)[:, accepted].sum(axis=1)


found = {}
for name, x in images.items():
    p = probabilities(x[None])[0]
    found[name] = float(p[classes[name]].sum())
    best = ", ".join(f"{names[c]} {p[c]:.2f}" for c in np.argsort(-p)[:4])
    print(f"{name:9s} P = {found[name]:.2f}   the first four: {best}")

assert all(P > 0.5 for P in found.values())

# %% [markdown]
# ## The network, opened
#
# We want to hold what lies between image and logits. The network is a chain, so we walk it and keep each link. The last
# two steps decide: the mean over all places of each of the 1,280 last maps, then a dense layer.


# %%
def layers(x):
    """The maps after each part of the network, by name."""
    x = F.relu6(model._bn0(model._conv_stem(x)))
    maps = {"stem": x}
    for i, block in enumerate(model._blocks):
        maps[f"block {i}"] = x = block(x)
    maps["last"] = F.relu6(model._bn1(model._conv_head(x)))
    return maps


def decide(last):
    return model._fc(F.adaptive_avg_pool2d(last, 1).flatten(1))


x = ml.tensor(np.stack(list(images.values())))
with ml.no_grad():
    maps = layers(x)
    opened = np.abs(decide(maps["last"]).numpy() - model(x).numpy()).max()
for name in ("stem", "block 2", "block 4", "block 7", "block 10", "last"):
    print(f"{name:9s} {maps[name].shape[1]:5d} maps of {maps[name].shape[2]} × {maps[name].shape[3]}")
print(f"the logits of the walk and of the network differ by {opened:.0e}")

assert opened < 1e-3

# %% [markdown]
# ## The first filters
#
# Only of the first layer can the weights be looked at as images: 32 filters of $3 \times 3$ pixels in three colors.
# Batch norm, which follows, multiplies each by $\gamma / \sqrt{\sigma^2 + \epsilon}$; we show the product, which is
# what the network applies.
#
# What do they look for? Split each filter twice: into its mean over the colors (gray) and the rest (color), and each
# of these into its mean over the nine pixels (flat) and the rest (edges). The four parts are orthogonal, so their
# energies add up to that of the filter. Lesson 05's Sobel filters would be all "gray edge".

# %%
bn = model._bn0
factor = (bn.weight / (bn.running_var + bn.eps).sqrt()).numpy()
filters = model._conv_stem.weight.numpy() * factor[:, None, None, None]


def energies(w):
    """Of filters (O, 3, 3, 3): those of their gray flat, gray edge, color flat and color edge parts."""
    gray = np.broadcast_to(w.mean(axis=1, keepdims=True), w.shape)
    parts = {}
    for color, part in (("gray", gray), ("color", w - gray)):
        flat = np.broadcast_to(part.mean(axis=(2, 3), keepdims=True), w.shape)
        parts |= {f"{color} flat": flat, f"{color} edge": part - flat}
    return {name: (part**2).sum(axis=(1, 2, 3)) for name, part in parts.items()}


energy = (filters**2).sum(axis=(1, 2, 3))
shares = {name: part / energy for name, part in energies(filters).items()}
grayness = shares["gray flat"] + shares["gray edge"]
mostly = {name: int((share > 0.5).sum()) for name, share in shares.items()}
print("filters with more than half of their energy in one part:", mostly)

assert np.allclose(sum(shares.values()), 1, atol=1e-5)
assert mostly["gray edge"] > 10 and mostly["color flat"] + mostly["color edge"] > 10 and mostly["gray flat"] == 0

# %% [markdown]
# Edges in gray, and contrasts of color, flat or edged, in about equal numbers; not one filter that mainly reports how
# bright it is. Krizhevsky et al. (2012) saw the same division in AlexNet, whose filters are large enough to be read
# with the naked eye.
#
# ## What a unit of a deeper map sees
#
# Deeper in, the weights no longer speak. One may show the maps themselves (the first picture does), and one may ask how
# far a unit sees. Lesson 05's rule: a kernel of size $k$ adds $(k - 1)\,j$ pixels, where $j$ is the product of the
# strides before it. Outside that square the gradient of a unit with respect to the image must be 0. Inside it is not
# spread evenly: many more paths lead to the center than to the rim, so that the *effective* field is far smaller (Luo
# et al. 2016).


# %%
def theoretical_fields():
    """The side of the square that a unit sees, by layer."""
    field, jump, fields = 3, 2, {"stem": 3}
    for i, block in enumerate(model._blocks):
        field += (block._depthwise_conv.kernel_size[0] - 1) * jump
        jump *= block._depthwise_conv.stride[0]
        fields[f"block {i}"] = field
    return fields | {"last": field}


def gradient_of_units(name):
    """Energy (224, 224) of the gradient of a random mixture of the units in the middle of a layer."""
    pixels = ml.tensor(images["cat"][None], requires_grad=True)
    y = layers(pixels)[name]
    middle = y[0, :, y.shape[2] // 2, y.shape[3] // 2]
    (gradient,) = ml.grad((middle * ml.tensor(rng.normal(size=len(middle)), ml.float32)).sum(), pixels)
    return (gradient.numpy()[0] ** 2).sum(axis=0)


fields, effective = theoretical_fields(), {}
print("           side by the rule   measured   side of the square with half of the energy")
for name in ("stem", "block 2", "block 4", "block 7", "last"):
    seen = gradient_of_units(name)
    places = maps[name].shape[2]
    center = (places // 2 + 0.5) * SIDE / places
    distance = np.abs(np.indices(seen.shape) + 0.5 - center).max(axis=0)
    sides = np.arange(1, 2 * SIDE)
    within = np.array([seen[distance <= side / 2].sum() for side in sides]) / seen.sum()
    effective[name] = int(sides[np.argmax(within >= 0.5)])
    measured = int(seen.any(axis=0).sum())
    print(f"{name:9s} {fields[name]:17d} {measured:10d} {effective[name]:14d}")

    assert measured == min(fields[name], SIDE)
    assert effective[name] < fields[name] / 2

# %% [markdown]
# A unit of the last maps formally sees a square of 851 pixels, all of the photograph and more, and no theorem says that
# what it reports lies where it sits. In practice half of its energy comes from a much smaller square around it. Keep
# this in mind when a $7 \times 7$ map is laid over a photograph.
#
# ## Saliency: the gradient
#
# Near an image $x_0$, the score is about linear in the pixels,
#
# $$ s(x) \approx s(x_0) + \langle g, x - x_0 \rangle, \qquad g = \frac{\partial s}{\partial x}(x_0) , $$
#
# so $|g|$ says which pixels matter most *to small changes*. The *saliency map* (Simonyan et al. 2014) is
# $\max_c |g_{cij}|$ over the colors; one backward pass gives it. A check that $g$ is what we take it for: a small step
# along $g / \|g\|$ must change $s$ at the rate $\|g\|$.
#
# The maps look noisy. The network is nearly piecewise linear, with countless pieces, and the gradient jumps from one to
# the next. *SmoothGrad* (Smilkov et al. 2017) takes the mean of the maps of several noisy copies of the image.


# %%
def gradients(x, accepted):
    """One pass forward and backward: the last maps, and the gradients of the score for them and for the pixels."""
    pixels = ml.tensor(x, requires_grad=True)
    last = layers(pixels)["last"]
    to_maps, to_pixels = ml.grad(score(decide(last), accepted).sum(), [last, pixels])
    return last.detach(), to_maps, to_pixels.numpy()


def saliency(to_pixels):
    return np.abs(to_pixels).max(axis=1)


COPIES, SIGMA = (2 if FAST else 8), 0.15  # the deviation of the noise, as a share of the image's range
shown = ["espresso", "tripod"] if FAST else list(PHOTOGRAPHS)
explained, importance = {}, {}
print("           ‖g‖   by a small step")
for name in shown:
    x = images[name][None]
    last, to_maps, to_pixels = explained[name] = gradients(x, classes[name])
    noisy = x + rng.normal(0, SIGMA * np.ptp(x), (COPIES, *x.shape[1:])).astype(np.float32)
    importance[name] = {
        "saliency": saliency(to_pixels)[0],
        "SmoothGrad": saliency(gradients(noisy, classes[name])[2]).mean(axis=0),
    }
    length = float(np.linalg.norm(to_pixels))
    step = np.float32(0.004 / length) * to_pixels
    with ml.no_grad():
        before, after = score(model(ml.tensor(np.concatenate([x - step, x + step]))), classes[name]).numpy()
    rate = float(after - before) / 0.008
    print(f"{name:9s} {length:5.3f} {rate:9.3f}")

    assert abs(rate / length - 1) < 0.05

# %% [markdown]
# ## Occlusion: cover, and see
#
# The gradient speaks of infinitesimal changes. Zeiler and Fergus (2014) make large ones: cover a window of the image
# with gray and watch the answer. With $x_w$ for the image whose window $w$ is covered, let a pixel's importance be the
# mean, over all windows that cover it, of
#
# $$ \log P(x) - \log P(x_w) . $$
#
# No derivative, no access to the network's inside; but a forward pass for each window, and the window's size and what
# it is filled with are ours to choose.

# %%
WINDOW, STRIDE = (80, 72) if FAST else (64, 20)


def occlusion(x, accepted):
    total, count = np.zeros((SIDE, SIDE)), np.zeros((SIDE, SIDE))
    whole = probability(x[None], accepted)
    places = [slice(start, start + WINDOW) for start in range(0, SIDE - WINDOW + 1, STRIDE)]
    for rows in places:
        covered = np.repeat(x[None], len(places), axis=0)
        for copy, columns in zip(covered, places, strict=True):
            copy[:, rows, columns] = 0
        for columns, drop in zip(places, np.log(whole / probability(covered, accepted)), strict=True):
            total[rows, columns] += drop
            count[rows, columns] += 1
    return total / count


for name in shown:
    importance[name]["occlusion"] = occlusion(images[name], classes[name])
    print(f"{name:9s} greatest mean drop of log P: {importance[name]['occlusion'].max():.2f}")

assert FAST or importance["cat"]["occlusion"].max() < importance["tripod"]["occlusion"].max() / 5

# %% [markdown]
# The cat loses almost nothing, whatever is covered: it fills the picture, and every part of it says "cat" again. An
# importance map does not say that the rest would not have been enough.
#
# ## Grad-CAM: where the last maps speak for the class
#
# The last maps $A^k$ still have places, and already know what things are. Zhou et al. (2016) noted that in a network
# that ends as ours does, with a mean over the $Z$ places and a dense layer,
#
# $$ z_c = b_c + \sum_k w_{ck} \frac1Z \sum_{ij} A^k_{ij}
#        = b_c + \frac1Z \sum_{ij} M^c_{ij}, \qquad M^c_{ij} = \sum_k w_{ck} A^k_{ij} : $$
#
# the logit *is* the mean of a map over the places, the class activation map $M^c$. Other networks do not end so.
# Selvaraju et al. (2017) put a gradient in place of the weight,
#
# $$ \alpha^c_k = \frac1Z \sum_{ij} \frac{\partial z_c}{\partial A^k_{ij}}, \qquad
#    \text{Grad-CAM}^c = \mathrm{ReLU}\Big( \sum_k \alpha^c_k A^k \Big) , $$
#
# where the ReLU keeps what speaks *for* the class. In our network $\partial z_c / \partial A^k_{ij} = w_{ck} / Z$ at
# every place, so that $\alpha^c_k = w_{ck} / Z$, and Grad-CAM is $\mathrm{ReLU}(M^c) / Z$. Both statements are checked
# below. (For several classes $\partial s / \partial z_c = e^{z_c} / \sum_{c' \in C} e^{z_{c'}}$: their maps are
# averaged with these weights.)


# %%
def class_map(last, to_maps):
    """Grad-CAM before its ReLU, (N, 7, 7)."""
    return (to_maps.mean((2, 3), keepdim=True) * last).sum(1).numpy()


def enlarge(small, side=SIDE):
    return F.interpolate(ml.tensor(small[None, None]), size=(side, side), mode="bilinear").numpy()[0, 0]


for name in shown:
    importance[name]["Grad-CAM"] = enlarge(np.maximum(class_map(*explained[name][:2])[0], 0))

(c,) = classes["espresso"]
last, to_maps, _ = explained["espresso"]
by_weights = np.tensordot(model._fc.weight.numpy()[c], last.numpy()[0], axes=1)
by_gradients = class_map(last, to_maps)[0] * by_weights.size
logit, rebuilt = decide(last)[0, c].item(), model._fc.bias[c].item() + by_weights.mean()
cam_error = np.abs(by_gradients - by_weights).max() / np.abs(by_weights).max()
print(f"espresso: logit {logit:.4f}; bias and mean of the class activation map {rebuilt:.4f}")
print(f"the map by weights and by gradients: a relative difference of {cam_error:.0e}")

assert abs(logit - rebuilt) < 1e-3 and cam_error < 1e-4

# %% [markdown]
# ## Test 1: does the map lie on the thing?
#
# We marked by hand where the cup is, and where the camera on its tripod is. Of a map that knew nothing, a share would
# lie in the box that equals the box's share of the picture.

# %%
BOXES = {"espresso": (28, 0, 184, 176), "tripod": (100, 52, 180, 224)}  # left, top, right, bottom in pixels

inside = {}
for name, (left, top, right, bottom) in BOXES.items():
    for method, values in importance[name].items():
        positive = np.maximum(values, 0)
        inside[name, method] = float(positive[top:bottom, left:right].sum() / positive.sum())
    inside[name, "chance"] = (right - left) * (bottom - top) / SIDE**2
    listed = ", ".join(f"{method} {share:.0%}" for (of, method), share in inside.items() if of == name)
    print(f"{name:9s} share of the map in the box: {listed}")

assert inside["espresso", "Grad-CAM"] > 0.75 and inside["tripod", "Grad-CAM"] > 0.5
assert all(inside[name, "Grad-CAM"] > inside[name, "saliency"] > 0.9 * inside[name, "chance"] for name in BOXES)

# %% [markdown]
# A box leaves a doubt: perhaps the map only finds *things*, whatever we ask for. So put the four photographs into one
# picture of twice the size, which a network without a fixed size also takes, and ask for each class in turn. Now the
# map has to be somewhere else for each question; by chance a quarter would lie right. (Böhle et al. 2021 test maps in
# such grids.)

# %%
cat, espresso, tripod, rocket = images.values()
grid = np.concatenate([np.concatenate([cat, espresso], axis=2), np.concatenate([tripod, rocket], axis=2)], axis=1)
pixels = ml.tensor(grid[None], requires_grad=True)
last = layers(pixels)["last"]
logits, grid_maps = decide(last), {}
in_quarter = {"Grad-CAM": {}, "saliency": {}}
for (name, accepted), quarter in zip(classes.items(), np.ndindex(2, 2), strict=True):
    if name not in shown:
        continue
    to_maps, to_pixels = ml.grad(score(logits, accepted).sum(), [last, pixels], retain_graph=True)
    grid_maps[name] = np.maximum(class_map(last.detach(), to_maps)[0], 0)
    for method, values in (("Grad-CAM", grid_maps[name]), ("saliency", saliency(to_pixels.numpy())[0])):
        half = len(values) // 2
        in_quarter[method][name] = values.reshape(2, half, 2, half).sum(axis=(1, 3))[quarter] / values.sum()
for method, shares in in_quarter.items():
    print(f"{method} in the right quarter: " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items()))

assert min(in_quarter["Grad-CAM"].values()) > 0.7
assert all(in_quarter["Grad-CAM"][name] > in_quarter["saliency"][name] + 0.2 for name in shown)

# %% [markdown]
# ## Test 2: does the answer rest on it?
#
# Cover what the map calls most important, a fifth of the picture, and $P$ should fall; more than when *a region of the
# same shape* is covered elsewhere. We move the region about, around the border where need be, to places that share
# less than a quarter with it. The row "edges" is a map that has never asked the network: the steepness of the
# brightness.
#
# Why the same shape? Because gray tiles do something to the network by themselves. The last line of each table shows a
# trap: tiles scattered at random. They harm the espresso more than any region does, though each of them covers
# nothing in particular; no photograph that the network was trained on looks like that. (Hooker et al. 2019 therefore
# train again on covered images.) Compare with scattered tiles, and every map of the espresso looks worse than chance.

# %%
TILE, FIFTH, MOVES = 16, 39, (3 if FAST else 12)  # 39 of 14 × 14 tiles


def most_important(values):
    """The tiles (14, 14) that a map of pixels ranks highest."""
    tiles = values.reshape(SIDE // TILE, TILE, SIDE // TILE, TILE).mean(axis=(1, 3))
    return tiles >= np.sort(tiles, axis=None)[-FIFTH]


def covered(x, tiles):
    return np.where(np.kron(tiles, np.ones((TILE, TILE), bool)), np.float32(0), x)


def elsewhere(tiles):
    moved = [np.roll(tiles, shift, axis=(0, 1)) for shift in np.ndindex(tiles.shape)]
    far = [region for region in moved if (region & tiles).sum() < tiles.sum() / 4]
    return [far[i] for i in rng.choice(len(far), MOVES, replace=False)]


left_of_P = {}
for name in BOXES:
    x, accepted = images[name], classes[name]
    edges = np.hypot(*np.gradient(x.mean(axis=0)))
    print(f"{name}: P = {found[name]:.3f}             most important fifth covered   same shape elsewhere")
    for method, values in (importance[name] | {"edges": edges}).items():
        region = most_important(values)
        P = probability(np.stack([covered(x, tiles) for tiles in (region, *elsewhere(region))]), accepted)
        left_of_P[name, method] = float(P[0]), float(P[1:].mean())
        print(f"    {method:12s} {P[0]:38.3f} {P[1:].mean():15.3f} ± {P[1:].std(ddof=1):.3f}")
    scattered = [rng.permutation(most_important(edges).ravel()).reshape(14, 14) for _ in range(MOVES)]
    P = probability(np.stack([covered(x, tiles) for tiles in scattered]), accepted)
    left_of_P[name, "scattered"] = float(P.mean()), float(P.mean())
    print(f"    {'scattered':12s} {P.mean():38.3f}")

for name in BOXES:
    here, there = left_of_P[name, "Grad-CAM"]
    assert here < 0.7 * there

# %% [markdown]
# Grad-CAM and occlusion pass on both photographs, by far more than the spread; SmoothGrad on one, saliency on neither.
# But look at the edges: on the tripod they pass best of all. The tripod has steep edges, so whoever covers the steepest
# ones hits it, without knowing what a tripod is. Test 2 shows that an answer rests on a region, not that the map
# *knows* why.
#
# ## Test 3: does it depend on what was learned?
#
# A map that only outlines the objects in the picture looks convincing, and says nothing about the network. Adebayo et
# al. (2018) therefore replace the weights by random ones, from the last layer down to the first, one after another. A
# map that explains what the network has learned has to be destroyed by this. We measure how much is left by Spearman's
# correlation, the correlation of the ranks, with the map of the trained network; for Grad-CAM before its ReLU, which
# would make ties.
#
# Beside saliency and Grad-CAM we test *gradient × input*, $|g_{cij}\, x_{cij}|$, which is often drawn because it looks
# so much sharper.

# %%
STAGES = {
    "dense layer": ["_fc"],
    "last maps": ["_conv_head", "_bn1"],
    "block 15": ["_blocks.15"],
    "blocks 11–14": [f"_blocks.{i}" for i in range(11, 15)],
    "blocks 5–10": [f"_blocks.{i}" for i in range(5, 11)],
    "blocks 0–4": [f"_blocks.{i}" for i in range(5)],
    "stem": ["_conv_stem", "_bn0"],
}
DRAWS = 1 if FAST else 3


def ranks(values):
    return np.argsort(np.argsort(values, axis=None))


def three_maps(x, explained):
    last, to_maps, to_pixels = explained
    return {
        "Grad-CAM": class_map(last, to_maps)[0],
        "saliency": saliency(to_pixels)[0],
        "gradient × input": saliency(to_pixels * x)[0],
    }


trained = {key: value.clone() for key, value in model.state_dict().items()}
original = {name: three_maps(images[name], explained[name]) for name in shown}
left_of_map = {method: np.empty((len(STAGES), DRAWS, len(shown))) for method in original[shown[0]]}
randomized_maps = []  # of the tripod, in the first draw
for draw in range(DRAWS):
    model.load_state_dict(trained)
    ml.manual_seed(draw)
    fresh = models.efficientnet_lite0().state_dict()
    for i, layers_of_stage in enumerate(STAGES.values()):
        for path in layers_of_stage:
            prefix = f"{path}."
            part = {key.removeprefix(prefix): value for key, value in fresh.items() if key.startswith(prefix)}
            model.get_submodule(path).load_state_dict(part)
        for j, name in enumerate(shown):
            now = three_maps(images[name], gradients(images[name][None], classes[name]))
            for method, values in now.items():
                left_of_map[method][i, draw, j] = np.corrcoef(ranks(values), ranks(original[name][method]))[0, 1]
            if draw == 0 and name == "tripod":
                randomized_maps.append(now)
model.load_state_dict(trained)

print(f"random from the top down to   mean correlation with the trained network's map, {DRAWS * len(shown)} maps each")
print(" " * 26 + "  ".join(f"{method:>16s}" for method in left_of_map))
for i, stage in enumerate(STAGES):
    print(f"{stage:26s}" + "  ".join(f"{left_of_map[method][i].mean():16.2f}" for method in left_of_map))

assert np.abs(probability(images["tripod"][None], classes["tripod"])[0] - found["tripod"]) < 1e-6
last_stage = {method: float(values[-1].mean()) for method, values in left_of_map.items()}
assert last_stage["saliency"] < 0.25
assert FAST or abs(left_of_map["Grad-CAM"][2:].mean()) < 0.2 and abs(last_stage["Grad-CAM"]) < 0.25
assert all((left_of_map["gradient × input"] > left_of_map["saliency"]).mean(axis=(1, 2)) > 0.5)

# %% [markdown]
# Grad-CAM is gone once the last block is random. (With only the dense layer random something is left: any mixture of
# the last maps is larger where the maps are active at all.) What remains of saliency fades much more slowly, and of
# gradient × input, which keeps the input, the most remains. A map of edges would stand at 1.00 in every row. None of
# this shows in the look of a map.
#
# ## The pictures
#
# First: the filters and, for the espresso, those eight maps of each of four depths that vary most.


# %%
def bare(axes, image, title="", **settings):
    axes.imshow(image, **settings)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=9)


def visible(x):
    """A prepared image as pixels (H, W, 3) in [0, 1] again."""
    return np.clip((128 * x + 127) / 255, 0, 1).transpose(1, 2, 0)


figure = plt.figure(figsize=(13, 6), layout="constrained")
left, right = figure.subfigures(1, 2, width_ratios=(1, 2))
left.suptitle("the 32 first filters, the grayest first,\neach scaled to its largest weight (0 is gray)", fontsize=10)
panels = left.subplots(8, 4)
for axes, i in zip(panels.flat, np.argsort(-grayness), strict=True):
    bare(axes, 0.5 + 0.5 * (filters[i] / np.abs(filters[i]).max()).transpose(1, 2, 0))
right.suptitle("maps of the espresso: stem, block 4, block 10, and the last ones", fontsize=10)
for row, name in zip(right.subplots(4, 8), ("stem", "block 4", "block 10", "last"), strict=True):
    of_espresso = maps[name].numpy()[list(images).index("espresso")]
    for axes, i in zip(row, np.argsort(-of_espresso.var(axis=(1, 2)))[:8], strict=True):
        bare(axes, of_espresso[i], f"{name}: {i}", cmap="gray")
save_picture(figure, "13_filters_and_maps")

# %% [markdown]
# Then the four explanations of each photograph, with the boxes of test 1, and Grad-CAM for each class in the grid.

# %%
figure = plt.figure(figsize=(13, 2.6 * len(shown) + 3.2), layout="constrained")
upper, lower = figure.subfigures(2, 1, height_ratios=(len(shown), 1.15))
for row, name in zip(upper.subplots(len(shown), 5), shown, strict=True):
    bare(row[0], visible(images[name]), f"{name}: P = {found[name]:.2f}")
    if name in BOXES:
        x1, y1, x2, y2 = BOXES[name]
        row[0].add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color="white", linewidth=1.5))
    for axes, (method, values) in zip(row[1:], importance[name].items(), strict=True):
        if method in ("saliency", "SmoothGrad"):
            bare(axes, values, method, cmap="gray", vmax=np.quantile(values, 0.995))
        else:
            bare(axes, visible(images[name]).mean(axis=2), method, cmap="gray")
            axes.imshow(values, cmap="magma", alpha=0.6, vmin=0)
first, *others = lower.subplots(1, 1 + len(shown))
bare(first, visible(grid), "one picture, asked for …")
for axes, (name, values) in zip(others, grid_maps.items(), strict=True):
    bare(axes, visible(grid).mean(axis=2), f"{name}? {in_quarter['Grad-CAM'][name]:.0%} in its quarter", cmap="gray")
    axes.imshow(enlarge(values, 2 * SIDE), cmap="magma", alpha=0.6, vmin=0)
save_picture(figure, "13_explanations")

# %% [markdown]
# And the tests of covering and of random weights.

# %%
figure = plt.figure(figsize=(13, 7), layout="constrained")
upper, lower = figure.subfigures(2, 1, height_ratios=(1, 1))
bars, curves = upper.subplots(1, 2)
methods = [*importance["tripod"], "edges"]
for i, name in enumerate(BOXES):
    for offset, part in ((-0.2, 0), (0.2, 1)):
        heights = [left_of_P[name, method][part] for method in methods]
        label = ("most important fifth", "same shape elsewhere")[part] + f", {name}"
        places = np.arange(len(methods)) + i * (len(methods) + 1) + offset
        bars.bar(places, heights, 0.4, label=label, color=f"C{i}", alpha=(1, 0.4)[part])
bars.set(title="P after covering a fifth of the picture", ylim=(0, 1.45), yticks=np.arange(0, 1.1, 0.2))
bars.set_xticks([*range(len(methods)), *range(len(methods) + 1, 2 * len(methods) + 1)], 2 * methods, rotation=35)
bars.legend(ncols=2, fontsize=8, loc="upper center")
stages = np.arange(len(STAGES) + 1)
for (method, values), marker in zip(left_of_map.items(), "os^", strict=True):
    curves.plot(stages, [1, *values.mean(axis=(1, 2))], marker=marker, label=method)
curves.axhline(1, color="gray", linestyle="--", label="edges of the image")
curves.set(title="rank correlation with the trained network's map", ylim=(-0.5, 1.1))
curves.set_xticks(stages, ["trained", *STAGES], rotation=35, ha="right")
curves.grid(alpha=0.3)
curves.legend(fontsize=8)
lower.suptitle(
    "maps of the tripod, random from the top down to …: Grad-CAM before its ReLU (red +, blue −), and saliency",
    fontsize=10,
)
panels = lower.subplots(2, len(STAGES) + 1)
for column, title, values in zip(panels.T, ["trained", *STAGES], [original["tripod"], *randomized_maps], strict=True):
    limit = np.abs(values["Grad-CAM"]).max()
    bare(column[0], values["Grad-CAM"], title, cmap="coolwarm", vmin=-limit, vmax=limit)
    bare(column[1], values["saliency"], cmap="gray", vmax=np.quantile(values["saliency"], 0.995))
save_picture(figure, "13_tests")

# %% [markdown]
# ## Summary
#
# - The first filters of a trained network are edges in gray and contrasts of color; deeper units see far, but mostly
#   what is near.
# - Saliency is one gradient: sharp in place, noisy, and about small changes. Occlusion is about large ones, at the
#   price of many forward passes. Grad-CAM is coarse and specific to the class; in a network that ends with a mean and a
#   dense layer it takes the logit apart exactly.
# - A map is a measurement, and needs controls: chance, another class, the same shape elsewhere, a map that has never
#   asked the network, random weights. To look plausible is not one of them.
# - What a map calls unimportant may still be enough for the answer by itself: the cat survives every window.
#
# ## Exercises
#
# 1. Take the gradient at `block 7` or `block 10` instead of the last maps. The map gets finer; does it pass test 1 in
#    the grid?
# 2. Fill the occluding window with the mean color of the photograph, or with noise. Which of your conclusions change?
# 3. Multiply SmoothGrad's noise by 0.3 and by 3. Does it pass test 1 better? And test 3?
# 4. Leave out the ReLU of Grad-CAM and draw what speaks *against* "tripod". Where is it?
# 5. The astronaut is none of the 1,000 classes. What does the network say, and what does Grad-CAM show for it?

# %%
finish(
    f"Grad-CAM's share in the box: espresso {inside['espresso', 'Grad-CAM']:.0%} of the map in {inside['espresso', 'chance']:.0%} of the picture, tripod {inside['tripod', 'Grad-CAM']:.0%} in {inside['tripod', 'chance']:.0%}",
    f"in the right quarter of the grid: Grad-CAM at least {min(in_quarter['Grad-CAM'].values()):.0%}, saliency {min(in_quarter['saliency'].values()):.0%} to {max(in_quarter['saliency'].values()):.0%} (chance: 25 %)",
    *(
        f"{name}: P = {found[name]:.2f}; with the fifth that Grad-CAM ranks highest covered {left_of_P[name, 'Grad-CAM'][0]:.2f}, elsewhere {left_of_P[name, 'Grad-CAM'][1]:.2f}"
        for name in BOXES
    ),
    "all weights random: correlation with the trained map "
    + ", ".join(f"{method} {left:.2f}" for method, left in last_stage.items()),
)
