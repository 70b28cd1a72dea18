# %% [markdown]
# # 22  Fast and Faster R-CNN: one look at the image
#
# **Goal.** R-CNN (lesson 21) runs a network on every proposal, and finds proposals by a method that cannot learn. Fast R-CNN
# (Girshick 2015) runs the network once, and cuts regions out of its *features*. Faster R-CNN (Ren, He, Girshick and Sun
# 2015) makes the proposals from the same features. Both are trained here, measured on scenes that they have never seen, and
# timed against R-CNN part by part.
#
# **Needs.** Lessons 14 (strides), 15 (scenes) and 21 (IoU, NMS, box regression, average precision).
#
# **Time.** Two to three minutes on two cores.

# %%
import time

import numpy as np
from _lesson import FAST, finish, save_picture
from matplotlib import pyplot as plt

import minidl as ml
from minidl import models, nn, optim
from minidl.data.datasets import mnist5k
from minidl.data.scenes import TEST_PHOTOGRAPHS, TRAIN_PHOTOGRAPHS, Cutouts, Scenes, photograph_textures
from minidl.metrics import DetectionMetrics
from minidl.vision import AnchorGenerator, Matcher, draw, selective_search
from minidl.vision.ops import MultiScaleRoIAlign, box_iou, roi_align

SEED = 0
ml.manual_seed(SEED)
ml.set_num_threads(1)  # most steps of a detector are small, and to share them costs more than it saves

# %% [markdown]
# ## Scenes
#
# Digits on photographs, one to three in each scene, with overlap; the other settings are those of lesson 15. The test scenes
# show other digits on other photographs.

# %%
DIGITS, SIZE = ("0", "1", "2"), 96
TRAIN, WITH_PROPOSALS, TEST = (24, 8, 8) if FAST else (1500, 250, 100)
digits = mnist5k()
photographs = [photograph_textures(names) for names in (TRAIN_PHOTOGRAPHS, TEST_PHOTOGRAPHS)]


def scenes(part, length):
    """`length` scenes of the training part (0) or the test part (1)."""
    images, labels = digits[part].images.numpy()[:, 0], digits[part].labels.numpy()
    made = Scenes(
        length, Cutouts(images, labels, digits[part].classes, only=DIGITS, gain=3),
        [0.5 * photograph for photograph in photographs[part]], size=SIZE, objects=(1, 3), scale=(0.3, 0.6),
        min_visible=0.7, seed=(SEED, part),
    )  # fmt: skip
    return [made[i] for i in range(length)]


train_scenes, test_scenes = scenes(0, TRAIN), scenes(1, TEST)
CLASSES = ("background", *DIGITS)
print(f"{sum(len(s['labels']) for s in train_scenes)} objects in {TRAIN} scenes for training, "
      f"{sum(len(s['labels']) for s in test_scenes)} in {TEST} for testing")  # fmt: skip

# %% [markdown]
# ## A region's features
#
# The trunk halves its maps three times: a unit of its last map stands for 8 pixels. To cut a box out of that map, RoIAlign lays
# a grid of, say, 5 × 5 bins over the box, and reads the map at points within each bin by bilinear interpolation, without
# rounding a coordinate (lesson 23 shows what rounding costs). Whatever the size of the box, 5 × 5 numbers per channel come
# out, and dense layers can follow. It is linear in the map, so its backward pass is its adjoint: gradients go back to the
# pixels that were read.
#
# On an image itself it is a crop that is resized:


# %%
def convolution(before, width, kernel=3, stride=1):
    layer = nn.Conv2d(before, width, kernel, stride=stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return layer, nn.BatchNorm2d(width), nn.ReLU()


def trunk():
    """Maps of stride 8 with 64 channels."""
    layers = nn.Sequential(
        *convolution(3, 16, 5, stride=2), *convolution(16, 32), nn.MaxPool2d(2),
        *convolution(32, 64), *convolution(64, 64), nn.MaxPool2d(2), *convolution(64, 64), *convolution(64, 64),
    )  # fmt: skip
    layers.out_channels = 64
    return layers


shown = test_scenes[1]
crops = roi_align(shown["image"][None], [shown["boxes"]], 32, sampling_ratio=2)
ramp = ml.arange(12).float().expand(1, 1, 12, 12)
bins = roi_align(ramp, [[[1.3, 2.0, 7.3, 8.0]]], 3, sampling_ratio=2).numpy()[0, 0, 0]
print(f"a map that rises by 1 per pixel, read in three bins from 1.3 to 7.3: {bins}, the bins' centers")

assert np.allclose(bins, [2.3, 4.3, 6.3], atol=1e-5) and crops.shape == (len(shown["boxes"]), 3, 32, 32)

# %% [markdown]
# ## Anchors
#
# Where do proposals come from? At every unit of the map stand *anchors*, boxes of a few sizes. A small convolutional network,
# the *region proposal network*, gives each anchor a score, object or not, and four numbers that move it onto the object. An anchor
# counts as an object if it overlaps one by at least 0.6, or more than all others overlap that object; as background if it
# overlaps none by 0.3; otherwise it does not count. We look at them for one scene: 12 × 12 places with three sizes each.

# %%
SIZES, OBJECT, BACKGROUND = (24, 36, 54), 0.6, 0.3
generator = AnchorGenerator((SIZES,), ((1.0,),))
(anchors,) = generator((SIZE, SIZE), [ml.zeros(1, 1, SIZE // 8, SIZE // 8)])
matched = Matcher(OBJECT, BACKGROUND, allow_low_quality_matches=True)(box_iou(shown["boxes"], anchors)).numpy()
objects = matched >= 0  # for these, `matched` is the number of the object
print(
    f"{len(anchors)} anchors: {objects.sum()} objects, {(matched == -1).sum()} background, "
    f"{(matched == -2).sum()} neither"
)

assert len(anchors) == 3 * (SIZE // 8) ** 2 and set(matched[objects]) == set(range(len(shown["boxes"])))

# %% [markdown]
# ## Training
#
# The loss has four parts. For a sample of anchors: cross-entropy of object or not, and for those that are objects the smooth
# L1 loss of the four numbers. For a sample of the proposals that come out: cross-entropy of the class, and again four numbers,
# for the class that is there. Proposals count as given: no gradient goes through their corners. All parts share the trunk.
#
# Fast R-CNN has the last two losses only. Its proposals come from selective search, as in lesson 21. They are slow to find, so
# it gets fewer scenes and fewer steps, and its row in the table below is no contest of the two methods.

# %%
STEPS, FAST_STEPS, BATCH, RATE = (6, 4, 4, 2e-3) if FAST else (900, 450, 8, 2e-3)
SETTINGS = {
    "min_size": None, "size_divisible": 8, "image_mean": (0.25,) * 3, "image_std": (0.25,) * 3,
    "box_roi_pool": MultiScaleRoIAlign(["0"], 5, 2), "representation_size": 128, "box_batch_size_per_image": 32,
}  # fmt: skip


def propose(image):
    """Selective search, in four of its variants; the first boxes are the most trusted."""
    return selective_search(image, scales=(100, 200), min_size=10)


def learn(model, samples, steps, proposals=None):
    """AdamW, the rate up and down again. Returns the losses of each step."""
    optimizer = optim.AdamW(model.parameters(), lr=RATE)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=RATE, total_steps=steps, pct_start=0.15)
    rng, history = np.random.default_rng(SEED), []
    model.train()
    for _ in range(steps):
        chosen = rng.integers(len(samples), size=BATCH)
        batch = [samples[i] for i in chosen]
        more = {} if proposals is None else {"proposals": [proposals[i] for i in chosen]}
        losses = model([sample["image"] for sample in batch], batch, **more)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        schedule.step()
        history.append({name: loss.item() for name, loss in losses.items()})
    return history


def detect(model, samples, proposals=None):
    """The detections of each scene, one scene at a time."""
    model.eval()
    found = []
    with ml.no_grad():
        for number, sample in enumerate(samples):
            more = {} if proposals is None else {"proposals": [proposals[number]]}
            found += model([sample["image"]], **more)
    return found


def measure(found, samples):
    metrics = DetectionMetrics()
    metrics.update(found, samples)
    return metrics.compute()


start = time.perf_counter()
searched = [propose(sample["image"]) for sample in train_scenes[:WITH_PROPOSALS]]
searched_test = [propose(sample["image"]) for sample in test_scenes]
search_time = (time.perf_counter() - start) / (WITH_PROPOSALS + TEST)
print(
    f"selective search: {np.mean([len(boxes) for boxes in searched_test]):.0f} boxes, {1e3 * search_time:.0f} ms a scene"
)

ml.manual_seed(SEED)
faster = models.FasterRCNN(
    trunk(), len(CLASSES), **SETTINGS, rpn_anchor_generator=generator, rpn_fg_iou_thresh=OBJECT,
    rpn_bg_iou_thresh=BACKGROUND, rpn_batch_size_per_image=64, rpn_pre_nms_top_n_train=200, rpn_pre_nms_top_n_test=200,
    rpn_post_nms_top_n_train=60, rpn_post_nms_top_n_test=60,
)  # fmt: skip
history = learn(faster, train_scenes, STEPS)
print("Faster R-CNN, last losses:", {name: round(loss, 3) for name, loss in history[-1].items()})
ml.manual_seed(SEED)
fast = models.FastRCNN(trunk(), len(CLASSES), **SETTINGS)
fast_history = learn(fast, train_scenes[:WITH_PROPOSALS], FAST_STEPS, searched)
print("Fast R-CNN, last losses:  ", {name: round(loss, 3) for name, loss in fast_history[-1].items()})

# %% [markdown]
# ## What they find
#
# The time is that of a test scene from its pixels to its boxes, proposals included.


# %%
def timed_detect(*arguments):
    start = time.perf_counter()
    return detect(*arguments), (time.perf_counter() - start) / TEST


found_fast, seconds_fast = timed_detect(fast, test_scenes, searched_test)
found_faster, seconds_faster = timed_detect(faster, test_scenes)
found = {"Fast R-CNN": found_fast, "Faster R-CNN": found_faster}
seconds = {"Fast R-CNN": search_time + seconds_fast, "Faster R-CNN": seconds_faster}
results = {name: measure(detections, test_scenes) for name, detections in found.items()}
print("                mAP   AP50   AP75   time      (mAP: mean over IoU 0.5 … 0.95)")
for name, result in results.items():
    print(f"{name:13s} {result['AP']:5.3f} {result['AP50']:6.3f} {result['AP75']:6.3f} {1e3 * seconds[name]:6.0f} ms")

if not FAST:
    assert results["Faster R-CNN"]["AP50"] >= 0.80
    assert results["Fast R-CNN"]["AP50"] >= 0.70
    assert seconds["Faster R-CNN"] < seconds["Fast R-CNN"]

# %% [markdown]
# ## How good are the proposals?
#
# A detector cannot find what is not proposed. So we count: of the true objects, what share has a proposal that overlaps it by
# half or more, among the first $n$?

# %%
NUMBERS = (1, 2, 3, 5, 10, 20, 40, 60)


def rpn_proposals(image):
    """The proposals of Faster R-CNN for one image, the best first."""
    with ml.no_grad():
        batch, _ = faster.transform([image])
        proposals, _ = faster.rpn(batch, faster.features(batch.images))
    return proposals[0]


def recall(proposals, number):
    hits = [
        (box_iou(sample["boxes"], boxes[:number]).numpy().max(axis=1) >= 0.5)
        for sample, boxes in zip(test_scenes, proposals, strict=True)
    ]
    return np.concatenate(hits).mean()


learned = [rpn_proposals(sample["image"]) for sample in test_scenes]
recalls = {
    name: [recall(boxes, number) for number in NUMBERS]
    for name, boxes in (("selective search", searched_test), ("RPN", learned))
}
print("first proposals    " + "".join(f"{number:6d}" for number in NUMBERS))
for name, values in recalls.items():
    print(f"{name:18s} " + "".join(f"{value:6.2f}" for value in values))

if not FAST:
    assert recalls["RPN"][NUMBERS.index(10)] > max(0.9, recalls["selective search"][NUMBERS.index(10)])

# %% [markdown]
# Selective search knows nothing of digits, so its first boxes are anything that hangs together. The RPN has learned what
# an object looks like here. It would not find a cat.
#
# ## What the time goes to
#
# R-CNN warps each proposal, here to 48 × 48 pixels, and runs the trunk on it. Fast and Faster R-CNN run it once, and read
# the proposals from the map. The trunk, the number of proposals and the dense layers are the same in all three rows, so
# that only the method differs. (Lesson 21 has another network, on crops of 32 × 32.)

# %%
REPEATS = 2 if FAST else 10


def milliseconds(function):
    function()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1e3 * np.median(times)


image, boxes = shown["image"][None], searched_test[1][:200]
network = fast.backbone.eval()
with ml.no_grad():
    features = network(image)
    regions = roi_align(features, [boxes], 5, 1 / 8, 2)
    warped = milliseconds(lambda: network(roi_align(image, [boxes], 48, sampling_ratio=2)))
    once = milliseconds(lambda: network(image))
    read = milliseconds(lambda: roi_align(features, [boxes], 5, 1 / 8, 2))
    rpn_time = milliseconds(lambda: rpn_proposals(shown["image"])) - once
    heads = milliseconds(lambda: fast.roi_heads.box_predictor(fast.roi_heads.box_head(regions)))
speedup = warped / (once + read)
print(f"ms for {len(boxes):3d} proposals  finding them  features   heads     all")
for name, parts in {
    "R-CNN": (1e3 * search_time, warped, heads),
    "Fast R-CNN": (1e3 * search_time, once + read, heads),
    "Faster R-CNN": (rpn_time, once + read, heads),
}.items():
    print(f"{name:20s} {parts[0]:14.1f} {parts[1]:9.1f} {parts[2]:7.1f} {sum(parts):7.1f}")
print(f"features by one pass: {speedup:.0f} times as fast as by {len(boxes)}")

assert speedup >= (2 if FAST else 10)

# %% [markdown]
# Sharing the features makes their part cheap, and then nearly all the time goes to the proposals. This is what Faster R-CNN
# removes: on the same map, they cost a few milliseconds.
#
# ## Pictures
#
# The parts: a scene; the anchors that count as objects, each in the colour of its object, with an arrow from its center to
# the object's, which is what it learns; the best proposals of the RPN; the objects as RoIAlign crops them; recall against
# the number of proposals; the losses. Then detections on test scenes that were not chosen: the first eight.

# %%
plt.rcParams.update({"axes.titlesize": 10, "font.size": 9})
figure, axes = plt.subplots(2, 3, figsize=(13, 8), layout="constrained")
(scene_ax, anchor_ax, rpn_ax), (crop_ax, recall_ax, loss_ax) = axes
draw.show(scene_ax, shown["image"].numpy(), "a test scene and its objects")
draw.show(anchor_ax, shown["image"].numpy(), f"the {objects.sum()} of {len(anchors)} anchors that count as objects")
for ax, corners, number in (
    (scene_ax, shown["boxes"].numpy(), np.arange(len(shown["boxes"]))),
    (anchor_ax, anchors.numpy()[objects], matched[objects]),
):
    draw.draw_boxes(ax, corners, labels=number + 1, classes=[""] * (len(shown["boxes"]) + 1))
for anchor, target in zip(anchors.numpy()[objects], shown["boxes"].numpy()[matched[objects]], strict=True):
    tail, head = (anchor[:2] + anchor[2:]) / 2, (target[:2] + target[2:]) / 2
    anchor_ax.annotate("", head, tail, arrowprops={"arrowstyle": "->", "color": "white", "linewidth": 1.5})
draw.show(rpn_ax, shown["image"].numpy(), "the ten best proposals of the RPN")
draw.draw_boxes(rpn_ax, learned[1][:10])
draw.show(crop_ax, np.concatenate(list(crops.numpy().clip(0, 1)), axis=2), "RoIAlign on the image itself")
for name, values in recalls.items():
    recall_ax.plot(NUMBERS, values, "o-", label=name)
recall_ax.set(title="objects with a proposal of IoU ≥ ½", xlabel="number of proposals", ylim=(0, 1.02), xscale="log")
recall_ax.set_xticks(NUMBERS, NUMBERS)
window = np.ones(min(25, STEPS)) / min(25, STEPS)
for name in history[0]:
    loss_ax.plot(np.convolve([losses[name] for losses in history], window, mode="valid"), label=name)
loss_ax.set(title="losses of Faster R-CNN in training", xlabel="step", yscale="log")
for ax in (recall_ax, loss_ax):
    ax.legend(frameon=False)
    ax.grid(alpha=0.3)
save_picture(figure, "22_parts")

figure = draw.panels([sample["image"] for sample in test_scenes[:8]], columns=4, side=2.6)
for ax, detections in zip(figure.axes, found["Faster R-CNN"], strict=False):
    sure = detections["scores"].numpy() >= 0.5
    draw.draw_boxes(
        ax, detections["boxes"].numpy()[sure], labels=detections["labels"].numpy()[sure],
        scores=detections["scores"].numpy()[sure], classes=CLASSES,
    )  # fmt: skip
save_picture(figure, "22_faster_rcnn")

# %% [markdown]
# ## Summary
#
# - RoIAlign reads a region of any size out of a map, by interpolation, and passes gradients back through it. So one pass of
#   the trunk serves all proposals.
# - The region proposal network scores anchors at every place of the same map. It learns what to propose, and here ten of
#   its proposals do what forty of selective search's do.
# - Four losses train everything at once; the corners of proposals are taken as given.
#
# ## Exercises
#
# 1. Take one size of anchors instead of three. Which objects are lost, and at which IoU?
# 2. Train Fast R-CNN with the RPN's proposals. Is what remains between it and Faster R-CNN the proposals or the shared training?
# 3. Let the box head see 3 × 3 or 7 × 7 bins. What happens to AP50 and AP75?
# 4. Set `box_nms_thresh` to 0.3 and 0.7. Look for pairs of digits that overlap.
# 5. Warp to 32 × 32 or 64 × 64 instead of 48 × 48. By what factor are shared features faster then, and why?
# 6. `models.fasterrcnn_resnet50_fpn` is the same with a pyramid of maps. Load torchvision's file, and try a photograph.

# %%
finish(
    *(
        f"{name}: mAP {result['AP']:.3f}, AP50 {result['AP50']:.3f}, AP75 {result['AP75']:.3f}"
        for name, result in results.items()
    ),
    f"features of {len(boxes)} proposals: {speedup:.0f} times as fast as one pass for each",
    f"recall of 10 proposals: RPN {recalls['RPN'][NUMBERS.index(10)]:.2f}, selective search "
    f"{recalls['selective search'][NUMBERS.index(10)]:.2f}",
)
