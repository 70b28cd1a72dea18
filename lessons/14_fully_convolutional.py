# %% [markdown]
# # 14  From a classifier to a label for every pixel: FCN
#
# **Goal.** Turn a network that names the object in an image into one that names the class of every pixel (Long, Shelhamer
# and Darrell 2015): dense layers become convolutions, scores at every 32nd pixel are enlarged again, and skips bring back
# where things are. On the way: what a transposed convolution and an unpooling are, and what they are not.
#
# **Needs.** Lessons 05 (convolution), 06 (a convolutional network) and 11 (a trained network as the start of another).
#
# **Time.** The first full run trains twelve networks, which takes six to nine minutes on two cores, and keeps them in
# `lessons/output`; the next ones take half a minute.

# %%
from functools import cache, partial
from itertools import chain, repeat

import numpy as np
from _lesson import FAST, OUTPUT, finish, save_picture
from matplotlib import pyplot as plt

import minidl as ml
from minidl import functional as F
from minidl import models, nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.data.datasets import mnist5k
from minidl.data.scenes import TEST_PHOTOGRAPHS, TRAIN_PHOTOGRAPHS, Cutouts, Scenes, photograph_textures
from minidl.metrics import SegmentationMetrics, accuracy
from minidl.vision import draw

# %% [markdown]
# ## Enlarging: the transposed convolution
#
# A convolution is a linear map, $y = A x$, with a large and mostly empty matrix $A$. With a stride its result is smaller
# than what came in. The *transposed convolution* is $A^\top$: it takes something of the size of $y$ to something of the size
# of $x$, and it is what the backward pass of the convolution computes anyway. $A^\top$ is the *adjoint*, which means
#
# $$ \langle A x,\, y \rangle = \langle x,\, A^\top y \rangle \qquad \text{for all } x \text{ and } y. $$
#
# It is often called "deconvolution". That would be $A^{-1}$, and it is not: what a stride has thrown away is not there any
# more. We check both.


# %%
def inner(a, b):
    return (a * b).sum().item()


ml.manual_seed(0)
x, weight = ml.randn(1, 3, 12, 12, dtype=ml.float64), ml.randn(5, 3, 4, 4, dtype=ml.float64)
down = F.conv2d(x, weight, stride=2, padding=1)
y = ml.randn(*down.shape, dtype=ml.float64)
up = F.conv_transpose2d(y, weight, stride=2, padding=1)
adjoint_error = abs(inner(down, y) / inner(x, up) - 1)

there_and_back = F.conv_transpose2d(down, weight, stride=2, padding=1)
scale = inner(there_and_back, x) / inner(there_and_back, there_and_back)  # the best factor there is
conv_loss = ((x - scale * there_and_back).norm() / x.norm()).item()
print(f"⟨Ax, y⟩ and ⟨x, Aᵀy⟩ differ by {adjoint_error:.0e} of their size")
print(f"AᵀA x, times the factor that suits best, is still {conv_loss:.0%} away from x")

assert adjoint_error < 1e-12 and conv_loss > 0.3

# %% [markdown]
# ## Unpooling
#
# Max pooling takes the largest of each window and forgets where it was. If it is asked for the *indices*, unpooling can put
# each maximum back to its place, with zeros around it (DeconvNet and SegNet do so: lesson 15). For indices that are kept
# fixed, pooling is a linear map as well, "take these", and unpooling is its adjoint, "put there". One way round they do undo
# each other: what was put is found again. The other way round three quarters of the image are gone.

# %%
image = ml.rand(1, 1, 12, 12, dtype=ml.float64)
pooled, indices = F.max_pool2d(image, 2, return_indices=True)
y = ml.randn(*pooled.shape, dtype=ml.float64)
taken = image.flatten(2).take_along_dim(indices.flatten(2), 2)
unpooled = F.max_unpool2d(pooled, indices, 2)
unpool_error = abs(inner(taken, y.flatten(2)) / inner(image, F.max_unpool2d(y, indices, 2)) - 1)
kept = (unpooled != 0).sum().item() / image.numel()
print(f"⟨take x, y⟩ and ⟨x, put y⟩ differ by {unpool_error:.0e} of their size")
print(f"unpooled: {kept:.0%} of the pixels are back, the others are 0")

