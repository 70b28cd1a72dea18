# %% [markdown]
# # 10  Augmentation: more images from the same ones
#
# **Goal.** Teach LeNet-5 to read digits from 10 to 100 images of each class, and make more of them by moving, covering
# and mixing those that there are. We measure, over several seeds, what each transform is worth; find the ones that
# do harm; and show why they do.
#
# **Needs.** Lessons 04 (cross-entropy) and 06 (LeNet-5, what chance alone does to a result).
#
# **Time.** Two to three minutes on two cores.

# %%
import numpy as np
from _lesson import FAST, finish, save_picture
from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle

import minidl as ml
from minidl import functional as F
from minidl import models, optim
from minidl.data import DataLoader, Subset, TransformedDataset, default_collate
from minidl.data import transforms as T
from minidl.data.datasets import lfw_subset, mnist5k, photographs
from minidl.metrics import accuracy, confusion_matrix
from minidl.training import fit

# %% [markdown]
# ## The idea
#
# A seven that is turned by five degrees is a seven. We know that, and a network that has seen ten sevens does not. One
# can build such knowledge into the architecture, as convolution does for shifts (lesson 06). Or one can show it:
# instead of the loss at the images themselves, minimize the loss over what they might have been,
#
# $$ \min_\theta \; \frac1n \sum_{i=1}^{n} E_T \left[ L\big( f_\theta(T x_i),\, y_i \big) \right] , $$
#
# where $T$ is drawn anew each time an image is used. Every image stands for a cloud of images around it (the *vicinal
# risk* of Chapelle et al. 2000). LeNet-5 was trained on distorted digits too, which brought its errors from 0.95 % to
# 0.8 % (LeCun et al. 1998); AlexNet's authors (Krizhevsky et al. 2012) crop and mirror every photograph, and report
# that without this their network overfits so much that it would have had to be far smaller.
#
# The label stays as it is. So each transform is a *claim*: that what it changes does not matter to the answer. The
# claim can be false, and then the network learns something false.
#
# ## What the cloud does: noise is a regularizer
#
# For one model the expectation can be computed. Let it be linear, the loss squared, and add noise of variance $\sigma^2$
# to every pixel, independently. Since $E[\epsilon] = 0$ and $E[(w^T \epsilon)^2] = \sigma^2 \|w\|^2$,
#
# $$ \frac1n \sum_i E\left[ (w^T (x_i + \epsilon) - y_i)^2 \right]
#    = \frac1n \sum_i (w^T x_i - y_i)^2 + \sigma^2 \|w\|^2 , $$
#
# which is ridge regression, and has the solution $(X^T X + n \sigma^2 I)\, w = X^T y$. To train with noise is to prefer
# small weights (Bishop 1995). Let us see it on real digits: threes against eights, 20 images of 7 × 7 pixels, first with
# thousands of noisy copies and then in closed form.

# %%
pool, test_set = mnist5k(test_fraction=0.5, seed=0)  # 250 of each class to draw from, 250 to test on


def three_or_eight(data, count):
    """So many images of 7 × 7 as rows, and +1 for an eight, −1 for a three."""
    chosen = np.flatnonzero(np.isin(data.labels.numpy(), [3, 8]))[:count]
    small = T.Resize(7)(data.images[chosen]).numpy()
    return small.reshape(len(chosen), 49), np.where(data.labels.numpy()[chosen] == 8, 1.0, -1.0)


SIGMA, COPIES = 0.2, 5_000
X, y = three_or_eight(pool, 20)
X_new, y_new = three_or_eight(test_set, 500)

noise = T.GaussianNoise(sigma=SIGMA, clip=False, generator=ml.Generator(0))
noisy = noise(np.tile(X.astype(np.float64), (COPIES, 1))[None])[0]
w_noisy = np.linalg.lstsq(noisy, np.tile(y, COPIES), rcond=None)[0]
w_ridge = np.linalg.solve(X.T @ X + len(X) * SIGMA**2 * np.eye(49), X.T @ y)
w_plain = np.linalg.lstsq(X, y, rcond=None)[0]

noise_error = np.linalg.norm(w_noisy - w_ridge) / np.linalg.norm(w_ridge)
read = {name: np.mean(np.sign(X_new @ w) == y_new) for name, w in (("plain", w_plain), ("noisy", w_noisy))}
print(f"{COPIES:,} noisy copies of each image against ridge regression: the weights differ by {noise_error:.1%}")
print(f"length of the weights: without noise {np.linalg.norm(w_plain):.2f}, with noise {np.linalg.norm(w_noisy):.2f}")
print(f"new threes and eights told apart: without noise {read['plain']:.1%}, with noise {read['noisy']:.1%}")

