# %% [markdown]
# # 15  DeconvNet, SegNet, U-Net and FCN-8s: what comes back when the image has become small
#
# **Goal.** Train the four networks that gave segmentation its form, with the same number of parameters, for the same
# time, on the same scenes, and compare them on scenes whose digits and photographs none of them has seen: SegNet must
# reach a mean IoU of 0.85, U-Net 0.90. Find out where each errs, cut the ways by which details come back, one by one, to
# see what went through them, and learn what class weights, the Dice loss and the focal loss change and what they do not.
#
# **Needs.** Lesson 06 (batch norm, chance between seeds) and lesson 14 (FCN, transposed convolution, unpooling).
#
# **Time.** Three minutes on two cores.

# %%
import time

import numpy as np
from _lesson import FAST, finish, save_picture
from matplotlib import pyplot as plt

import minidl as ml
from minidl import functional as F
from minidl import models, nn, optim
from minidl.data.datasets import mnist5k
from minidl.data.scenes import TEST_PHOTOGRAPHS, TRAIN_PHOTOGRAPHS, Cutouts, Scenes, photograph_textures
from minidl.metrics import SegmentationMetrics, boundary_f
from minidl.vision import draw

# %% [markdown]
# ## Four answers to one question
#
# To know *what* is in an image, a network halves its maps again and again: the receptive field grows, the position is lost.
# To say *where* it is, the position must come back. Four papers of 2015 (SegNet's journal version is of 2017):
#
# | | on the way up | what crosses from the way down |
# |---|---|---|
# | **FCN-8s** (Long, Shelhamer and Darrell) | bilinear interpolation, partly learned | scores of strides 16 and 8, added |
# | **DeconvNet** (Noh, Hong and Han) | unpooling, transposed convolutions; in the middle a layer that sees everything | where each maximum was |
# | **SegNet** (Badrinarayanan, Kendall and Cipolla) | unpooling, convolutions | where each maximum was |
# | **U-Net** (Ronneberger, Fischer and Brox) | transposed convolutions of 2 × 2 | all maps of all levels, concatenated |
#
# How much crosses? Count it in bits for each pixel of the image. A stage at stride $s$ with $C$ maps has $C/s^2$ numbers for
# each pixel. U-Net hands over each, 32 bits. SegNet and DeconvNet hand over, for one in four, which of the four it was:
#
# $$ b_\text{U-Net} = 32 \sum_s C_s / s^2, \qquad b_\text{SegNet} = 2 \sum_s C_s / (4 s^2), \qquad
#    b_\text{FCN} = 32\, K \,(1/8^2 + 1/16^2) . $$
#
# We give each network about 390,000 parameters. They lie mostly in the deep, small maps; what a network costs in time lies in
# the large ones. SegNet and DeconvNet have one convolution for each stage, as in SegNet-Basic, the small network of its paper, not two or
# three: with two, in the same time, DeconvNet came to a mean IoU of 0.49 and here it is over 0.9. A deep network whose details
# come by switches alone takes long to begin to learn, and Noh and colleagues train theirs in two stages, on easy images first.

# %%
DIGITS = ("0", "1", "2")
CLASSES = len(DIGITS) + 1
WIDTHS = {
    "FCN-8s": (16, 32, 64, 64, 96),
    "DeconvNet": (16, 32, 64, 64),
    "SegNet": (16, 48, 96, 160),
    "U-Net": (8, 16, 32, 64, 96),
}
BUILDERS = {
    "FCN-8s": lambda: models.FCN8s(CLASSES, models.MiniVGG(widths=WIDTHS["FCN-8s"])),
    "DeconvNet": lambda: models.DeconvNet(CLASSES, 3, WIDTHS["DeconvNet"], depths=(1, 1, 1, 1), hidden=320, side=2),
    "SegNet": lambda: models.SegNet(CLASSES, 3, WIDTHS["SegNet"], depths=(1, 1, 1, 1)),
    "U-Net": lambda: models.UNet(CLASSES, 3, WIDTHS["U-Net"]),
}
NAMES = list(BUILDERS)
COLORS = dict(zip(NAMES, ("C7", "C1", "C0", "C2"), strict=True))
parameters = {name: sum(p.numel() for p in build().parameters()) for name, build in BUILDERS.items()}


def bits(widths, for_each):
    return sum(for_each * width / 4**level for level, width in enumerate(widths))