assert unpool_error < 1e-12 and kept == 0.25
assert np.array_equal(F.max_pool2d(unpooled, 2).numpy(), pooled.numpy())  # take(put(y)) = y
assert np.array_equal(unpooled.numpy()[unpooled.numpy() != 0], image.numpy()[unpooled.numpy() != 0])

# %% [markdown]
# ## Checkerboards
#
# A transposed convolution puts a copy of its kernel, times the value, at every $s$-th pixel and adds up where they overlap. Where
# $k$ is not a multiple of $s$, some pixels get more copies than others: with $k = 3$ and $s = 2$ one or two along each axis, so 1,
# 2 or 4 in all. A constant comes out as a checkerboard (Odena, Dumoulin and Olah 2016). With $k = 2s$ each pixel gets $2 \times 2$
# copies, and the *bilinear* kernel weights them so that they sum to 1: the layer begins as bilinear interpolation, and can
# be trained. (It is not safe from checkerboards once it is trained, but it does not start with one.)

# %%
constant = ml.ones(1, 1, 8, 8)
bilinear = nn.init.bilinear_(ml.zeros(1, 1, 4, 4))
boards = {
    "kernel 3, stride 2": F.conv_transpose2d(constant, ml.ones(1, 1, 3, 3) / 2.25, stride=2, padding=1),
    "kernel 4, stride 2": F.conv_transpose2d(constant, ml.ones(1, 1, 4, 4) / 4, stride=2, padding=1),
    "kernel 4, bilinear": F.conv_transpose2d(constant, bilinear, stride=2, padding=1),
}
for name, board in boards.items():
    inside = board.numpy()[0, 0, 2:-2, 2:-2]
    print(f"{name}: a constant 1 comes out between {inside.min():.2f} and {inside.max():.2f}")
small = ml.rand(1, 1, 8, 8)
enlarged = F.conv_transpose2d(small, bilinear, stride=2, padding=1).numpy()
interpolated = F.interpolate(small, scale_factor=2, mode="bilinear").numpy()
bilinear_error = np.abs(enlarged - interpolated)[..., 1:-1, 1:-1].max()
print(f"bilinear kernel against interpolation, away from the border: {bilinear_error:.0e}")

assert np.ptp(boards["kernel 3, stride 2"].numpy()[..., 2:-2, 2:-2]) > 1
assert np.ptp(boards["kernel 4, bilinear"].numpy()[..., 2:-2, 2:-2]) < 1e-6 and bilinear_error < 1e-6

# %% [markdown]
# ## Scenes
#
# Real handwritten digits of four classes on photographs, one or two in each scene, which tells for every pixel what it
# belongs to. Test scenes have other digits and other photographs than training scenes. Digits are large and written with a
# thick pen (a maximum over $3 \times 3$ pixels, and `gain=3`): we want to see what scores at every 32nd, 16th and 8th pixel can
# resolve, and a thin stroke falls between all of them. Few classes, and photographs at half their brightness, save training
# time. One pixel on either side of each outline has the label 255, *ignore*: it counts neither in the loss nor in the
# measure, as in PASCAL VOC.

# %%
DIGITS = ("0", "1", "2", "4")
CLASSES = 1 + len(DIGITS)
SIZE, SCALE = 96, (0.6, 0.95)
SEEDS, SINGLES, SCENES, TESTS = (1, 128, 64, 20) if FAST else (3, 4000, 4000, 200)
RATE, CLASSIFIER_STEPS = 4e-3, 4 if FAST else 375
STEPS = {"FCN-32s": 3, "FCN-16s": 3, "FCN-8s": 3} if FAST else {"FCN-32s": 250, "FCN-16s": 400, "FCN-8s": 1200}

digits = dict(zip(("train", "test"), mnist5k(), strict=True))
photographs = {"train": photograph_textures(TRAIN_PHOTOGRAPHS), "test": photograph_textures(TEST_PHOTOGRAPHS)}