assert noise_error < 0.05
assert np.linalg.norm(w_noisy) < 0.7 * np.linalg.norm(w_plain)
assert read["noisy"] > read["plain"]

# %% [markdown]
# For a network and for other transforms there is no such formula, but the picture remains: to be right on the whole
# cloud is harder than to be right at its center, and leaves fewer solutions.
#
# ## Moving pixels
#
# A geometric transform is a map of *points*, $p' = A p + b$. To fill a new image, one goes the other way: each new
# pixel asks where it comes from, $p = A^{-1} (p' - b)$, and takes a mean of the four pixels around that point, each with
# the weight $(1 - |\Delta x|)(1 - |\Delta y|)$. (Going forward would leave holes.) A turn about the center by hand, where
# pixel $(i, j)$ has its center at $y = i + \frac12$, $x = j + \frac12$, and $y$ points down:


# %%
def turn(image, degrees):
    """A gray image (H, W), turned counter-clockwise."""
    height, width = image.shape
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = np.indices(image.shape)
    x, y = j + 0.5 - width / 2, i + 0.5 - height / 2  # from the center
    old_x, old_y = cos * x - sin * y + width / 2 - 0.5, sin * x + cos * y + height / 2 - 0.5
    left, top = np.floor(old_x).astype(int), np.floor(old_y).astype(int)
    turned = np.zeros(image.shape)
    for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        weight = (1 - np.abs(old_x - column)) * (1 - np.abs(old_y - row))
        turned[inside] += weight[inside] * image[row[inside], column[inside]]
    return turned


example = pool.images[int(np.flatnonzero(pool.labels.numpy() == 7)[0])].numpy()
turn_error = max(
    np.abs(turn(example[0], angle) - T.RandomRotation((angle, angle), "bilinear")(example)[0]).max()
    for angle in (-70, 15, 30, 200)
)
print(f"a digit turned by hand and by minidl: the pixels differ by at most {turn_error:.0e}")

assert turn_error < 1e-6

# %% [markdown]
# What belongs to the image must move with it. A transform of minidl makes all random choices first and then applies
# them to whatever a sample has: to the image; to masks, where only the nearest pixel is taken, since half a class is no
# class; and to boxes, by their corners. Two digits on a photograph of bricks:

# %%
scene = 0.5 * np.repeat(photographs("brick")[:, 100:160, 100:180], 3, axis=0)
masks = np.zeros((2, 60, 80), bool)
for mask, label, color, top, left in zip(masks, (7, 2), ([1, 1, 0], [0, 1, 1]), (4, 28), (6, 44), strict=True):
    digit = pool.images[int(np.flatnonzero(pool.labels.numpy() == label)[0])].numpy()[0]
    mask[top : top + 28, left : left + 28] = digit > 0.5
    piece = scene[:, top : top + 28, left : left + 28]
    piece += digit * (np.array(color)[:, None, None] - piece)


def tight_boxes(masks):
    """The smallest boxes around masks, as x1, y1, x2, y2."""
    found = [np.nonzero(mask) for mask in masks]
    return np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1] for y, x in found], np.float32)


def areas(boxes):
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


sample = {"image": scene, "masks": masks, "boxes": tight_boxes(masks), "labels": np.array([7, 2])}
moved = T.RandomAffine(
    degrees=(25, 25), scale=(0.8, 0.8), shear=(10, 10), interpolation="bilinear", generator=ml.Generator(0)
)(sample)
around = tight_boxes(moved["masks"])
slack = areas(moved["boxes"]) / areas(around)
cropped = T.CenterCrop((60, 30))(T.Compose([T.Pad((0, 0, 50, 0))])(sample))
for label, before, after, ratio in zip((7, 2), sample["boxes"].astype(int), moved["boxes"], slack, strict=True):
    corners = ", ".join(f"{corner:.1f}" for corner in after)
    print(f"box of the {label}: {before.tolist()} -> [{corners}], {ratio:.2f} times the area of the tightest box")
print(f"a crop that shows one object: labels {sample['labels'].tolist()} -> {cropped['labels'].tolist()}")