crossing = {
    "FCN-8s": 32 * CLASSES * (1 / 8**2 + 1 / 16**2),
    "DeconvNet": bits(WIDTHS["DeconvNet"], 2 / 4),
    "SegNet": bits(WIDTHS["SegNet"], 2 / 4),
    "U-Net": bits(WIDTHS["U-Net"][:-1], 32),
}
for name in NAMES:
    print(f"{name:9s} {parameters[name]:8,d} parameters; {crossing[name]:6.1f} bits per pixel cross")

assert max(parameters.values()) < 1.1 * min(parameters.values())
assert crossing["FCN-8s"] < crossing["SegNet"] < crossing["U-Net"] / 20

# %% [markdown]
# Positions and features, seen on a single map: one digit, and what each hands to the way up after two maxima. Unpooling puts
# the maxima where they were, so taking maxima again gives the same: $P(U(P(x))) = P(x)$, the outline is kept to the
# pixel. But of $x$ itself only one number in sixteen is left. Without the switches there is none at all to tell a place within
# a window; with the skip nothing is lost, and nothing is chosen.

# %%
pool, unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)
digits_train, digits_test = mnist5k()
digit = F.pad(digits_train.images[[int(np.flatnonzero(digits_train.labels.numpy() == 2)[0])]], (2, 2, 2, 2))
once, switches = pool(digit)
small, more_switches = pool(once)


def put_back(x):
    return unpool(unpool(x, more_switches), switches)


switched = put_back(small)
interpolated = F.interpolate(small, scale_factor=4, mode="bilinear")
kept = {"switches": (switched == digit).numpy(), "interpolation": (interpolated == digit).numpy()}
inside = digit.numpy() > 0
print(
    f"of {inside.sum()} pixels that are not black, unpooling has {kept['switches'][inside].sum()} to the bit, ", end=""
)
print(f"interpolation {kept['interpolation'][inside].sum()}")

assert np.array_equal(pool(pool(switched)[0])[0].numpy(), small.numpy())  # P(P(U(U(x)))) = x
assert (switched.numpy() > 0).sum() == (small.numpy() > 0).sum() and (switched.numpy() <= digit.numpy()).all()

# %% [markdown]
# ## Scenes
#
# Digits 0, 1 and 2 on photographs, 48 × 48 pixels. Three decisions have to do with our three minutes, and were made by
# measuring. With five digits, thin strokes and photographs at full contrast, 64 × 64 pixels, U-Net reached a mean IoU of 0.26 in
# the time it has here: it finds strokes but has not seen enough to read them. So there are three digits, each stroke is made
# solid (`gain=3`), and photographs are shown at half their brightness. What was not made easier is the split: no
# digit and no photograph of the test scenes is ever seen in training.
#
# All pixels are learned. In accuracies and IoUs, one pixel on either side of each outline is not counted, as in PASCAL
# VOC: there a pixel is part stroke and part background, and a stroke is so thin that these pixels would decide. Boundary F and
# the errors by distance do count them.

# %%
SIZE = 48
TRAIN, TEST, STEPS, BATCH = (64, 16, 2, 8) if FAST else (4000, 300, 800, 8)
photographs = [photograph_textures(names) for names in (TRAIN_PHOTOGRAPHS, TEST_PHOTOGRAPHS)]


def scenes(part, length, brightness=0.5, only=DIGITS, ignore_border=1, seed=0, **settings):
    """(images, truth): digits of the training part (0) or the test part (1) on photographs of that part."""
    digits = (digits_train, digits_test)[part]
    cutouts = Cutouts(digits.images.numpy()[:, 0], digits.labels.numpy(), digits.classes, only=only, gain=3)
    textures = [brightness * photograph for photograph in photographs[part]]
    made = Scenes(length, cutouts, textures, size=SIZE, ignore_border=ignore_border, seed=[seed, part], **settings)
    pictures, labels = made.semantic_pairs()[np.arange(length)]
    return pictures, labels.numpy()


LARGE = {"scale": (0.7, 0.95), "objects": (1, 2), "min_visible": 0.9}
images, truth = scenes(0, TRAIN, ignore_border=0, **LARGE)
test_images, test_truth = scenes(1, TEST, **LARGE)
whole_truth = scenes(1, TEST, ignore_border=0, **LARGE)[1]
counted = test_truth != 255
shares = np.bincount(test_truth[counted], minlength=CLASSES) / counted.sum()
print("pixels of the held-out scenes:", *(f"{n} {s:.1%}," for n, s in zip(("background", *DIGITS), shares, strict=True)),
      f"not counted {1 - counted.mean():.1%}")  # fmt: skip

