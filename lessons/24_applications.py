# %% [markdown]
# # 24  Applications: a face detector in a photograph, and objects followed through a video
#
# **Goal.** Train a small network on eighty faces of 25 × 25 pixels, slide it over a photograph at all places and sizes in a few
# convolutions, and find the astronaut's face. Then let faces that the network has never seen move over a landscape of textures, detect
# them frame by frame, link the detections to tracks, and save it as an animation: each face must keep its number.
#
# **Needs.** Lessons 14 (a dense layer is a convolution) and 21 (IoU, hard negatives, non-maximum suppression).
#
# **Time.** One to one and a half minutes on two cores.

# %%
import numpy as np
from _lesson import FAST, OUTPUT, finish, save_picture
from matplotlib import pyplot as plt

import minidl as ml
from minidl import functional as F
from minidl import models, nn, optim
from minidl.data.datasets import lfw_subset, photographs
from minidl.data.transforms import Resize
from minidl.vision import draw, samples
from minidl.vision.ops import box_iou, nms

SEED = 0
ml.manual_seed(SEED)
rng = np.random.default_rng(SEED)

# %% [markdown]
# ## Windows
#
# Before proposals there were windows. Rowley, Baluja and Kanade (1998) slid a network of 20 × 20 pixels over an image at all places and
# scales, Viola and Jones (2001) made that fast enough for cameras, and MTCNN (Zhang and colleagues, 2016) starts with a network of
# 12 × 12 that runs over an *image pyramid*: the image shrunk again and again, so that a network for one size finds all sizes. For
# objects of one shape that is still a good way: no proposals, and the windows share their convolutions.
#
# ## Faces and all else
#
# `lfw_subset` has 100 faces and 100 patches that are none. A fifth of each is held out. Faces are made to go further by mirroring,
# by small shifts and changes of scale, so that the network need not hit them exactly, and by contrast and brightness. What is
# *not* a face is most of the world: patches at all scales of photographs without people; and so that the network looks at how a
# face is put together, not at its grays, faces upside down and parts of faces.

# %%
SIDE = 25
FACES, STEPS, ROUNDS = (400, 30, 1) if FAST else (6000, 300, 5)
WORLD = (
    "brick",
    "chelsea",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "ihc",
    "moon",
    "motorcycle_left",
    "page",
    "rocket",
    "text",
)


def gray(name):
    """A photograph as (H, W)."""
    return photographs(name).mean(axis=0)


def resized(image, scale):
    """(H, W) shrunk or enlarged, without aliasing."""
    height, width = (max(SIDE, round(side * scale)) for side in image.shape)
    return Resize((height, width))(image[None])[0]


def crop_all(images, count, zoom=(0.85, 1.2), shift=2.0):
    """(count, 1, 25, 25) of the images (M, 25, 25): mirrored, turned by ±10°, scaled and shifted at random."""
    picked = images[rng.integers(len(images), size=count)]
    scale, angle, mirror = 1 / rng.uniform(*zoom, count), rng.normal(0, np.pi / 36, count), rng.choice((-1, 1), count)
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 0, 1] = scale * mirror * np.cos(angle), -scale * np.sin(angle)
    theta[:, 1, 0], theta[:, 1, 1] = scale * mirror * np.sin(angle), scale * np.cos(angle)
    theta[:, :, 2] = rng.uniform(-shift, shift, (count, 2)) * 2 / SIDE
    grid = F.affine_grid(ml.tensor(theta), (count, 1, SIDE, SIDE), align_corners=False)
    return F.grid_sample(ml.tensor(picked[:, None]), grid, padding_mode="reflection", align_corners=False).numpy()