def scenes(part, count, most, seed):
    """`count` scenes with 1 … `most` digits each; part: "train" or "test"."""
    pen = F.max_pool2d(digits[part].images, 3, stride=1, padding=1).numpy()[:, 0]
    cutouts = Cutouts(pen, digits[part].labels.numpy(), digits[part].classes, only=DIGITS, gain=3)
    textures = [0.5 * photograph for photograph in photographs[part]]
    return Scenes(
        count, cutouts, textures, size=SIZE, scale=SCALE, objects=(1, most), min_visible=0.8, ignore_border=1,
        seed=(seed, ("train", "test").index(part)),
    )  # fmt: skip


def single_objects(scenes):
    """A data set for classification: the images, and the class of the one object in each, from 0."""
    found = [(scene["image"].numpy(), scene["labels"].numpy()[0] - 1) for scene in scenes]
    images, labels = zip(*found, strict=True)
    return TensorDataset(np.stack(images), np.array(labels))


test_scenes = scenes("test", TESTS, 2, seed=0)
test_pairs = test_scenes.semantic_pairs()
shown = [test_scenes[i] for i in range(4)]
counts = np.bincount(np.concatenate([scene["semantic"].numpy().ravel() for scene in shown]), minlength=256)
print("photographs for training:", ", ".join(TRAIN_PHOTOGRAPHS))
print("photographs for testing: ", ", ".join(TEST_PHOTOGRAPHS))
print(
    f"of the pixels of four scenes, background {counts[0] / counts.sum():.0%}, ignored {counts[255] / counts.sum():.0%}"
)

assert not set(TRAIN_PHOTOGRAPHS) & set(TEST_PHOTOGRAPHS)

# %% [markdown]
# ## The classifier, and its dense layers as convolutions
#
# The network below names the one digit in an image of 96 × 96. Five times it halves its maps, so `features` give 3 × 3 units
# with 128 channels, and the first dense layer sees all of them: $128 \cdot 3 \cdot 3$ numbers. A dense layer on $C \times k \times k$ maps
# *is* a convolution with a kernel of $k \times k$: the same products, the same sums. Those that follow are $1 \times 1$.
# `models.convolutionalize` copies the weights. On an image of the same size, the scores are the same; on a larger one,
# there are scores at every 32nd pixel, at the cost of one pass.