assert images.shape == (TRAIN, 3, SIZE, SIZE) and np.array_equal(test_truth[counted], whole_truth[counted])
assert shares[0] > 0.5 and (shares > 0).all()

# %% [markdown]
# ## Equal time
#
# A step of each, measured in turns, so that whatever else the machine does hits all. U-Net gets a fixed number of steps, and the
# others as many as fit into the same time: then it does not matter how fast the machine is. All have AdamW and a one-cycle
# schedule over their own number of steps, with a largest rate of 0.0025: at 0.004 U-Net learned no better, and at 0.007 it took
# two digits for one to the end. Digits count twice as much as the background in the loss; the last part of this
# lesson says what that does.


# %%
def one_step(model, optimizer, loss, x, y):
    optimizer.zero_grad()
    value = loss(model(x), ml.tensor(y))
    value.backward()
    optimizer.step()
    return value


WEIGHTED = nn.CrossEntropyLoss(ml.tensor([1.0] + [2.0] * len(DIGITS)))


def step_seconds(rounds):
    """The median time of a step of each network."""
    built = {name: build() for name, build in BUILDERS.items()}
    optimizers = {name: optim.AdamW(model.parameters(), lr=1e-3) for name, model in built.items()}
    found = {name: [] for name in built}
    for _ in range(rounds):
        for name, model in built.items():
            start = time.perf_counter()
            one_step(model, optimizers[name], WEIGHTED, images[:BATCH], truth[:BATCH])
            found[name].append(time.perf_counter() - start)
    return {name: float(np.median(times)) for name, times in found.items()}


ml.manual_seed(0)
seconds_per_step = step_seconds(2 if FAST else 12)
steps = {name: max(1, round(STEPS * seconds_per_step["U-Net"] / seconds_per_step[name])) for name in NAMES}
if FAST:
    steps = dict.fromkeys(NAMES, STEPS)
for name in NAMES:
    print(f"{name:9s} {1000 * seconds_per_step[name]:5.1f} ms a step, so {steps[name]:5d} steps")


# %%
def learn(build, loss, x, y, count, rate, seed=0):
    """Train a new network for `count` steps; its losses come with it."""
    ml.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = build()
    optimizer = optim.AdamW(model.parameters(), lr=rate)
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=rate, total_steps=max(count, 2), pct_start=0.1, div_factor=5
    )
    losses, order = [], []
    for _ in range(count):
        if len(order) < BATCH:
            order = rng.permutation(len(x)).tolist()
        batch, order = np.array(order[:BATCH]), order[BATCH:]
        losses.append(one_step(model, optimizer, loss, x[batch], y[batch]).item())
        schedule.step()
    return model.eval(), losses


def scores(model, x, size=50):
    """(N, K, H, W): what the network in evaluation mode answers, batch by batch."""
    with ml.no_grad():
        return np.concatenate([model(x[i : i + size]).numpy() for i in range(0, len(x), size)])


RATE = 0.0025
networks, found, spent = {}, {}, {}
for name, build in BUILDERS.items():
    start = time.perf_counter()
    networks[name], losses = learn(build, WEIGHTED, images, truth, steps[name], RATE)
    spent[name] = time.perf_counter() - start
    found[name] = scores(networks[name], test_images).argmax(axis=1)
    print(f"{name:9s} trained for {spent[name]:5.1f} s; loss of the last 50 steps {np.mean(losses[-50:]):.3f}")

# %% [markdown]
# ## The table
#
# Pixel accuracy is what a network can get for nothing where most is background; mean accuracy counts each class the same, but
# a class may be painted over half of the image without harm to its own accuracy. IoU counts that too. Frequency weighting
# gives the background its large share back. Boundary F asks whether outlines lie within one pixel of the true ones, here with
# every pixel counted: once class by class, where a few pixels of a class that is not there at all cost the whole F of that
# class in that image, and once for objects against background, whichever digit they are called.

