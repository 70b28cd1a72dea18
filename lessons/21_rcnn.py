# %% [markdown]
# # 21  R-CNN: from naming an image to finding what is in it
#
# **Goal.** Build the detector that brought convolutional networks to object detection, part by part: boxes and their
# overlap, proposals, a network that looks at each of them, support vector machines, box regression, non-maximum
# suppression; and the number by which detectors are compared, computed by hand. On scenes whose digits and photographs
# it has never seen, the detector must reach a mean average precision of 0.60, box regression must raise it, and
# strict overlaps more than loose ones. At the end: where it errs, and where its time goes, which lesson 22 will cut.
#
# **Needs.** Lessons 06 (training a network), 11 (features of a network) and 12 (support vector machines).
#
# **Time.** Three minutes on two cores.

# %%
import time

import numpy as np
from _lesson import FAST, finish, save_picture
from matplotlib import pyplot as plt

import minidl as ml
from minidl import functional as F
from minidl import models, optim
from minidl.data.datasets import mnist5k
from minidl.data.scenes import TEST_PHOTOGRAPHS, TRAIN_PHOTOGRAPHS, Cutouts, Scenes, photograph_textures
from minidl.metrics import DetectionMetrics
from minidl.vision import draw, samples, selective_search
from minidl.vision.ops import batched_nms, box_area, box_iou

SEED = 0
ml.manual_seed(SEED)

# %% [markdown]
# ## Where it comes from
#
# A classifier says *what*. A detector also says *where*, for a number of objects that it is not told. The simplest way is to ask a
# classifier at every place and scale: so worked Viola and Jones' faces (2001), and the deformable parts of Felzenszwalb and
# colleagues (2010), the best detector on PASCAL VOC for years. It takes tens of thousands of windows an image, far too
# many for a large network. Girshick, Donahue, Darrell and Malik (2014) ask for far fewer:
#
# 1. **Proposals**: about 2,000 boxes an image that may hold *some* object, found without learning.
# 2. **Features**: each is cropped, warped to the size that a network wants, and goes through it. The network has learned to
#    classify on a large set, and is fine-tuned on such crops.
# 3. **Support vector machines**, one for each class, say what is in each.
# 4. **Box regression** moves each box to where the object seems to be, **non-maximum suppression** removes doubles.
#
# With this, the mean average precision on VOC 2010 rose from 0.40 to 0.54. `minidl.models.RCNN` is the paper in one file.
#
# ## Scenes
#
# One to four digits on photographs. As in lesson 15, what our minutes allow was found by measuring: there are five digits, and
# photographs are shown at half their brightness. (With all ten at full brightness, and strokes made solid, the same detector came to
# an AP50 of 0.67.) Digits may hide up to half of each other; a box is tight around what is visible.

# %%
DIGITS = ("0", "1", "2", "3", "4")
K = len(DIGITS) + 1
TRAIN, TEST, MINED, STEPS = (16, 6, 6, 12) if FAST else (400, 120, 150, 500)
sets = mnist5k()


def scenes(part, count):
    """Samples with image, boxes and labels, of the digits and photographs of the training part (0) or test part (1)."""
    digits, names = sets[part], (TRAIN_PHOTOGRAPHS, TEST_PHOTOGRAPHS)[part]
    cutouts = Cutouts(digits.images.numpy()[:, 0], digits.labels.numpy(), digits.classes, only=DIGITS)
    textures = [0.5 * photograph for photograph in photograph_textures(names)]
    made = Scenes(count, cutouts, textures, size=96, objects=(1, 4), min_visible=0.5, seed=[SEED, part])
    return [made[i] for i in range(count)]


CLASSES = ("background", *DIGITS)
train, test = scenes(0, TRAIN), scenes(1, TEST)
images, test_images = ([sample["image"] for sample in part] for part in (train, test))
objects = sum(len(sample["boxes"]) for sample in test)
print(f"{TRAIN} scenes to learn from with {sum(len(s['boxes']) for s in train)} digits, {TEST} held out with {objects}")