def world_patches(count):
    """Patches of photographs, at sizes from 25 pixels to the whole."""
    found = []
    for name in rng.choice(WORLD, 40):
        image = gray(name)
        small = resized(image, np.exp(rng.uniform(np.log(SIDE / min(image.shape)), 0)))
        for _ in range(count // 40):
            top, left = (rng.integers(side - SIDE + 1) for side in small.shape)
            found.append(small[top : top + SIDE, left : left + SIDE])
    return np.stack(found)[:, None]


train, test = lfw_subset(test_fraction=0.2, seed=SEED)
is_face = train.labels.numpy() == 0
faces, others = (train.images.numpy()[mask, 0] for mask in (is_face, ~is_face))
positives = crop_all(faces, FACES)
upside_down, parts = faces[:, ::-1], crop_all(faces, FACES // 4, zoom=(2.0, 3.0), shift=8.0)
negatives = np.concatenate(
    [crop_all(others, FACES // 4), crop_all(upside_down, FACES // 4), parts, world_patches(FACES)]
)
print(f"{len(positives)} crops of {len(faces)} faces, {len(negatives)} patches of other things")

# %% [markdown]
# ## The network
#
# Convolutions without padding, so that a window's score does not depend on whether it is cut out or lies in a larger image. Each
# image is standardized as a whole, and contrast varied in training, since light in a photograph is not that of the crops.


# %%
class FaceNet(nn.Module):
    """25 × 25 → 23 → 11 → 9 → 4 → two dense layers → (face, no face)."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 24, 3), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(24, 48, 3), nn.BatchNorm2d(48), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(48 * 4 * 4, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 2)
        )

    def forward(self, x):
        return self.classifier(self.features(x))


def relit(patches):
    """Another light: contrast between 0.6 and 1.5, brightness shifted by up to 0.15."""
    contrast, shift = rng.uniform(0.6, 1.5, (len(patches), 1, 1, 1)), rng.uniform(-0.15, 0.15, (len(patches), 1, 1, 1))
    mean = patches.mean(axis=(2, 3), keepdims=True)
    return ((patches - mean) * contrast + mean + shift).clip(0, 1).astype(np.float32) - np.float32(0.5)


def learn(model, negatives, steps):
    """Batches of 32 faces and 64 others."""
    optimizer = optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=steps)
    targets = ml.tensor(np.repeat([0, 1], [32, 64]))
    model.train()
    for _ in range(steps):
        batch = [positives[rng.integers(len(positives), size=32)], negatives[rng.integers(len(negatives), size=64)]]
        loss = F.cross_entropy(model(ml.tensor(relit(np.concatenate(batch)))), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()
    return loss.item()


def face_scores(model, x):
    """How much more a face than not: the difference of the logits, for (N, 1, h, w) in [0, 1], N maps."""
    with ml.no_grad():
        logits = model(ml.tensor(x - np.float32(0.5))).numpy()
    return logits[:, 0] - logits[:, 1]


network = FaceNet()
loss = learn(network, negatives, STEPS)
held_out = face_scores(network, test.images.numpy()) > 0
held_out_accuracy = (held_out == (test.labels.numpy() == 0)).mean()
print(f"loss {loss:.3f}; right on {held_out_accuracy:.1%} of {len(test.labels)} held-out patches")

# %% [markdown]
# ## A pyramid of convolutions
#
# `models.convolutionalize` makes one convolution of the whole network: on an image of any size it gives the score of every
# window, four pixels apart. A unit at $(i, j)$ of the level that is $s$ times as large as the image is the window with its corner at $(4j, 4i) / s$ and the side
# $25 / s$. Levels are $2^{1/4}$ apart, so that some level is within 9 % of the size.

# %%
STRIDE = 4
window = ml.tensor(rng.random((1, 1, SIDE, SIDE), np.float32))
with ml.no_grad():
    difference = (models.convolutionalize(network)(window)[..., 0, 0] - network(window)).abs().max().item()
print(f"one window, as it is and as a convolution: differ by {difference:.0e}")


def windows(model, image, smallest=28, largest=160, threshold=0.0):
    """Boxes (K, 4) and scores (K,) of all windows of an image (H, W) with a score above the threshold."""
    sliding, boxes, scores = models.convolutionalize(model).eval(), [], []
    for side in smallest * 2.0 ** (np.arange(0, 4 * np.log2(largest / smallest) + 0.5) / 4):
        level = resized(image, SIDE / side)
        found = face_scores(sliding, level[None, None])[0]
        rows, columns = np.nonzero(found > threshold)
        across, down = (before / after for before, after in zip(image.shape[::-1], level.shape[::-1], strict=True))
        corner = np.stack([columns * STRIDE * across, rows * STRIDE * down], axis=1)
        boxes.append(np.concatenate([corner, corner + [SIDE * across, SIDE * down]], axis=1))
        scores.append(found[rows, columns])
    return np.concatenate(boxes).astype(np.float32), np.concatenate(scores)


assert difference < 1e-4

# %% [markdown]
# ## Hard negatives once more
#
# A photograph has ten thousand windows, of which one is the face: of a network that errs once in a hundred, 99 of 100 alarms are false.
# So we let it run over photographs without people, take every window that it calls a face, and train again with these among the
# negatives (Sung and Poggio, 1994, whose *bootstrapping* R-CNN's mining comes from). In each round the photographs are turned by a
# quarter, so that it meets what it has not just been trained on.


# %%
def false_alarms(model, turns, most=600):
    """Patches of photographs without people, turned by quarters, that the model calls faces; and how many there are."""
    patches, count = [], 0
    for name in WORLD:
        image = gray(name)
        image = np.rot90(resized(image, min(1.0, 500 / max(image.shape))), turns)
        boxes, scores = windows(model, image)
        count += len(boxes)
        for x1, y1, x2, y2 in boxes[np.argsort(-scores)[:most]].round().astype(int):
            part = image[max(y1, 0) : y2, max(x1, 0) : x2]
            patches.append(Resize((SIDE, SIDE))(part[None]))
    return np.stack(patches) if patches else np.zeros((0, 1, SIDE, SIDE), np.float32), count


alarms = []
for number in range(ROUNDS + 1):
    hard, count = false_alarms(network, number)
    alarms.append(count)
    print(f"after round {number}: {count} windows of {len(WORLD)} photographs without people are called faces")
    if number < ROUNDS and len(hard):
        repeated = hard[rng.integers(len(hard), size=len(negatives) // 3)]  # a quarter of the negatives is hard
        negatives = np.concatenate([negatives, repeated])
        loss = learn(network, negatives, STEPS)

if not FAST:
    assert alarms[-1] < alarms[0] / 3

# %% [markdown]
# ## The astronaut
#
# `astronaut` is a photograph of Eileen Collins that no part of the training has seen. A face that is there answers at neighbouring places
# and sizes, a false alarm often in one window only (Rowley and colleagues). So each window's score is the sum of the scores
# of all that overlap it by half; non-maximum suppression then leaves one of each cluster.

# %%
FACE = np.array([[172.0, 65.0, 272.0, 185.0]], np.float32)  # drawn by hand, from the hairline to the chin


def merged(boxes, scores):
    """For each window the sum of the scores of all windows that overlap it by half or more, itself among them."""
    return (box_iou(boxes, boxes).numpy() >= 0.5).astype(np.float32) @ scores


photo = gray("astronaut")
boxes, scores = windows(network, photo)
scores = merged(boxes, scores)
keep = nms(boxes, scores, 0.2).numpy()[:5] if len(boxes) else np.zeros(0, int)
for box, score, overlap in zip(boxes[keep], scores[keep], box_iou(boxes[keep], FACE).numpy()[:, 0], strict=True):
    print(f"score {score:5.1f}, box {box.round().astype(int).tolist()}, IoU with the face {overlap:.2f}")
best_iou = box_iou(boxes[keep[:1]], FACE).numpy().max(initial=0)

if not FAST:
    assert best_iou > 0.4

# %% [markdown]
# The surest window is the face. But the name tag and the badge come close: bright on dark, round or with two rows of small things, and no photograph
# without people that we have shows such. What a detector has never been told is *not* a face may well be one.

# %% [markdown]
# ## A video, and tracks
#
# Three held-out faces move over a brick wall, one of them growing, as if it came nearer; where paths cross, one hides
# a part of the other. Every frame is detected on its own. To link detections (Bochinski and colleagues, 2017, call
# it the *IoU tracker*): each track, the longest first, takes the detection that overlaps its last box most, by at least 0.3;
# what is left over begins a new track; a track that misses its face for more than four frames has ended. Short tracks are
# false alarms that came and went, and are dropped. No motion is predicted, no face is recognized: it works as long as things move by
# less than their size from frame to frame.

# %%
FRAMES, HEIGHT, WIDTH = (6 if FAST else 40), 160, 240
background = resized(gray("brick"), 0.5)[:HEIGHT, :WIDTH]
actors = test.images.numpy()[test.labels.numpy() == 0, 0][[0, 3, 6]]
OVAL = np.hypot(*np.meshgrid(*[np.linspace(-1, 1, SIDE)] * 2)) < 1


def place(actor, t):
    """(left, top, side) of a face at time t in 0 … 1."""
    return (
        (10 + 160 * t, 20 + 15 * np.sin(6 * t), 44),
        (180 - 165 * t, 100 - 10 * np.sin(5 * t), 40),
        (95 + 10 * np.sin(4 * t), 92 - 80 * t, 34 + 22 * t),
    )[actor]


def frame_at(t):
    """The frame (H, W), and the true boxes."""
    frame, boxes = background.copy(), []
    for actor in range(len(actors)):
        left, top, side = (round(value) for value in place(actor, t))
        face, inside = (Resize((side, side))(image[None].astype(np.float32))[0] for image in (actors[actor], OVAL))
        under = frame[top : top + side, left : left + side]
        under[:] = inside * face + (1 - inside) * under
        boxes.append([left, top, left + side, top + side])
    return frame, np.array(boxes, np.float32)


def link(frames_of_boxes, least=0.3, patience=4, shortest=8):
    """Tracks from the boxes of each frame: a list of dicts {frame: box}."""
    ended, active = [], []
    for number, boxes in enumerate(frames_of_boxes):
        free = list(range(len(boxes)))
        for track in sorted(active, key=len, reverse=True):
            if free:
                overlaps = box_iou([track[max(track)]], boxes[free]).numpy()[0]
                if overlaps.max() >= least:
                    track[number] = boxes[free.pop(int(overlaps.argmax()))]
        ended += [track for track in active if number - max(track) > patience]
        active = [track for track in active if number - max(track) <= patience] + [{number: boxes[i]} for i in free]
    return [track for track in ended + active if len(track) >= shortest]


video = [frame_at(t) for t in np.linspace(0, 1, FRAMES)]
found = []
for frame, _ in video:
    boxes_here, scores_here = windows(network, frame, smallest=28, largest=64, threshold=1.0)
    found.append(boxes_here[nms(boxes_here, scores_here, 0.2).numpy()] if len(boxes_here) else boxes_here)
tracks = link(found, shortest=2 if FAST else 8)


def owner(track):
    """The face that most boxes of a track overlap by 0.3 or more, and the share of them; −1 is none."""
    overlaps = [box_iou([box], video[number][1]).numpy()[0] for number, box in track.items()]
    whose = [int(row.argmax()) if row.max() >= 0.3 else -1 for row in overlaps]
    actor = max(set(whose), key=whose.count)
    return actor, whose.count(actor) / len(whose)


owners = [owner(track) for track in tracks]
detected = np.mean([
    box_iou(true, boxes_here).numpy().max(axis=1, initial=0) >= 0.3 for (_, true), boxes_here in zip(video, found, strict=True)
])  # fmt: skip
print(f"{detected:.0%} of the faces in {FRAMES} frames are detected")
for track, (actor, share) in zip(tracks, owners, strict=True):
    print(
        f"track over frames {min(track)} to {max(track)}, {len(track)} detections: face {actor} in {share:.0%} of them"
    )

# %% [markdown]
# ## Pictures

# %%
plt.rcParams.update({"axes.titlesize": 10, "font.size": 9})
figure, axes = plt.subplots(1, 4, figsize=(16, 4.3), layout="constrained")
sheet = samples.grid(np.concatenate([positives[:40], negatives[: FACES // 4][:20], negatives[-40:]]), columns=10)
draw.show(axes[0], sheet, "faces (four rows), patches without (two),\nfalse alarms to learn from (four)")
draw.show(axes[1], photo, f"all {len(boxes)} windows that score above 0")
order = np.argsort(-scores)[:150]
draw.draw_boxes(axes[1], boxes[order], colors=np.tile([[1.0, 0.9, 0.2]], (151, 1)))
draw.show(axes[2], photo, "after NMS, with scores")
draw.draw_boxes(axes[2], boxes[keep], scores=scores[keep])
axes[3].bar_label(axes[3].bar(range(len(alarms)), alarms, color="C0"))
axes[3].set(title="false alarms in photographs without people", xlabel="rounds of hard negatives", ylabel="windows",
            yscale="log")  # fmt: skip
axes[3].set_xticks(range(len(alarms)))
save_picture(figure, "24_face_detector")


# %%
def drawn(frame, number):
    """The frame in colour, with the boxes of the tracks."""
    picture = np.repeat(frame[None], 3, axis=0)
    for which, track in enumerate(tracks, 1):
        if number in track:
            x1, y1, x2, y2 = track[number].round().astype(int).clip(0, [WIDTH - 2, HEIGHT - 2] * 2)
            color = draw.palette(len(tracks) + 1)[which][:, None]
            for rows, columns in ((y1, slice(x1, x2)), (y2, slice(x1, x2)), (slice(y1, y2), x1), (slice(y1, y2), x2)):
                picture[:, rows, columns] = color
    return picture


pictures = [drawn(frame, number) for number, (frame, _) in enumerate(video)]
OUTPUT.mkdir(exist_ok=True)
samples.animate(pictures, OUTPUT / "24_tracks.gif", seconds=0.1)
picked = np.linspace(0, FRAMES - 1, 6).astype(int)
figure = draw.panels([pictures[i] for i in picked], [f"frame {i}" for i in picked], columns=3, side=4)
for ax, i in zip(figure.axes, picked, strict=True):
    for which, track in enumerate(tracks, 1):
        if i in track:
            ax.text(
                *track[i][:2], f"track {which}", color=draw.palette(len(tracks) + 1)[which], va="bottom", fontsize=9
            )
save_picture(figure, "24_tracks")

if not FAST:
    assert sorted(actor for actor, _ in owners) == [0, 1, 2] and min(share for _, share in owners) > 0.9

# %% [markdown]
# ## Summary
#
# - A network for one window runs over a whole image as a convolution; a pyramid finds all sizes.
# - A detector meets ten thousand windows without a face for each with one. What it is trained on must include its own false alarms.
# - Detections of neighbouring frames overlap; linking them by IoU is enough while things move slowly and are seldom hidden.
#
# ## Exercises
#
# 1. Leave out the hard negatives. Where does the detector see faces in the astronaut's photograph?
# 2. Make levels of the pyramid 2 apart instead of $2^{1/4}$. Which faces are lost?
# 3. Let two faces cross. Who swaps numbers with whom? Predict each track's next box from its last two, and look again.
# 4. `camera` holds a man with a small face in profile. Does the detector find it? What would it have to be trained on?

# %%
finish(
    f"the astronaut's face is found with IoU {best_iou:.2f}; false alarms went from {alarms[0]} to {alarms[-1]}",
    f"{len(tracks)} tracks for {len(actors)} faces over {FRAMES} frames, {detected:.0%} of faces detected",
)