# %%
metrics = {name: SegmentationMetrics(CLASSES) for name in NAMES}
outlines, contours = {}, {}
print("           steps  epochs   pixel acc.   mean acc.   mIoU   freq. IoU   boundary F   of objects")
for name in NAMES:
    metrics[name].update(found[name], test_truth)
    outlines[name] = boundary_f(found[name], whole_truth, 1)
    contours[name] = boundary_f((found[name] > 0).astype(int), (whole_truth > 0).astype(int), 1)
    m = metrics[name]
    print(
        f"{name:9s} {steps[name]:6d} {steps[name] * BATCH / TRAIN:7.2f} {m.pixel_accuracy():12.1%} {m.mean_accuracy():11.1%} "
        f"{m.mean_iou():6.3f} {m.frequency_weighted_iou():11.3f} {outlines[name]:12.3f} {contours[name]:12.3f}"
    )
ious = {name: metrics[name].mean_iou() for name in NAMES}
stride8 = F.interpolate(
    F.avg_pool2d(ml.tensor((whole_truth[:, None] == np.arange(CLASSES)[:, None, None]).astype(np.float32)), 8),
    scale_factor=8,
    mode="bilinear",
).numpy()
limit = SegmentationMetrics(CLASSES)
limit.update(stride8.argmax(axis=1), test_truth)
print(f"the truth itself, averaged over 8 × 8 pixels and interpolated: mIoU {limit.mean_iou():.3f}")

assert all(np.isfinite(list(metrics[name].compute().values())).all() for name in NAMES)
if not FAST:
    assert ious["SegNet"] >= 0.85 and ious["U-Net"] >= 0.90
    assert contours["FCN-8s"] < min(contours[name] for name in NAMES[1:])

# %% [markdown]
# FCN-8s takes the cheapest steps and sees the most images, and is held back by its stride: its finest scores are 8 pixels
# apart, and many strokes are narrower. The line below the table shows what its grid can express if an oracle gives the scores. It is no
# strict limit, for scores may be larger or smaller than averages are; it is what to compare with.
#
# The other three are alike in IoU, and with one seed for each, by lesson 06's rule, a difference of a few points is no ranking
# (exercise 1). How many steps fit into the time is measured, and so differs a little from run to run as well.
#
# ## Where each errs
#
# Three kinds of errors: an object's pixel called background (missed), a background pixel called object (invented), and a digit
# taken for another (confused). And the share of wrong pixels by the distance to the nearest outline: how many pixels one may
# go in any direction before a window of that size holds two different classes.


# %%
def kinds(matrix):
    """Shares of all pixels: missed, invented, confused."""
    missed, invented = matrix[1:, 0].sum(), matrix[0, 1:].sum()
    confused = matrix[1:, 1:].sum() - np.trace(matrix[1:, 1:])
    return np.array([missed, invented, confused]) / matrix.sum()


def distances(labels, most):
    """For each pixel the smallest d such that the window of 2d + 1 around it holds two classes; most + 1 beyond."""
    x = ml.tensor(labels[:, None].astype(np.float32))
    result = np.full(labels.shape, most + 1)
    for d in range(most, 0, -1):
        highest, lowest = (F.max_pool2d(y, 2 * d + 1, stride=1, padding=d) for y in (x, -x))
        result[((highest + lowest) > 0).numpy()[:, 0]] = d
    return result


MOST = 8
far = distances(whole_truth, MOST)
by_kind = {name: kinds(metrics[name].matrix) for name in NAMES}
by_distance = {
    name: np.array([(found[name] != whole_truth)[far == d].mean() for d in range(1, MOST + 1)]) for name in NAMES
}
print("of all counted pixels   missed   invented   confused    wrong at 1, 3, 6 pixels from an outline")
for name in NAMES:
    print(f"{name:22s}", *(f"{share:9.2%}" for share in by_kind[name]), " " * 10,
          *(f"{by_distance[name][d - 1]:6.1%}" for d in (1, 3, 6)))  # fmt: skip

assert np.allclose([by_kind[name].sum() for name in NAMES], [1 - metrics[name].pixel_accuracy() for name in NAMES])
if not FAST:
    assert by_distance["FCN-8s"][2] > by_distance["U-Net"][2]