# %% [markdown]
# ## Overlap
#
# How well does a box fit? The common measure is *intersection over union*,
#
# $$ \text{IoU}(A, B) = \frac{|A \cap B|}{|A \cup B|} = \frac{|A \cap B|}{|A| + |B| - |A \cap B|} , $$
#
# which is 1 for equal boxes, 0 for boxes apart, and does not depend on the scale. It is strict: a square moved by a third of its
# side, in one direction only, has $\frac{2/3}{4/3} = 0.5$, the usual threshold for "found"; moved by a seventh, it has 0.75.


# %%
def iou(a, b):
    """IoU of two boxes (x1, y1, x2, y2)."""
    width, height = (min(a[d + 2], b[d + 2]) - max(a[d], b[d]) for d in (0, 1))
    common = max(width, 0) * max(height, 0)
    area_a, area_b = ((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return common / (area_a + area_b - common)


square = [0.0, 0.0, 42.0, 42.0]
moved = [[14.0, 0.0, 56.0, 42.0], [6.0, 0.0, 48.0, 42.0], [42.0, 0.0, 84.0, 42.0]]
by_hand = [iou(square, box) for box in moved]
print("moved by a third, a seventh, a whole side:", *(f"{value:.3f}" for value in by_hand))

assert np.allclose(by_hand, [1 / 2, 3 / 4, 0]) and np.allclose(box_iou([square], moved).numpy(), [by_hand])

# %% [markdown]
# ## Proposals
#
# Selective search (Uijlings and colleagues, 2013) starts from many small segments of about one colour, and merges the two most
# similar neighbours (in colour, texture, size and how well they fill each other's gaps) until one is left. Each
# segment that ever existed gives a box. So boxes of all scales appear, and where an object differs from what is around it,
# some segment is just that object.
#
# What proposals miss, no later part can find. So what counts is their *recall*: the share of objects that one of
# the first $n$ boxes overlaps by at least 0.5 (or 0.75). For comparison: as many boxes of random place, size and shape,
# with sides as long as those of digits.

# %%
PROPOSALS = 200


def propose(image):
    return selective_search(image, scales=(50, 100), color_spaces=("hsv",), most=PROPOSALS)


def random_boxes(count, rng):
    sizes = rng.uniform(8, 60, (count, 2))
    low = rng.uniform(0, 96 - sizes)
    return np.concatenate([low, low + sizes], axis=1).astype(np.float32)


def recall(boxes_of_images, counts, threshold):
    """For each count, the share of the test objects that are among the first so many boxes of their image."""
    best = []
    for sample, boxes in zip(test, boxes_of_images, strict=True):
        overlaps = box_iou(sample["boxes"], boxes).numpy()
        best += [[row[:n].max() for n in counts] for row in overlaps]
    return (np.array(best) >= threshold).mean(axis=0)


start = time.perf_counter()
proposals = [propose(image) for image in images]
test_proposals = [propose(image) for image in test_images]
print(f"{(time.perf_counter() - start) / (TRAIN + TEST):.3f} s an image, on average "
      f"{np.mean([len(boxes) for boxes in test_proposals]):.0f} proposals")  # fmt: skip
counts = [1, 2, 5, 10, 20, 50, 100, PROPOSALS]
by_chance = [random_boxes(PROPOSALS, np.random.default_rng(i)) for i in range(TEST)]
recalls = {
    (name, threshold): recall(boxes, counts, threshold)
    for name, boxes in (("selective search", test_proposals), ("random boxes", by_chance))
    for threshold in (0.5, 0.75)
}
print("recall of the first …           " + "".join(f"{n:7d}" for n in counts))
for (name, threshold), values in recalls.items():
    print(f"{name:17s} at IoU {threshold:4.2f}  " + "".join(f"{value:7.2f}" for value in values))

if not FAST:
    assert recalls["selective search", 0.5][-1] >= 0.92 and recalls["selective search", 0.75][-1] >= 0.7
assert recalls["selective search", 0.75][-1] > recalls["random boxes", 0.75][-1] + 0.2

# %%
plt.rcParams.update({"axes.titlesize": 10, "font.size": 9})
sample, boxes = test[3], test_proposals[3]
nearest = box_iou(sample["boxes"], boxes).numpy()
figure, axes = plt.subplots(1, 4, figsize=(15, 3.8), layout="constrained")
truth_names = {"labels": sample["labels"], "classes": CLASSES}
draw.show(axes[0], sample["image"], "a held-out scene and the true boxes")
draw.draw_boxes(axes[0], sample["boxes"], **truth_names)
draw.show(axes[1], sample["image"], "the first 50 proposals")
draw.draw_boxes(axes[1], boxes[:50], colors=np.tile([[1.0, 1.0, 0.3]], (51, 1)))
draw.show(axes[2], sample["image"], "the best for each object, with its IoU")
draw.draw_boxes(axes[2], boxes[nearest.argmax(axis=1)], labels=sample["labels"], scores=nearest.max(axis=1),
                classes=[""] * K)  # fmt: skip
for (name, threshold), values in recalls.items():
    style = {"color": "C0" if name == "selective search" else "C7", "ls": "-" if threshold == 0.5 else "--"}
    axes[3].semilogx(counts, values, marker=".", label=f"{name}, IoU ≥ {threshold}", **style)
axes[3].set(title="recall", xlabel="boxes of an image", ylabel="share of objects that one of them fits", ylim=(0, 1.02))
axes[3].set_xticks(counts, counts)
axes[3].legend(frameon=False)
axes[3].grid(alpha=0.3)
save_picture(figure, "21_proposals")

# %% [markdown]
# ## Crops, and a network for them
#
# Each box, whatever its shape, is warped to 32 × 32 pixels, with 4 of them on each side for what is around it. What lies outside of the
# image is filled with the mean. Then the network is trained as any classifier, on crops of the training scenes: those that overlap
# an object by at least 0.5 have its class, all others are background. Most are, so half of each batch is drawn from the objects (a
# quarter in the paper).
#
# In the paper the network comes with 1.2 million labelled photographs behind it, and is fine-tuned only. Ours, a `MiniVGG` of
# 140,000 parameters, starts at random; digits are easier than dogs.

# %%
ml.manual_seed(SEED)
network = models.MiniVGG(K, widths=(16, 32, 64))
model = models.RCNN(network, K, context=4, mean=0.25, proposer=propose, box_layer="features.19", pool=8)
crops, labels = model.sample(images, train, proposals, per_image=32)
by_class = np.bincount(labels.numpy(), minlength=K)
print(f"{len(crops)} crops of {tuple(crops.shape[1:])}:",
      *(f"{count} × {name}" for name, count in zip(CLASSES, by_class, strict=True)))  # fmt: skip

BATCH, RATE = 64, 3e-3
rng = np.random.default_rng(SEED)
inside, outside = np.flatnonzero(labels.numpy() > 0), np.flatnonzero(labels.numpy() == 0)
optimizer = optim.AdamW(network.parameters(), lr=RATE)
schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=RATE, total_steps=STEPS)
start, losses = time.perf_counter(), []
network.train()
for _ in range(STEPS):
    batch = np.concatenate([rng.choice(part, BATCH // 2, replace=False) for part in (inside, outside)])
    loss = F.cross_entropy(network(crops[batch]), labels[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
    losses.append(loss.item())
model.eval()
print(f"{STEPS} steps in {time.perf_counter() - start:.0f} s; loss {losses[0]:.2f}, then {np.mean(losses[-20:]):.2f}")

test_crops, test_labels = model.sample(test_images, test, test_proposals, per_image=32)
with ml.no_grad():
    answers = np.concatenate(
        [network(test_crops[i : i + 128]).argmax(1).numpy() for i in range(0, len(test_crops), 128)]
    )
right = answers == test_labels.numpy()
crop_accuracy = [right[test_labels.numpy() > 0].mean(), right[test_labels.numpy() == 0].mean()]
print("crops of held-out scenes: right on {:.0%} of those of digits, {:.0%} of background".format(*crop_accuracy))

# %% [markdown]
# ## Support vector machines, and hard negatives
#
# Why not use the network's own answer? For fine-tuning, a box that overlaps half of a digit *is* that digit: to have enough examples
# the labels are generous, and so the network does not tell a good box from a mediocre one. The SVMs are trained with other
# labels: positive is the true box alone, negative what overlaps the class by less than 0.3, and what lies between is left out.
#
# Negatives come by the thousand, and most are so easy that they never touch the margin. **Hard negative mining** passes over
# the images and keeps only those that the present SVM puts above −1. The others would not have changed it: in
#
# $$ \min_w \; \tfrac12 \|w\|^2 + C \sum_i c_i \max(0,\, 1 - y_i w^\top x_i)^2 $$
#
# an example with $y_i w^\top x_i \ge 1$ contributes nothing, neither to the sum nor to its gradient.

# %%
start = time.perf_counter()
kept = model.fit_svms(images[:MINED], train[:MINED], proposals[:MINED])
seen = sum(len(boxes) for boxes in proposals[:MINED])
print(f"{time.perf_counter() - start:.0f} s; of {seen} proposals the SVMs kept as hard negatives:",
      *(f"{count} for {name}," for name, count in zip(DIGITS, kept, strict=True)))  # fmt: skip

assert max(kept) < seen / (1 if FAST else 5)

# %% [markdown]
# ## Box regression
#
# The best proposal may still cut off a foot. A linear function of the network's last maps of 8 × 8, before the maximum that makes them 4 × 4
# and loses where things are (with those AP75 gained half as much), predicts from a proposal $(x_a, y_a, w_a, h_a)$, center and size, how to move it:
#
# $$ t = \Big( \frac{x - x_a}{w_a},\; \frac{y - y_a}{h_a},\; \log\frac{w}{w_a},\; \log\frac{h}{h_a} \Big), \qquad
#    \min_{W, b} \sum_i \|t_i - W \varphi_i - b\|^2 + \lambda \|W\|^2 . $$
#
# Shifts are relative to the size and sizes are ratios, so that a code does not depend on the scale, as the warped crop does not. It
# is learned from proposals that overlap an object by at least 0.6: from farther away there is nothing to see. It has a closed form.

# %%
start = time.perf_counter()
pairs = model.fit_boxes(images, train, proposals, ridge=5000.0)
print(f"{time.perf_counter() - start:.0f} s, from {sum(pairs)} pairs of a proposal and the object that it nearly fits")


def measure(found):
    metrics = DetectionMetrics()
    metrics.update(found, test)
    return metrics


detections = {refine: model(test_images, test_proposals, refine=refine) for refine in (False, True)}
metrics = {refine: measure(found) for refine, found in detections.items()}
scores = {refine: each.compute() for refine, each in metrics.items()}
for refine, name in ((False, "proposals as they are"), (True, "with box regression")):
    print(f"{name:22s}", *(f"{key} {scores[refine][key]:.3f}  " for key in ("AP50", "AP75", "AP")))
gains = {key: scores[True][key] - scores[False][key] for key in ("AP50", "AP75", "AP")}

if not FAST:
    assert scores[True]["AP50"] >= 0.60
    assert gains["AP50"] > 0 and gains["AP75"] > gains["AP50"]

# %% [markdown]
# An IoU of 0.75 gains more than one of 0.5: regression seldom rescues a box that is wrong, it makes fair ones good. At still
# stricter overlaps it has nothing to give: where a segment was just the digit, its box was true to the pixel, and a regression is not.
# So COCO's AP, the mean over IoUs of 0.5 to 0.95, hardly changes. On photographs, where proposals are rougher, it is worth more: in the
# paper 3 to 4 points of AP50.
#
# ## Non-maximum suppression
#
# Many proposals lie on each digit, and all of them score. From the best to the worst, a box stays if it overlaps no box of its class that
# stayed by more than 0.3. Without this step every double is a false alarm; with too low a threshold, one of two digits of a
# class that overlap is lost.

# %%
model.nms_thresh = 1.0
crowded = model(test_images, test_proposals)
model.nms_thresh = 0.3
by_threshold = {}
for threshold in (0.0, 0.1, 0.3, 0.5, 0.7, 1.0):
    found = []
    for each in crowded:
        keep = batched_nms(each["boxes"], each["scores"], each["labels"], threshold)
        found.append({key: values[keep] for key, values in each.items()})
    by_threshold[threshold] = measure(found).compute()["AP50"]
    boxes_left = np.mean([len(each["boxes"]) for each in found])
    print(
        f"overlap allowed up to {threshold:.1f}: {boxes_left:5.1f} boxes an image, AP50 {by_threshold[threshold]:.3f}"
    )

if not FAST:
    assert by_threshold[0.3] > by_threshold[1.0] + 0.2

# %% [markdown]
# ## Precision, recall, and what AP is
#
# Let all detections of a class in all images line up, the surest first. Each in turn is *right* if it overlaps an object of its class by
# at least 0.5 that no surer one has taken; else it is a false alarm. After the first $n$, with $r$ of them right,
#
# $$ \text{precision} = r / n, \qquad \text{recall} = r / \text{number of objects} . $$
#
# Wherever one cuts the line, one gets a point on a curve. *Average precision* is the area under it, where at each recall the best
# precision at that recall or beyond counts; its mean over classes is mAP. COCO's AP50 takes 101 samples of the curve
# instead of the area, and lets a detection whose nearest object is taken have the second nearest.


# %%
def curve(label, threshold, found):
    """Recall and precision after each detection of a class, by hand."""
    hits, certain, total = [], [], 0
    for each, sample in zip(found, test, strict=True):
        mine = each["labels"].numpy() == label
        true = sample["boxes"].numpy()[sample["labels"].numpy() == label]
        boxes, taken = each["boxes"].numpy()[mine], set()
        total += len(true)
        for box in boxes:  # the surest first
            overlaps = [iou(box, other) for other in true]
            nearest = int(np.argmax(overlaps)) if overlaps else None
            hit = nearest is not None and overlaps[nearest] >= threshold and nearest not in taken
            taken |= {nearest} if hit else set()
            hits.append(hit)
        certain += each["scores"].numpy()[mine].tolist()
    right = np.cumsum(np.array(hits)[np.argsort(-np.array(certain), kind="stable")])
    return right / total, right / np.arange(1, len(right) + 1)


def area(recalls, precisions):
    """The area under the curve, each precision replaced by the best from there on."""
    best = np.maximum.accumulate(precisions[::-1])[::-1]
    return (np.diff(recalls, prepend=0) * best).sum()


curves = {t: [curve(label, t, detections[True]) for label in range(1, K)] for t in (0.5, 0.75)}
theirs = metrics[True].average_precision(0.5, method="area")
for label, points in enumerate(curves[0.5], 1):
    print(f"AP of {CLASSES[label]} at IoU 0.5: {area(*points):.4f} by hand, {theirs[label]:.4f} by minidl.metrics")

assert all(abs(area(*points) - theirs[label]) < 1e-6 for label, points in enumerate(curves[0.5], 1))

# %% [markdown]
# ## Where it errs
#
# Take of all detections the surest, as many as there are objects, and look at each (after Hoiem and colleagues, 2012). The kinds of
# mistakes call for different remedies: better boxes for what is *off*, a better network for what is *confused*, better negatives for
# what is on *background*. And of the objects: how many had a proposal at all?

# %%
surest = sorted(
    ((score, number, i) for number, each in enumerate(detections[True]) for i, score in enumerate(each["scores"].tolist())),
    reverse=True,
)[:objects]  # fmt: skip
kinds = dict.fromkeys(("right", "double", "off: 0.1 to 0.5", "another digit", "background"), 0)
examples, taken = {kind: [] for kind in kinds}, set()
for _, number, i in surest:
    box, label = detections[True][number]["boxes"][i : i + 1], int(detections[True][number]["labels"][i].item())
    overlaps, own = box_iou(box, test[number]["boxes"]).numpy()[0], test[number]["labels"].numpy() == label
    of_own, of_others = (overlaps[part].max(initial=0) for part in (own, ~own))
    nearest = (number, int(np.where(own, overlaps, -1).argmax()))
    if of_own >= 0.5:
        kind = "double" if nearest in taken else "right"
        taken.add(nearest)
    elif of_others >= 0.5:
        kind = "another digit"
    elif of_own >= 0.1:
        kind = "off: 0.1 to 0.5"
    else:
        kind = "background"
    kinds[kind] += 1
    examples[kind].append((number, i))
cut = surest[-1][0]
print(f"of the {len(surest)} surest detections:", *(f"{count} {kind};" for kind, count in kinds.items()))
without = round(objects * (1 - recalls["selective search", 0.5][-1]))
print(f"{without} of {objects} objects had no proposal that overlaps them by half")

# %% [markdown]
# ## What it costs
#
# Each part of the way from an image to its boxes, timed on held-out images.

# %%
seconds, timed = (
    dict.fromkeys(("proposals", "crops", "network", "SVMs, boxes, NMS"), 0.0),
    test_images[: 4 if FAST else 20],
)
for image in timed:
    marks = [time.perf_counter()]
    boxes = model.propose(image)
    marks.append(time.perf_counter())
    with ml.no_grad():
        regions = model.regions(image, boxes)
        marks.append(time.perf_counter())
        _ = [network(regions[i : i + 128]).numpy() for i in range(0, len(regions), 128)]
    marks.append(time.perf_counter())
    model([image], [boxes])
    whole = time.perf_counter() - marks[-1]
    spent = np.diff(marks)
    for name, value in zip(seconds, [*spent, max(whole - spent[1] - spent[2], 0)], strict=True):
        seconds[name] += value / len(timed)
total = sum(seconds.values())
print(
    "; ".join(f"{name} {1000 * value:.0f} ms" for name, value in seconds.items()), f"; {1000 * total:.0f} ms an image"
)

# %% [markdown]
# The network sees each pixel again for every proposal that covers it. How often is that? Add up the areas:

# %%
coverage = np.mean([box_area(boxes).sum().item() / 96**2 for boxes in test_proposals])
print(f"on average, {coverage:.0f} proposals cover a pixel")

# %% [markdown]
# ## Pictures
#
# What the network is trained on; then one scene on its way through the detector; the curves, mistakes and times; and held-out scenes.

# %%
rows = [np.flatnonzero(labels.numpy() == label)[:14] for label in range(K)]
strips = [samples.grid(crops[row] + 0.25, columns=14, background=1.0) for row in rows]
figure = draw.panels(strips, [f"called {name}" for name in CLASSES], columns=1, side=12)
figure.suptitle("crops to fine-tune the network on: a box that overlaps half of a digit is that digit")
save_picture(figure, "21_crops")

# %%
shown = max(range(TEST), key=lambda n: sum(number == n for number, _ in examples["right"]))
image, before = test_images[shown], crowded[shown]
positive = before["scores"].numpy() >= cut
raw, refined = (model([image], [test_proposals[shown]], refine=refine)[0] for refine in (False, True))
figure, axes = plt.subplots(1, 4, figsize=(15, 4.2), layout="constrained")
draw.show(axes[0], image, f"{len(test_proposals[shown])} proposals")
draw.draw_boxes(axes[0], test_proposals[shown], colors=np.tile([[1.0, 1.0, 0.3]], (PROPOSALS + 1, 1)))
draw.show(axes[1], image, f"{positive.sum()} that score at least {cut:.1f}")
draw.draw_boxes(axes[1], before["boxes"].numpy()[positive], labels=before["labels"].numpy()[positive], classes=[""] * K)
for ax, each, name in ((axes[2], raw, "after NMS"), (axes[3], refined, "boxes regressed, then NMS")):
    sure = each["scores"].numpy() >= cut
    draw.show(ax, image, name)
    found = {key: values.numpy()[sure] for key, values in each.items()}
    draw.draw_boxes(ax, found["boxes"], labels=found["labels"], scores=found["scores"], classes=CLASSES)
save_picture(figure, "21_steps")

# %%
figure, (low_ax, high_ax, kind_ax, time_ax) = plt.subplots(1, 4, figsize=(16, 3.8), layout="constrained")
for ax, threshold in ((low_ax, 0.5), (high_ax, 0.75)):
    for label, points in enumerate(curves[threshold], 1):
        ax.plot(*points, color=draw.palette(K)[label] * 0.85, label=f"{CLASSES[label]}: AP {area(*points):.2f}")
    ax.set(
        title=f"detections right from IoU {threshold} on",
        xlabel="recall",
        ylabel="precision",
        xlim=(0, 1),
        ylim=(0, 1.03),
    )
    ax.legend(frameon=False, loc="lower left")
    ax.grid(alpha=0.3)
for ax, values, title in (
    (kind_ax, kinds, f"the {len(surest)} surest detections"),
    (
        time_ax,
        {name: 1000 * value for name, value in seconds.items()},
        f"milliseconds an image, {1000 * total:.0f} in all",
    ),
):
    bars = ax.barh(list(values), list(values.values()), color="C0")
    ax.bar_label(bars, fmt="%.0f", padding=3)
    ax.invert_yaxis()
    ax.margins(x=0.15)
    ax.set(title=title)
save_picture(figure, "21_precision_recall")

# %%
wrong = [number for kind in ("another digit", "off: 0.1 to 0.5", "background") for number, _ in examples[kind][:2]]
numbers = list(dict.fromkeys([*range(6), *wrong]))
figure, axes = plt.subplots(2, 6, figsize=(15, 5.4), layout="constrained")
for ax in axes.flat:
    ax.set_axis_off()
for ax, number in zip(axes.flat, numbers, strict=False):
    each = detections[True][number]
    sure = each["scores"].numpy() >= cut
    found = {key: values.numpy()[sure] for key, values in each.items()}
    true = test[number]["labels"].numpy()
    draw.show(ax, test_images[number], "true: " + (" ".join(CLASSES[label] for label in sorted(true)) or "none"))
    draw.draw_boxes(ax, found["boxes"], labels=found["labels"], scores=found["scores"], classes=CLASSES)
figure.suptitle("held-out scenes and the surest detections in them; the last scenes are chosen for their mistakes")
save_picture(figure, "21_rcnn")

# %% [markdown]
# ## Summary
#
# - A detector's answer is a list of boxes with classes and scores. IoU says how well a box fits, and is strict.
# - Proposals turn detection into classification. What they miss is lost.
# - Labels differ by purpose: generous ones to train the network, strict ones for the SVMs, near ones for regression.
# - Most negatives teach nothing; hard negative mining keeps those that do.
# - Average precision is the area under the curve of precision over recall, along the detections from the surest down.
# - Each pixel goes through the network once for every proposal that covers it. That is the waste which lesson 22 ends: one pass for
#   the image, and crops from its maps.
#
# ## Exercises
#
# 1. Take the network's own softmax in place of the SVMs. In the paper this costs 3 points of AP; what does it cost here, and
#    how much of that comes back if crops count as an object only from an IoU of 0.7 on?
# 2. Fit the SVMs to random negatives, as many as mining keeps. What does mining bring?
# 3. Change `ridge` by factors of ten. AP75 has a best value, AP50 hardly changes: why?
# 4. Regress twice: feed the regressed boxes back as proposals. The paper found no gain. And you?
# 5. Use all ten digits, at full brightness. Which are confused?

# %%
finish(
    f"AP50 {scores[True]['AP50']:.3f} on {TEST} held-out scenes, AP75 {scores[True]['AP75']:.3f}",
    f"box regression brings {gains['AP50']:+.3f} of AP50 and {gains['AP75']:+.3f} of AP75",
    f"{1000 * total:.0f} ms an image, {seconds['network'] / total:.0%} of it in the network",
)