assert (moved["boxes"][:, :2] <= around[:, :2]).all() and (moved["boxes"][:, 2:] >= around[:, 2:]).all()
assert (slack > 1).all() and len(cropped["boxes"]) == len(cropped["masks"]) == len(cropped["labels"]) == 1

# %% [markdown]
# ## Mixing images
#
# Two transforms do not keep the label but say how it changes. *Mixup* blends two images of a batch with weights
# $\lambda$ and $1 - \lambda$ (Zhang et al. 2018); *CutMix* pastes a rectangle of one into the other, with $1 - \lambda$ for
# its share of the area (Yun et al. 2019). The label becomes $\lambda y_i + (1 - \lambda) y_j$, a probability for each class.
# Since the cross-entropy $-\sum_c y_c \log p_c$ is linear in $y$, its loss is the same mean of two ordinary losses:

# %%
pair = [int(np.flatnonzero(pool.labels.numpy() == digit)[0]) for digit in (7, 2)]
images, labels = pool[pair]
mixed, target = T.MixUp(alpha=1.0, num_classes=10, generator=ml.Generator(1))(images, labels)
share = target[0, 7].item()  # λ
ml.manual_seed(0)
model = models.LeNet5()
logits = model(mixed)
by_parts = share * F.cross_entropy(logits[:1], labels[:1]) + (1 - share) * F.cross_entropy(logits[:1], labels[1:])
mix_error = abs(F.cross_entropy(logits[:1], target[:1]).item() - by_parts.item())
blend_error = np.abs((mixed[0] - (share * images[0] + (1 - share) * images[1])).numpy()).max()
print(f"a seven with {share:.0%} and a two with {1 - share:.0%}: target", target[0].numpy().round(2))
print(f"the loss against it and the mean of two losses differ by {mix_error:.0e}")

assert 0.1 < share < 0.9 and blend_error < 1e-6 and mix_error < 1e-6

# %% [markdown]
# ## The same draws again
#
# In minidl, transforms draw from a random stream of their own, "augment". So `ml.manual_seed` repeats them; and how much
# they draw changes neither the initial weights nor the order of the data, which come from other streams. In a
# `DataLoader` each sample has a stream that follows from its place in the epoch: several workers give the same batches
# as none. Both matter below, where networks are to differ in their augmentation and in nothing else.


# %%
def batches(workers, seed=0):
    """The first epoch of an augmented loader, as one array."""
    ml.manual_seed(seed)
    shifted = TransformedDataset(Subset(pool, range(64)), T.RandomAffine(15, translate=(0.1, 0.1)))
    cutmix = T.CutMix(num_classes=10)
    loader = DataLoader(
        shifted,
        16,
        shuffle=True,
        num_workers=workers,
        collate_fn=lambda samples: cutmix(*default_collate(samples)),
    )
    return np.concatenate([images.numpy() for images, _ in loader])


def first_weights(draws):
    """LeNet-5's first filters, made after so many draws from the stream of the transforms."""
    ml.manual_seed(0)
    for _ in range(draws):
        T.GaussianNoise()(images[0])
    return models.LeNet5().c1.weight.detach().numpy()


same_batches = np.array_equal(batches(0), batches(2))
same_weights = np.array_equal(first_weights(0), first_weights(100))
print(
    f"the same batches from 0 and 2 workers: {same_batches}; from another seed: {np.array_equal(batches(0), batches(0, 1))}"
)
print(f"the same initial weights after 0 and 100 draws: {same_weights}")

assert same_batches and same_weights and not np.array_equal(batches(0), batches(0, 1))

# %% [markdown]
# ## The contestants
#
# How strong each of them is was set beforehand, and not tuned: rotation, scale and shear about as far as handwriting
# goes, shifts about as far as a careless crop does. The affine map has all four; one contestant covers a square after it.

# %%
AFFINE = T.RandomAffine(15, translate=(0.1, 0.1), scale=(0.85, 1.15), shear=15, interpolation="bilinear")
TRANSFORMS = {
    "shift": T.RandomCrop(28, padding=2),
    "rotation": T.RandomRotation(15, interpolation="bilinear"),
    "affine": AFFINE,
    "affine + cutout": T.Compose([AFFINE, T.Cutout(10)]),
    "cutout": T.Cutout(10),
    "mixup": T.MixUp(alpha=0.4, num_classes=10),
    "cutmix": T.CutMix(alpha=1.0, num_classes=10),
    "brightness, contrast": T.ColorJitter(brightness=0.4, contrast=0.4),
    "noise": T.GaussianNoise(sigma=0.2),
    "horizontal flip": T.RandomHorizontalFlip(),
    "vertical flip": T.RandomVerticalFlip(),
}
MIXING = ("mixup", "cutmix")