# %%
SHOWN = 5
worst = np.argsort(-sum((found[name] != whole_truth).mean(axis=(1, 2)) for name in NAMES))
chosen = [*range(3), *[n for n in worst if n > 2][: SHOWN - 3]]
colors = draw.palette(CLASSES)
rows = []
for number in chosen:
    rows += [test_images[number], draw.colorize(whole_truth[number], colors=colors)]
    rows += [draw.colorize(found[name][number], colors=colors) for name in NAMES]
titles = ["image", "truth", *(f"{name}\nmIoU {ious[name]:.2f}" for name in NAMES)]
figure = draw.panels(rows, titles + [None] * (len(rows) - len(titles)), columns=len(titles), side=1.7)
draw.legend(figure, ["background", *DIGITS], colors=colors)
figure.suptitle(f"Held-out scenes: the first 3, and the {SHOWN - 3} that are hardest for the four together")
save_picture(figure, "15_predictions")

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
base = np.zeros(len(NAMES))
for kind, color, shares_of in zip(
    ("missed", "invented", "confused"), ("C3", "C4", "C8"), np.array([by_kind[n] for n in NAMES]).T, strict=True
):
    left.bar(NAMES, 100 * shares_of, bottom=base, color=color, label=kind)
    base += 100 * shares_of
left.set(ylabel="% of the counted pixels", title="What is wrong")
left.legend()
for name in NAMES:
    right.plot(range(1, MOST + 1), 100 * by_distance[name], "o-", color=COLORS[name], label=name)
right.set(xlabel="pixels to the nearest outline", ylabel="% wrong", title="Where it is wrong")
right.grid(alpha=0.3)
right.legend()
save_picture(figure, "15_errors")

# %% [markdown]
# ## Cut the wires
#
# What went through the crossings? Take the trained networks, cut one crossing at a time, and label the scenes again.
#
# - SegNet and DeconvNet: each maximum goes to a random place of its window of 2 × 2. The values stay, their *positions* are gone.
# - U-Net: each map that crosses becomes its own mean, over images and places. What is gone is *where* each feature was, and
#   with it everything that differs between images.
# - FCN-8s: likewise, with the scores that cross.
#
# This asks what a trained network relies on. It does not ask what a network that is trained without the crossing could do.