# %%
class Classifier(nn.Module):
    """stem /4, then stages of two convolutions at strides 4, 8, 16 and 32; two dense layers."""

    def __init__(self, widths=(24, 48, 96, 128, 128), num_classes=CLASSES - 1):
        super().__init__()
        stem = nn.Sequential(*self.convolution(3, widths[0], 5, stride=2), nn.MaxPool2d(2))
        self.features = nn.Sequential(stem, self.stage(widths[0], widths[1]))
        for before, width in zip(widths[1:-1], widths[2:], strict=True):
            self.features.append(nn.Sequential(nn.MaxPool2d(2), *self.stage(before, width)))
        side = SIZE // 32
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(widths[-1] * side**2, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, num_classes)
        )

    def stage(self, before, width):
        return nn.Sequential(*self.convolution(before, width, 3), *self.convolution(width, width, 3))

    def convolution(self, before, width, kernel, stride=1):
        layer = nn.Conv2d(before, width, kernel, stride=stride, padding=kernel // 2, bias=False)
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        return layer, nn.BatchNorm2d(width), nn.ReLU()

    def forward(self, x):
        return self.classifier(self.features(x))


def learn(name, model, make_data, loss_fn, steps, batch_size, seed):
    """AdamW, the rate up and down again. Returns the loss of each step; what an earlier run has learned is loaded.

    Whoever changes this lesson should delete `lessons/output/14_networks`.
    """
    kept = OUTPUT / f"14_networks/{name}_{steps}_steps_seed_{seed}.safetensors"
    if kept.exists():
        state = ml.load(kept)
        losses = state.pop("losses")
        model.load_state_dict(state)
        return losses.numpy()

    loader = DataLoader(make_data(), batch_size, shuffle=True, drop_last=True, generator=ml.Generator(seed))
    optimizer = optim.AdamW(model.parameters(), lr=RATE)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=RATE, total_steps=steps, pct_start=0.2)
    losses = []
    model.train()
    for _, (images, targets) in zip(range(steps), chain.from_iterable(repeat(loader)), strict=False):
        loss = loss_fn(model(images), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    if not FAST:
        kept.parent.mkdir(parents=True, exist_ok=True)
        ml.save({**model.state_dict(), "losses": ml.tensor(losses)}, kept)
    return np.array(losses)


def classification(part, count, seed):
    return single_objects(scenes(part, count, 1, seed))


def train_classifier(seed):
    ml.manual_seed(seed)
    model = Classifier()
    make_data = partial(classification, "train", SINGLES, 10 + seed)
    learn("classifier", model, make_data, F.cross_entropy, CLASSIFIER_STEPS, 32, seed)
    return model.eval()


single_test = classification("test", TESTS, 10)
classifier = train_classifier(seed=0)
converted = models.convolutionalize(classifier)
image = single_test[:4][0]
wide = ml.tensor(np.concatenate([scene["image"].numpy() for scene in shown[:3]], axis=2)[None])
with ml.no_grad():
    found = accuracy(classifier(single_test[:][0]), single_test[:][1])
    scores, same, score_map = classifier(image), converted(image), converted(wide)
identity_error = ((scores - same[..., 0, 0]).abs().max() / scores.abs().max()).item()
print(f"the classifier is right on {found:.0%} of {TESTS} images with other digits and other photographs")
print(f"image of {tuple(image.shape[-2:])}: scores {tuple(same.shape[-2:])}, the classifier's to {identity_error:.0e}")
print(f"image of {tuple(wide.shape[-2:])}: scores {tuple(score_map.shape[-2:])}")

assert identity_error < 1e-6 and score_map.shape[-2:] == (1, wide.shape[-1] // 32 - 2)

# %% [markdown]
# ## FCN-32s, FCN-16s, FCN-8s
#
# So a classifier already gives a coarse map of scores. The rest of the paper is about getting from there to every pixel:
#
# - **FCN-32s** replaces the last layer by one that scores the classes *and background*, and enlarges by 32.
# - **FCN-16s** doubles these scores only (a transposed convolution that begins as bilinear interpolation), adds scores read off
#   the maps of stride 16, and enlarges by 16. Those maps know less about what is there and more about where.
# - **FCN-8s** does it once more with the maps of stride 8.
#
# Scores of a skip begin at 0 and names agree, so each network starts where the one before it ended, which is how they are
# trained: in stages. The three seeds have scenes, start and order of their own.

# %%
STAGES = {"FCN-32s": models.FCN32s, "FCN-16s": models.FCN16s, "FCN-8s": models.FCN8s}


def pixel_loss(scores, truth):
    return F.cross_entropy(scores, truth, ignore_index=255)


def measure(model):
    """All metrics on the test scenes."""
    metrics = SegmentationMetrics(CLASSES)
    model.eval()
    with ml.no_grad():
        for images, truth in DataLoader(test_pairs, 25):
            metrics.update(model(images), truth)
    return metrics


results, curves, networks = {name: [] for name in STAGES}, [], {}
for seed in range(SEEDS):
    trunk = classifier if seed == 0 else train_classifier(seed)
    make_data = cache(scenes("train", SCENES, 2, seed).semantic_pairs)
    model, losses = None, []
    for name, build in STAGES.items():
        finer = build(CLASSES, trunk if model is None else Classifier())
        if model is not None:
            finer.load_state_dict(model.state_dict(), strict=False)
        losses.append(learn(name, finer, make_data, pixel_loss, STEPS[name], 16, seed))
        results[name].append(measure(finer))
        print(f"seed {seed}: {name:7s} mean IoU {results[name][-1].mean_iou():.3f}")
        model = finer
        if seed == 0:
            networks[name] = finer
    curves.append(losses)

# %%
MEASURES = ("pixel_accuracy", "mean_accuracy", "mean_iou", "frequency_weighted_iou")
print("mean over the seeds (lowest … highest mean IoU)")
print("          " + "".join(f"{name.replace('_', ' '):>24s}" for name in MEASURES))
for name, found in results.items():
    means = [np.mean([getattr(metrics, measure)() for metrics in found]) for measure in MEASURES]
    reach = [metrics.mean_iou() for metrics in found]
    print(f"{name:10s}" + "".join(f"{mean:24.3f}" for mean in means), f"  ({min(reach):.3f} … {max(reach):.3f})")

ious = {name: np.array([metrics.mean_iou() for metrics in found]) for name, found in results.items()}
if not FAST:
    assert (ious["FCN-8s"] > ious["FCN-16s"]).all() and (ious["FCN-16s"] > ious["FCN-32s"]).all()
    assert ious["FCN-8s"].mean() >= 0.85

# %% [markdown]
# Pixel accuracy flatters: to call everything background would be right in most pixels already. Mean IoU asks for each class
# what share of the pixels that are this class, or are called so, are both.
#
# How much of it is the grid? A network of stride $s$ gives $1/s^2$ of the scores, and interpolates. Suppose it knew the exact share of
# each class in each block of $s \times s$ pixels: what would its mean IoU be?

# %%
truth = np.stack([scene["semantic"].numpy() for scene in map(test_scenes.__getitem__, range(TESTS))])
shares = F.one_hot(ml.tensor(np.where(truth == 255, 0, truth)), CLASSES).permute(0, 3, 1, 2).to(ml.float32)
grids = {}
for name, stride in zip(STAGES, (32, 16, 8), strict=True):
    guess = F.interpolate(F.avg_pool2d(shares, stride), scale_factor=stride, mode="bilinear")
    grids[name] = SegmentationMetrics(CLASSES)
    grids[name].update(guess, truth)
    print(f"stride {stride:2d}: {grids[name].mean_iou():.3f} from exact shares, {name} {ious[name].mean():.3f}")

# %% [markdown]
# Scores may do better than shares: where a network makes them steep enough, the outline that interpolation draws lies between the
# units of the grid. But the order is the grid's: FCN-32s has 3 × 3 units for the whole image, FCN-8s 12 × 12.
#
# ## Pictures
#
# First the enlargements: a constant through three kernels, and what unpooling brings back of a digit.

# %%
plt.rcParams.update({"axes.titlesize": 10, "font.size": 9})
figure, axes = plt.subplots(1, 6, figsize=(15, 2.9), layout="constrained")
for ax, (name, board) in zip(axes, boards.items(), strict=False):
    ax.imshow(board.numpy()[0, 0], cmap="gray", vmin=0, vmax=1.8)
    ax.set_title(f"a constant through\n{name}")
digit = F.pad(digits["test"].images[:1], (2, 2, 2, 2))
small, where = F.max_pool2d(digit, 4, return_indices=True)
for ax, picture, name in zip(
    axes[3:], (digit, F.max_unpool2d(small, where, 4), F.interpolate(small, scale_factor=4, mode="bilinear")),
    ("a digit, 32 × 32", "max pooled by 4, and\nunpooled", "max pooled by 4, and\ninterpolated"), strict=True,
):  # fmt: skip
    ax.imshow(picture.numpy()[0, 0], cmap="gray")
    ax.set_title(name)
for ax in axes:
    ax.set_axis_off()
save_picture(figure, "14_enlarging")

# %% [markdown]
# Then the classifier as a convolution: three scenes side by side, and at every 32nd pixel the probability of each class,
# from one pass. It was never told where anything is.

# %%
probabilities = score_map.softmax(1).numpy()[0]
figure, axes = plt.subplots(5, 1, figsize=(6, 11), layout="constrained")
draw.show(axes.flat[0], wide.numpy()[0], "the image, 96 × 288")
for ax, name, probability in zip(axes.flat[1:], DIGITS, probabilities, strict=True):
    ax.imshow(wide.numpy()[0].mean(0), cmap="gray", vmin=0, vmax=1, extent=(0, wide.shape[-1], SIZE, 0))
    extent = (SIZE / 2 - 16, wide.shape[-1] - SIZE / 2 + 16, SIZE, 0)
    ax.imshow(probability, cmap="viridis", vmin=0, vmax=1, alpha=0.5, extent=extent)
    ax.set(title=f"probability of {name}", xlim=(0, wide.shape[-1]))
    ax.set_axis_off()
save_picture(figure, "14_classifier_as_convolution")

# %% [markdown]
# At last the three networks on test scenes, the loss while they were trained one after the other, and the IoU of each class.

# %%
images, truth = test_pairs[:4]
with ml.no_grad():
    answers = {name: network.eval()(images).argmax(1).numpy() for name, network in networks.items()}
rows, colors = [], draw.palette(CLASSES)
for i in range(len(images)):
    maps = [truth.numpy()[i], *(answer[i] for answer in answers.values())]
    rows += [images.numpy()[i], *(draw.colorize(each, colors=colors) for each in maps)]
figure = draw.panels(rows, ["image", "truth", *STAGES], columns=5, side=2.2)
draw.legend(figure, test_scenes.classes, colors=colors)
save_picture(figure, "14_fully_convolutional")

figure, (loss_ax, bar_ax) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
start = 0
for name, losses in zip(STAGES, zip(*curves, strict=True), strict=True):
    window = np.ones(min(20, len(losses[0]))) / min(20, len(losses[0]))
    for number, each in enumerate(losses):
        smooth = np.convolve(each, window, mode="valid")
        label = name if number == 0 else None
        loss_ax.plot(
            start + np.arange(len(smooth)), smooth, color=f"C{list(STAGES).index(name)}", alpha=0.7, label=label
        )
    start += len(losses[0])
loss_ax.set(title="loss in training, one line per seed", xlabel="step", ylabel="cross-entropy of a pixel", yscale="log")
for number, (name, found) in enumerate(results.items()):
    per_class = np.array([metrics.ious() for metrics in found])
    at = np.arange(CLASSES) + (number - 1) * 0.27
    reach = (per_class.mean(0) - per_class.min(0), per_class.max(0) - per_class.mean(0))
    bar_ax.bar(at, per_class.mean(0), 0.25, yerr=reach, capsize=2, label=f"{name}, mean {ious[name].mean():.2f}")
bar_ax.set(title="IoU on test scenes, mean and range of the seeds", ylim=(0, 1.25))
bar_ax.set_xticks(np.arange(CLASSES), test_scenes.classes)
for ax in (loss_ax, bar_ax):
    ax.legend(frameon=False, loc="upper right", ncol=1 if ax is loss_ax else 3, fontsize=8.5)
    ax.grid(alpha=0.3)
save_picture(figure, "14_stages")

# %% [markdown]
# ## Summary
#
# - A dense layer on $k \\times k$ maps is a convolution of $k \\times k$. So a classifier can be slid over an image of any size in one pass.
# - A transposed convolution is the adjoint of a convolution, unpooling the adjoint of taking the maxima. Neither brings back what
#   was thrown away.
# - With a kernel that is no multiple of the stride it draws checkerboards; the bilinear kernel is a good start.
# - Deep maps know what, early maps know where. FCN-8s adds their scores, and is trained from FCN-32s in stages.
#
# ## Exercises
#
# 1. Train FCN-8s from the classifier at once, with as many steps as the three stages have. What do stages bring here?
# 2. Take thin strokes (no maximum, `gain=1`) or small digits (`SCALE`). What do exact shares reach at each stride, and what does FCN-8s?
# 3. Add a skip at stride 4: FCN-4s. `models.fcn` tells how the others do it.
# 4. `models.FCN8s(..., learn_last=True)` learns the last enlargement too. Look for checkerboards in its scores.
# 5. Feed an image of 160 × 250. Why does it work, and where would a border of zeros show?

# %%
finish(
    *(
        f"{name}: mean IoU {found.mean():.3f}, seeds {found.min():.3f} … {found.max():.3f}"
        for name, found in ious.items()
    ),
    f"a classifier as a convolution differs by {identity_error:.0e}; adjoints by {max(adjoint_error, unpool_error):.0e}",
)