def augmented(name, images, labels):
    """A batch after the transform of this name; "none" leaves it as it is."""
    if name in MIXING:
        return TRANSFORMS[name](images, labels)
    return (TRANSFORMS[name](images) if name in TRANSFORMS else images), labels


DRAWS = 5
ml.manual_seed(1)
subjects, their_labels = pool[[pair[0], *range(8)]]
figure = plt.figure(figsize=(13, 9), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=(1, 2.2))
for axes, title, shown in zip(
    above.subplots(1, 3, width_ratios=(80, 80, 30)),
    ("two objects", "turned, sheared, shrunk: boxes around the corners (dashed)", "a crop"),
    (sample, moved, cropped),
    strict=True,
):
    axes.imshow(shown["image"].transpose(1, 2, 0).clip(0, 1))
    for mask, (x1, y1, x2, y2) in zip(shown["masks"], shown["boxes"], strict=True):
        axes.contour(mask, levels=[0.5], colors="red", linewidths=0.8)
        axes.add_patch(Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, color="white", linestyle="--"))
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=10)
panels = below.subplots(DRAWS, len(TRANSFORMS))
below.suptitle(
    f"the same seven, {DRAWS} draws of each transform; mixup and cutmix take other digits for partners", fontsize=10
)
for column, name in zip(panels.T, TRANSFORMS, strict=True):
    column[0].set_title(name.replace(" ", "\n").replace("+\n", "+ "), fontsize=9)
    for axes in column:
        axes.imshow(augmented(name, subjects, their_labels)[0].numpy()[0, 0], cmap="gray_r", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
save_picture(figure, "10_transforms")

# %% [markdown]
# ## The experiment
#
# From a pool of 250 images per class we draw 10 or 100 of each, anew for each seed. The seed also decides the initial
# weights and the order of the images. All contestants with the same seed have the same images, weights and order, so
# the *difference* to the network without augmentation is free of what these do to both ("paired"), and what chance is
# left shows in how the differences scatter: $\text{standard error} = \text{standard deviation} / \sqrt{\text{seeds}}$.
#
# Every training has as many updates as every other, whether it has 100 images to go through or 1,000. The learning rate
# was chosen on images of the pool that were not drawn, with 10 and with 100 per class, both without augmentation and with
# the affine map: 0.008 was better than 0.001, 0.002 and 0.004 in all four cases, and about as good as 0.016.

# %%
SIZES, SEEDS, STEPS, BATCH, RATE = ((10,), 2, 60, 32, 0.008) if FAST else ((10, 100), 5, 250, 32, 0.008)
test_images, test_labels = test_set.tensors if not FAST else test_set[:500]


def draw_images(labels, per_class, rng):
    """Indices of so many images of each class, and those of the others."""
    order = rng.permutation(len(labels))
    drawn = np.concatenate([order[labels[order] == c][:per_class] for c in np.unique(labels)])
    return drawn, np.setdiff1d(order, drawn)


def train(model, batches, steps, rate):
    optimizer = optim.Adam(model.parameters(), lr=rate)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps)
    fit(model, optimizer, F.cross_entropy, batches, epochs=1, scheduler=schedule, schedule_by="step", progress=False)
    return model.eval()