# %%
def random_places(side, rng):
    """A hook for MaxUnpool2d: maxima of a map of this side go to random places of their windows."""

    def hook(module, inputs):
        x, indices = inputs
        if x.shape[-1] != side:
            return None
        rows, columns = np.divmod(indices.numpy(), 2 * side)
        row, column = rng.integers(0, 2, (2, *rows.shape))
        return x, ml.tensor((rows // 2 * 2 + row) * 2 * side + columns // 2 * 2 + column)

    return hook


def means_across(module, inputs):
    """A hook for U-Net's blocks on the way up: the first half of the maps has crossed."""
    (x,) = inputs
    half = x.shape[1] // 2
    return (F.cat([x[:, :half].mean((0, 2, 3), keepdim=True).expand(x.shape[0], half, *x.shape[2:]), x[:, half:]], 1),)


def mean_score(module, inputs, output):
    """A hook for FCN's scores."""
    return output.mean((0, 2, 3), keepdim=True).expand(*output.shape)


def cuts(name, model):
    """(stride, how to cut it) for each crossing; the cut can be taken back."""
    if name == "U-Net":
        return [
            (2**level, lambda b=b: b.register_forward_pre_hook(means_across))
            for level, b in enumerate(model.conv[::-1])
        ]
    if name == "FCN-8s":
        return [(s, lambda s=s: model.score[str(s)].register_forward_hook(mean_score)) for s in (8, 16)]
    hooks = ((2**level, random_places(SIZE // 2 ** (level + 1), np.random.default_rng(0))) for level in range(4))
    return [(stride, lambda hook=hook: model.unpool.register_forward_pre_hook(hook)) for stride, hook in hooks]


after_cut, pictures = {}, {}
example = chosen[0]
for name, model in networks.items():
    for stride, cut in cuts(name, model):
        handle = cut()
        labels = scores(model, test_images).argmax(axis=1)
        handle.remove()
        m = SegmentationMetrics(CLASSES)
        m.update(labels, test_truth)
        after_cut[name, stride] = m.mean_iou(), boundary_f(labels, whole_truth, 1)
        pictures[name, stride] = labels[example]
print("mIoU (boundary F) with one crossing cut, by the stride at which it is")
for name in NAMES:
    values = "  ".join(f"{s:2d}: {iou:.2f} ({f:.2f})" for (n, s), (iou, f) in after_cut.items() if n == name)
    print(f"{name:9s} uncut {ious[name]:.2f} ({outlines[name]:.2f})   {values}")

again = scores(networks["SegNet"], test_images).argmax(axis=1)
assert np.array_equal(again, found["SegNet"])  # the cuts are taken back

# %%
figure, axes = plt.subplots(1, 4, figsize=(13, 3.4), sharey=True, layout="constrained")
for panel, name in zip(axes, NAMES, strict=True):
    strides = [stride for n, stride in after_cut if n == name]
    panel.bar([str(s) for s in strides], [after_cut[name, s][0] for s in strides], color=COLORS[name])
    panel.axhline(ious[name], color="black", linestyle="--")
    panel.set(title=name, xlabel="stride of the crossing that is cut", ylim=(0, 1))
    panel.text(0.02, ious[name] + 0.02, "uncut", transform=panel.get_yaxis_transform())
axes[0].set_ylabel("mIoU on held-out scenes")
save_picture(figure, "15_cuts")

rows, titles = [digit[0], switched[0], interpolated[0].clip(0, 1)], ["a digit", "unpooled twice", "interpolated"]
rows += [test_images[example]]
titles += ["a held-out scene"]
for name, stride in (("SegNet", 1), ("SegNet", 8), ("U-Net", 1), ("U-Net", 8)):
    rows += [draw.colorize(pictures[name, stride], colors=colors)]
    titles += [f"{name},\ncut at stride {stride}"]
figure = draw.panels(rows, titles, side=1.6)
save_picture(figure, "15_positions_and_features")

# %% [markdown]
# The switches pass on positions and nothing else: without them each outline frays, the more the coarser the stride, for a
# maximum at stride 8 that is one place off is 8 pixels off in the image. But what the object is came by the deep way, and
# that is whole; no single cut is a disaster. FCN-8s lives on its scores of stride 8. And U-Net has handed over *what*
# along with *where*, so that the way up relies on maps that tell things apart: cut one that it uses, and digits are
# mistaken for each other or lost, cut another, and almost nothing happens. Which levels it uses is decided in training.
#
# So a switch is the cheaper wire and a skip the richer one. With 4 % of the bits, SegNet keeps up here, where an outline is
# a step in brightness and the maxima lie along it. What it cannot hand over is a detail that is not a maximum.
#
# ## Where most is background
#
# In the scenes of medicine or of the street what matters is often a few per cent of the pixels. Small digits on photographs at
# full brightness, of all ten kinds, and one question: digit or not?
#
# What does a loss ask for? Take a pixel that is an object with probability $p$, given all that the network can see, and let it
# answer $q$. The best answer minimizes the expected loss:
#
# - **Cross-entropy** $-p \log q - (1-p) \log(1-q)$: $q = p$. Label 1 where $p > \tfrac12$.
# - **With weight $w$ for objects**: set the derivative $-wp/q + (1-p)/(1-q)$ to 0, and
#   $q = wp / (wp + 1 - p)$, or $\operatorname{logit} q = \operatorname{logit} p + \log w$. Weights *move the threshold*, to
#   $p > 1/(1 + w)$.
# - **Focal** $-p (1-q)^\gamma \log q - (1-p) q^\gamma \log(1-q)$ is the same when object and background change places, so
#   $p = \tfrac12$ still gives $q = \tfrac12$, and the labels stay as they are; other answers move toward
#   $\tfrac12$ (below, by a search): less sure than they should be. What changes is which pixels the training is about.
# - **Dice**, $1 - 2\sum q y / (\sum q + \sum y)$, is not a sum over pixels. Raise $q_i$ by a little: expected, the numerator
#   grows by $2p_i$ and the denominator by 1, which pays if $2 p_i > D$, with $D$ the fraction as it stands. So every answer is
#   0 or 1, and the threshold is half of the Dice coefficient that is reached (Lipton, Elkan and Narayanaswamy 2014).

# %%
WEIGHT, GAMMA = 20.0, 2.0
p = np.linspace(0.01, 0.99, 99)
q = np.linspace(0.0005, 0.9995, 2000)[:, None]
expected = -p * (1 - q) ** GAMMA * np.log(q) - (1 - p) * q**GAMMA * np.log(1 - q)
answers = {
    "cross-entropy": p,
    f"weight {WEIGHT:.0f}": WEIGHT * p / (WEIGHT * p + 1 - p),
    f"focal, γ = {GAMMA:.0f}": q[expected.argmin(axis=0), 0],
}
for name, answer in answers.items():
    print(f"{name:14s} answers", *(f"{answer[int(round(100 * at)) - 1]:.2f}" for at in (0.05, 0.2, 0.5, 0.8, 0.95)),
          "where p is 0.05, 0.20, 0.50, 0.80, 0.95")  # fmt: skip

weighted = -WEIGHT * p * np.log(q) - (1 - p) * np.log(1 - q)
assert np.abs(q[weighted.argmin(axis=0), 0] - answers[f"weight {WEIGHT:.0f}"]).max() < 1e-3
focal = answers[f"focal, γ = {GAMMA:.0f}"]
assert (np.abs(focal - 0.5) <= np.abs(p - 0.5) + 1e-3).all() and abs(focal[49] - 0.5) < 1e-3

# %% [markdown]
# Four networks, the same but for the loss, each from the same start with the same batches.

# %%
RARE = {"scale": (0.25, 0.4), "objects": (1, 1), "brightness": 1.0, "only": None, "ignore_border": 0, "seed": 1}
LOSSES = {
    "cross-entropy": nn.CrossEntropyLoss(),
    f"weight {WEIGHT:.0f}": nn.CrossEntropyLoss(ml.tensor([1.0, WEIGHT])),
    f"focal, γ = {GAMMA:.0f}": nn.SoftmaxFocalLoss(gamma=GAMMA),
    "Dice": nn.SoftmaxDiceLoss(),
}
rare_images, rare_truth = scenes(0, TRAIN // 2, **RARE)
rare_test, rare_test_truth = scenes(1, TEST, **RARE)
rare_truth, is_object = (rare_truth > 0).astype(np.int64), rare_test_truth > 0
chance = {}
for name, loss in LOSSES.items():
    model, _ = learn(
        lambda: models.UNet(2, in_channels=3, widths=(8, 16, 32, 64)),
        loss,
        rare_images,
        rare_truth,
        2 if FAST else 200,
        0.004,
    )
    two = scores(model, rare_test)
    chance[name] = 1 / (1 + np.exp(two[:, 0] - two[:, 1]))


def precision_recall(labels):
    hits = (labels & is_object).sum()
    return hits / max(labels.sum(), 1), hits / is_object.sum()


def threshold_curve(chances):
    """(thresholds, precision, recall, Dice), pixels taken from the surest to the least sure."""
    order = np.argsort(-chances.ravel())
    hits, taken = np.cumsum(is_object.ravel()[order]), np.arange(1, order.size + 1)
    return chances.ravel()[order], hits / taken, hits / is_object.sum(), 2 * hits / (taken + is_object.sum())


print(
    f"objects are {is_object.mean():.1%} of the pixels: to say 'background' everywhere is {1 - is_object.mean():.1%} right"
)
print("                 pixel acc.   precision   recall     Dice   best Dice   at chance")
points, curves = {}, {}
for name, chances in chance.items():
    points[name] = precision_recall(chances > 0.5)
    curves[name] = threshold_curve(chances)
    thresholds, _, _, dices = curves[name]
    found_dice = 2 * ((chances > 0.5) & is_object).sum() / ((chances > 0.5).sum() + is_object.sum())
    print(f"{name:14s} {((chances > 0.5) == is_object).mean():12.1%} {points[name][0]:11.1%} {points[name][1]:8.1%} "
          f"{found_dice:8.3f} {dices.max():11.3f} {thresholds[dices.argmax()]:11.2f}")  # fmt: skip
thresholds, _, _, dices = curves["cross-entropy"]
plain = chance["cross-entropy"]
moved = precision_recall(plain > 1 / (1 + WEIGHT))
print(f"cross-entropy with the threshold 1/(1 + {WEIGHT:.0f}): precision {moved[0]:.1%}, recall {moved[1]:.1%}")
print(f"half of its best Dice is {dices.max() / 2:.2f}")

assert np.isfinite(list(points.values())).all() and 0.01 < is_object.mean() < 0.1
if not FAST:
    heavy = points[f"weight {WEIGHT:.0f}"]
    assert heavy[1] > points["cross-entropy"][1] + 0.1  # a weight buys recall
    assert np.abs(np.subtract(heavy, moved)).max() < 0.15  # as a lower threshold does
    assert abs(thresholds[dices.argmax()] - dices.max() / 2) < 0.15

# %% [markdown]
# The theory holds closely. The weighted network does what the unweighted one does with the threshold $1/(1+w)$: nearly all
# objects found, and two of three pixels it calls object are none. The unweighted one has the best Dice at about half
# of that Dice as threshold. Asked with the threshold ½ it finds few pixels or none so early in its training, and its pixel
# accuracy does not let anyone notice. Judged by their whole curves the networks are much closer than by their points: a
# loss chooses the point on a curve first of all. What it does to the curve itself, a point or ten of Dice here, would take
# seeds to say.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
shades = dict(zip(LOSSES, ("C0", "C3", "C4", "C2"), strict=True))
for name, answer in answers.items():
    left.plot(p, answer, color=shades[name], label=name)
half = dices.max() / 2
left.step([0, half, half, 1], [0, 0, 1, 1], color=shades["Dice"], label=f"Dice, if {2 * half:.2f} is reached")
left.axhline(0.5, color="black", linewidth=0.8, linestyle=":")
left.set(xlabel="chance p that the pixel belongs to an object", ylabel="best answer q", title="What each loss asks for")
left.legend(loc="lower right")
for name, (_, precision, recall, _) in curves.items():
    right.plot(recall[50::50], precision[50::50], color=shades[name], alpha=0.6)
    right.plot(*points[name][::-1], "o", color=shades[name], markersize=9, label=f"{name}, threshold ½")
right.plot(*moved[::-1], "s", color=shades["cross-entropy"], markersize=9, markerfacecolor="none",
           label=f"cross-entropy, threshold 1/{1 + WEIGHT:.0f}")  # fmt: skip
right.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title="What each loss gets")
right.grid(alpha=0.3)
right.legend(loc="lower left", fontsize=9)
save_picture(figure, "15_losses")

# %% [markdown]
# ## Summary
#
# - At equal parameters FCN-8s has the cheapest steps and takes the most of them, and errs around the outlines, which are
#   finer than its stride. DeconvNet, SegNet and U-Net bring positions back to the pixel, and err where digits are confused.
# - A switch is two bits for a maximum: a position. A skip is the whole map: position and meaning. Cut a switch, and outlines
#   fray; cut a skip that is used, and objects are mistaken.
# - Depth is not free: with two convolutions per stage DeconvNet had hardly begun to learn in the same time.
# - One figure is not enough: pixel accuracy praises the background, IoU hides outlines, boundary F is harsh to speckles.
# - Class weights move the threshold by $\log w$ and can be had after training; focal leaves it and makes the answers less
#   sure; Dice moves it to half of the Dice that is reached, and answers 0 or 1.
#
# ## Exercises
#
# 1. Train each network from five seeds. Which of the differences in the table are more than chance?
# 2. Give every network three times as many steps. Does the order change, and does FCN-8s pass the line below the table?
# 3. Train with `ignore_border=1` as well, so that the loss never sees an outline. What happens to IoU and to boundary F?
# 4. Train a U-Net whose crossing maps are cut from the start (keep the hook while training). Is its IoU as low as that of the
#    network that was cut afterwards?
# 5. Take the weighted network of the last part and subtract $\log w$ from its object scores. Which network does it become?

# %%
finish(
    f"mIoU on {TEST} held-out scenes: SegNet {ious['SegNet']:.3f}, U-Net {ious['U-Net']:.3f} (asserted: 0.85 and 0.90), "
    f"DeconvNet {ious['DeconvNet']:.3f}, FCN-8s {ious['FCN-8s']:.3f}",
    f"F of the outlines of objects: U-Net {contours['U-Net']:.3f}, SegNet {contours['SegNet']:.3f}, "
    f"DeconvNet {contours['DeconvNet']:.3f}, FCN-8s {contours['FCN-8s']:.3f}",
    f"weight {WEIGHT:.0f}: precision {points[f'weight {WEIGHT:.0f}'][0]:.1%}, recall {points[f'weight {WEIGHT:.0f}'][1]:.1%}; "
    f"cross-entropy at 1/{1 + WEIGHT:.0f}: {moved[0]:.1%}, {moved[1]:.1%}",
)