def learn(name, per_class, seed):
    """LeNet-5 after its training on so many images per class with the transform of this name."""
    ml.manual_seed(seed)
    rng = np.random.default_rng(seed)
    chosen, _ = draw_images(pool.labels.numpy(), per_class, rng)
    epochs = -(-STEPS * BATCH // len(chosen))
    order = np.concatenate([rng.permutation(chosen) for _ in range(epochs)])[: STEPS * BATCH]
    batches = (augmented(name, *pool[part]) for part in order.reshape(STEPS, BATCH))
    return train(models.LeNet5(), batches, STEPS, RATE)


def answers(model, images):
    with ml.no_grad():
        return model(images).argmax(dim=1)


networks, scores, gains, errors = {}, {}, {}, {}


def measure(name, size):
    """Train and test with every seed; the gain is over "none" with the same seed."""
    networks[name, size] = [learn(name, size, seed) for seed in range(SEEDS)]
    found = [accuracy(answers(model, test_images), test_labels) for model in networks[name, size]]
    scores[name, size] = np.array(found)
    gains[name, size] = scores[name, size] - scores["none", size]
    errors[name, size] = gains[name, size].std(ddof=1) / np.sqrt(SEEDS)


print(f"{SEEDS} seeds, {len(test_labels):,} test images; gains ± their standard errors, in percentage points")
print("images per class      " + "".join(f"{size:>14d}" for size in SIZES))
for name in ("none", *TRANSFORMS):
    for size in SIZES:
        measure(name, size)
    if name == "none":
        columns = (f"{scores[name, size].mean():>14.1%}" for size in SIZES)
    else:
        columns = (f"{100 * gains[name, size].mean():+8.1f} ± {100 * errors[name, size]:.1f}" for size in SIZES)
    print(f"{name:22s}" + "".join(columns))

FEW, MANY = SIZES[0], SIZES[-1]
for flip in ("horizontal flip", "vertical flip"):
    for size in SIZES:
        assert gains[flip, size].mean() < (-0.01 if FAST else -3 * errors[flip, size])
if not FAST:
    for name in ("shift", "rotation", "affine", "affine + cutout"):
        assert gains[name, FEW].mean() > 2 * errors[name, FEW], name
    assert gains["affine", FEW].mean() > 0.06 and min(gains[name, MANY].mean() for name in ("shift", "affine")) > 0
    assert gains["affine", FEW].mean() > 2 * gains["affine", MANY].mean()

# %% [markdown]
# With 10 images per class, what moves the digit as handwriting does helps most, and the whole affine map more than any
# of its parts: it saves about half the errors. Covering and mixing come after; they know nothing about digits, and are
# of use where one knows nothing. Brightness, contrast and noise bring nothing: every image of this set is black and white
# and clean, so that not to mind gray and grain gains nothing. And the two flips do harm, with few images and with many.
#
# With 100 images the gains are small, since the images themselves show most of what the transforms could add. Those that
# make the task hardest may now even lose a little: the network does not get through their clouds in so few updates
# (exercise 2). A third size lets us put it in another way: how many images per class would the plain network need to be
# as good as one with the affine map?

# %%
if not FAST:
    measure("none", 30)
    measure("affine", 30)


def worth(size):
    """Images per class at which the plain network's accuracy reaches that of "affine" at `size`, by interpolation."""
    sizes = (10, 30, 100)
    plain = [scores["none", n].mean() for n in sizes]
    return float(np.exp(np.interp(scores["affine", size].mean(), plain, np.log(sizes))))


worths = {size: worth(size) for size in (() if FAST else (10, 30))}
as_good_as = [
    f"{size} images per class with the affine map are worth {needed:.0f}{' or more' if needed > 99 else ''} without it"
    for size, needed in worths.items()
]
for line in as_good_as:
    print(line)

assert FAST or min(needed / size for size, needed in worths.items()) > 2

# %% [markdown]
# ## Why do the flips hurt?
#
# They claim that a mirrored digit is the same digit. Let the networks that were trained *without* augmentation say what
# they see in mirrored digits, on the test images:


# %%
def mirrored(name, images):
    return ml.tensor(np.ascontiguousarray(np.flip(images.numpy(), 3 if name == "horizontal flip" else 2)))


def confusion(networks, images):
    """How often each digit (row) is read as each other (column), as a share of its images, the mean over seeds."""
    counts = np.mean([confusion_matrix(answers(model, images), test_labels, 10) for model in networks], axis=0)
    return counts / counts.sum(axis=1, keepdims=True)


def off_diagonal(matrix):
    return matrix - np.diag(np.diag(matrix))


seen_as, lost, extra, agreement = {}, {}, {}, {}
upper = np.triu_indices(10, 1)
for flip in ("horizontal flip", "vertical flip"):
    seen_as[flip] = confusion(networks["none", MANY], mirrored(flip, test_images))
    extra[flip] = confusion(networks[flip, MANY], test_images) - confusion(networks["none", MANY], test_images)
    lost[flip] = -np.diag(extra[flip])
    pairs = [(matrix + matrix.T)[upper] for matrix in (off_diagonal(seen_as[flip]), off_diagonal(extra[flip]))]
    agreement[flip] = np.corrcoef(*pairs)[0, 1]
    order = np.argsort(off_diagonal(seen_as[flip]), axis=None)[::-1][:4]
    most = ", ".join(f"{i} as {j} ({seen_as[flip][i, j]:.0%})" for i, j in zip(*np.divmod(order, 10), strict=True))
    print(
        f"{flip}: the plain network still reads {np.diag(seen_as[flip]).mean():.0%} rightly; most often it takes {most}"
    )
    print(f"  points lost by training with it, 0 … 9: {(100 * lost[flip]).round(1).tolist()}")
    print(f"  pairs that look alike in the mirror and pairs that it confuses: correlation {agreement[flip]:.2f}")

assert FAST or min(agreement.values()) > 0.4
assert FAST or all(lost[flip][[2, 5]].mean() > lost[flip][[0, 1]].mean() + 0.02 for flip in lost)

# %% [markdown]
# A five in the mirror looks like a two; a three like an eight; a six upside down like an eight, a two upside down like a
# three. A network that trains with flips must call the same shape a two at one time and a five at another, and where it
# cannot, it errs: the pairs that look alike in the mirror are by and large the pairs that it confuses. Zero and one,
# which are their own mirror images, lose little. So this is not chance: the claim is false, and the network believes it.
#
# There is a second price. It does learn to read mirrored digits, with part of its weights and of its updates, and no
# test asks for that:

# %%
in_mirror = {}
for flip in ("horizontal flip", "vertical flip"):
    for name in ("none", flip):
        read_right = [
            accuracy(answers(model, mirrored(flip, test_images)), test_labels) for model in networks[name, MANY]
        ]
        in_mirror[flip, name] = np.mean(read_right)
    print(
        f"digits after a {flip}: read by the plain network {in_mirror[flip, 'none']:.0%}, by its own {in_mirror[flip, flip]:.0%}"
    )

    assert FAST or in_mirror[flip, flip] > in_mirror[flip, "none"] + 0.3

# %% [markdown]
# Is a flip bad, then? It is on digits. A face in the mirror is a face. The same network, the same flip, on 10 faces and
# 10 patches without a face (Huang et al. 2007), tested on the other 180:

# %%
FACE_SEEDS, FACE_STEPS = (2, 20) if FAST else (8, 100)
faces, _ = lfw_subset(test_fraction=0.0)
face_images = T.Pad((2, 2, 1, 1), padding_mode="edge")(faces.images)  # 25 × 25 -> 28 × 28


def learn_faces(change, seed):
    """Accuracy on all images that were not drawn."""
    ml.manual_seed(seed)
    chosen, others = draw_images(faces.labels.numpy(), 10, np.random.default_rng(seed))
    batches = ((change(face_images[chosen]), faces.labels[chosen]) for _ in range(FACE_STEPS))
    model = train(models.LeNet5(num_classes=2), batches, FACE_STEPS, rate=0.004)
    return accuracy(answers(model, face_images[others]), faces.labels[others])


face_plain, face_flip = (
    np.array([learn_faces(change, seed) for seed in range(FACE_SEEDS)])
    for change in (lambda images: images, TRANSFORMS["horizontal flip"])
)
face_gain, face_error = (face_flip - face_plain).mean(), (face_flip - face_plain).std(ddof=1) / np.sqrt(FACE_SEEDS)
print(f"faces: {face_plain.mean():.1%}, with horizontal flips {face_gain:+.1%} ± {face_error:.1%}")
if not FAST:
    assert face_gain > gains["horizontal flip", FEW].mean() + 0.02 and face_gain > -2 * face_error

# %% [markdown]
# ## The picture

# %%
figure, ((left, curve), (mirror, bars)) = plt.subplots(2, 2, figsize=(13, 9.5), layout="constrained")

names = list(TRANSFORMS)[::-1]
for k, size in enumerate(SIZES):
    rows = np.arange(len(names)) + 0.16 * (1 - 2 * k)
    for row, name in zip(rows, names, strict=True):
        left.plot(100 * gains[name, size], [row] * SEEDS, ".", color=f"C{k}", alpha=0.35, markersize=5)
    means, spread = (
        [100 * values for values in column]
        for column in zip(*((gains[n, size].mean(), errors[n, size]) for n in names), strict=True)
    )
    left.errorbar(
        means, rows, xerr=spread, fmt="os"[k], color=f"C{k}", markersize=5, capsize=3, label=f"{size} images per class"
    )
left.axvline(0, color="black", linewidth=0.8)
left.set(
    yticks=range(len(names)), yticklabels=names, xlabel="gain in percentage points: each seed, mean, standard error"
)
left.set(title="What each transform is worth")
left.grid(axis="x", alpha=0.3)
left.legend(loc="upper left")

for k, name in enumerate(("none", "affine")):
    sizes = sorted(size for other, size in scores if other == name)
    means = np.array([100 * scores[name, size].mean() for size in sizes])
    deviations = np.array([100 * scores[name, size].std(ddof=1) for size in sizes])
    curve.errorbar(
        sizes,
        means,
        yerr=deviations,
        fmt="-" + "os"[k],
        color="gray" if name == "none" else "C2",
        capsize=3,
        label=name,
    )
curve.set(
    xscale="log",
    xticks=[10, 30, 100],
    xticklabels=["10", "30", "100"],
    xlabel="images per class",
    ylabel="test accuracy in %",
)
curve.set(title="Accuracy: mean and standard deviation between seeds")
curve.minorticks_off()
curve.grid(alpha=0.3)
curve.legend(loc="lower right")

shares = 100 * seen_as["horizontal flip"]
mirror.imshow(shares, cmap="Blues", vmin=0, vmax=100)
for i, j in np.argwhere(shares >= 3):
    mirror.text(
        j,
        i,
        f"{shares[i, j]:.0f}",
        ha="center",
        va="center",
        fontsize=9,
        color="white" if shares[i, j] > 55 else "black",
    )
mirror.set(xticks=range(10), yticks=range(10), xlabel="read as", ylabel="digit in the mirror")
mirror.set(title="What the plain network sees in mirrored digits, in %")

for k, flip in enumerate(lost):
    bars.bar(np.arange(10) + 0.4 * (k - 0.5), 100 * lost[flip], 0.4, color=f"C{3 + k}", label=flip)
bars.axhline(0, color="black", linewidth=0.8)
bars.set(xticks=range(10), xlabel="digit", ylabel="accuracy lost, in percentage points")
bars.set(title=f"Which digits pay for the flips ({MANY} images per class)")
bars.legend()
save_picture(figure, "10_augmentation")

# %% [markdown]
# ## Summary
#
# - To augment is to train on the cloud of images that each image might have been. For a linear model and noise this is
#   ridge regression to the letter; in general it leaves fewer solutions to choose from, and better ones.
# - Each transform is a claim about the world. With few images, those that say what handwriting does gave most, and more
#   together than alone; those that say nothing false but nothing of use gave nothing; those that are false took away.
# - The fewer the images, the greater the gain: with 10 per class, the affine map was worth more than twice the images.
# - Whether a transform helps is a question to the data: the flip that is poison to digits does no harm to faces.
# - Boxes and masks move with the pixels, labels of mixtures are mixed; draws come from a stream of their own, so that
#   an experiment can vary the augmentation and nothing else.
#
# ## Exercises
#
# 1. Give the affine map 5, 15, 30, 60 and 180 degrees. Where does it begin to hurt, and which digits pay?
# 2. Train four times as long, with "none", "affine" and "cutmix". Who gains by it? Why not "none"?
# 3. Only the digits 0, 1 and 8: do flips still hurt?
# 4. Average the probabilities of ten transformed copies of each test image (test-time augmentation). What is it worth
#    to the network that was trained with the same transform, and to the plain one?
# 5. `fashion_mnist()` has garments. Say first which transforms will help and which will hurt; then measure.

# %%
finish(
    *(
        f"{size} images per class: {scores['none', size].mean():.1%}; affine {100 * gains['affine', size].mean():+.1f} ± {100 * errors['affine', size]:.1f} points, "
        f"horizontal flip {100 * gains['horizontal flip', size].mean():+.1f} ± {100 * errors['horizontal flip', size]:.1f}, "
        f"vertical flip {100 * gains['vertical flip', size].mean():+.1f} ± {100 * errors['vertical flip', size]:.1f}"
        for size in SIZES
    ),
    *as_good_as,
    f"pairs that look alike in the mirror and pairs that flips confuse: correlation {agreement['horizontal flip']:.2f} and {agreement['vertical flip']:.2f}",
    f"faces: the horizontal flip changes {100 * face_gain:+.1f} ± {100 * face_error:.1f} points",
    f"training with noise and ridge regression: weights within {noise_error:.1%}; a turn by hand and by minidl within {turn_error:.0e}",
)
