# %% [markdown]
# # 11  Transfer learning: what a network knows before it has seen a single one of your images
#
# **Goal.** Learn to read digits from 5, 10, 20 and 50 images of each, with a network that was trained on a million
# photographs and on no digit, and beat a network trained from scratch by at least 5 percentage points at 10 images
# per class. On the way: what freezing must freeze, why the usual recipe *loses* here, at which depth features
# transfer, and how to fine-tune with a learning rate for each layer.
#
# **Needs.** Lessons 06 (LeNet-5, batch norm, the two modes) and 10 (augmentation). EfficientNet-Lite0's weights come
# with the extra `lessons`; nothing is downloaded.
#
# **Time.** One to two minutes on two cores.

# %%
import time

import numpy as np
from _lesson import FAST, finish, save_picture
from matplotlib import pyplot as plt

import minidl as ml
from minidl import functional as F
from minidl import models, nn, optim
from minidl.data.datasets import mnist5k, photographs
from minidl.data.transforms import RandomAffine
from minidl.metrics import accuracy
from minidl.nn.utils import freeze, unfreeze

# %% [markdown]
# ## Where the idea comes from
#
# - **1976.** Bozinovski and Fulgosi ask what a perceptron that was trained on one set of patterns gains or loses by it
#   on another, depending on how similar the two are.
# - **2013.** *DeCAF* (Donahue and colleagues) takes the activations of AlexNet, which was trained on ImageNet, as
#   features for other tasks, with a linear classifier on top, and beats features made by hand. Razavian and
#   colleagues (2014) do so on many tasks and call the result "an astounding baseline".
# - **2014.** Yosinski and colleagues measure it layer by layer: the first layers are general, the last ones belong to
#   the task that they were trained for, and in between features pass from the one kind to the other.
# - **2018.** Howard and Ruder fine-tune with a rate for each layer, which falls toward the input.
#
# Why should it work? A network that tells a thousand kinds of things apart needs edges, corners, strokes, arcs and
# textures on the way, and those are in all images. To learn them takes many images; to combine them anew takes few.
#
# ## Few images
#
# Digits of 28 × 28 pixels from MNIST. For each seed there are 50 training images of each class, from which the
# smaller sets are taken; no two seeds share an image, so that the spread between seeds is that of independent
# experiments. Other images of each class, `held_out`, decide what we have to choose.

# %%
SIZES, SEEDS, HELD_OUT, TEST = ((5, 10), 2, 10, 20) if FAST else ((5, 10, 20, 50), 5, 50, 100)
PER_CLASS = 10  # where transfer has to win
MOST = max(SIZES)
pool, test_set = mnist5k(test_fraction=0.2, seed=0)
rng = np.random.default_rng(0)


def by_class(labels, count):
    """(10, count): the positions of `count` images of each digit, drawn at random."""
    return np.stack([rng.permutation(np.flatnonzero(labels.numpy() == digit))[:count] for digit in range(10)])


drawn = by_class(pool.labels, SEEDS * MOST + HELD_OUT)
test = by_class(test_set.labels, TEST).ravel()
images = ml.cat([pool.images[drawn.ravel()], test_set.images[test]])
labels = ml.cat([pool.labels[drawn.ravel()], test_set.labels[test]])
positions = np.arange(drawn.size).reshape(drawn.shape)
draws, held_out = np.split(positions, [SEEDS * MOST], axis=1)
held_out = held_out.ravel()
test = np.arange(drawn.size, len(images))


def training_images(seed, size):
    """Where the first `size` images of each class of this seed are."""
    return draws[:, seed * MOST : seed * MOST + size].ravel()


print(f"{draws.size} images to draw from, {len(held_out)} held out for choices, {len(test)} to test on")

assert set(draws.ravel()).isdisjoint(held_out) and drawn.size == len(np.unique(drawn))
assert not set(training_images(0, MOST)) & set(training_images(1, MOST))
assert np.bincount(labels[training_images(1, 5)].numpy()).tolist() == [5] * 10

# %% [markdown]
# ## From scratch
#
# The rival is lesson 06's LeNet-5 with batch norm, trained by AdamW on a one-cycle schedule, for more steps where
# there are more images. Its largest rate, 0.003, was chosen among {0.001, 0.003, 0.01} and the number of steps between
# 100 and 300, for 10 and for 50 images per class, by accuracy on *test images*: the rival may have that advantage.


# %%
def lenet5():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def right(model, inputs, where):
    """The accuracy of a model, in evaluation mode, on some of the inputs."""
    model.eval()
    with ml.no_grad():
        return accuracy(model(inputs[where]), labels[where])


def from_scratch(seed, size):
    ml.manual_seed(seed)
    order = np.random.default_rng(seed)
    where, steps = training_images(seed, size), 100 + 4 * size
    model = lenet5()
    optimizer = optim.AdamW(model.parameters(), lr=0.003)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.003, total_steps=steps)
    for _ in range(steps):
        batch = order.permutation(where)[:50]
        optimizer.zero_grad()
        F.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()
        schedule.step()
    return right(model, images, test)


def over_seeds(learn):
    """(sizes, seeds): what `learn(seed, size)` reaches."""
    return np.array([[learn(seed, size) for seed in range(SEEDS)] for size in SIZES])


def show(name, found):
    columns = "   ".join(f"{row.mean():5.1%} ± {row.std(ddof=1):4.1%}" for row in found)
    print(f"{name:34s} {columns}")


curves = {"LeNet-5 from scratch": over_seeds(from_scratch)}
print("test accuracy, mean ± standard deviation between seeds, for images per class:", *SIZES)
show("LeNet-5 from scratch", curves["LeNet-5 from scratch"])

# %% [markdown]
# ## A trunk from ImageNet
#
# EfficientNet-Lite0 (Tan and Le 2019) has 4.65 million parameters in a stem, 16 blocks, a last convolution and a head
# of 1,000 logits. First let us see that it does know photographs.

# %%
network = models.efficientnet_lite0(pretrained=True).eval()
prepare_photograph = models.preprocessing("efficientnet_lite0")
for name in ("chelsea", "coffee"):
    with ml.no_grad():
        chances = F.softmax(network(ml.tensor(prepare_photograph(photographs(name))[None])), dim=1).numpy()[0]
    print(f"the photograph {name!r} shows: {models.class_names()[chances.argmax()]}, {chances.max():.0%} sure")

assert models.class_names()[chances.argmax()] == "espresso"

# %% [markdown]
# The usual recipe: put a new head of 10 logits in the place of the old one, freeze everything else, train the head.
#
# Freezing has a trap. To take the gradients from the parameters is not enough: a batch norm in training mode uses the
# statistics of the batch and moves its running ones, with or without gradients, and `model.train()` would put it into
# that mode. `freeze` therefore also keeps the layers in evaluation mode, through every `train()`. The check: a step
# of training, after which everything but the head is the same to the bit, and beside it the step that only takes the
# gradients away.


# %%
def step_of_training(model, parameters):
    """The names of what one step with AdamW changes, weight decay included."""
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    optimizer = optim.AdamW(parameters, lr=0.01, weight_decay=0.1)
    model.train()
    F.cross_entropy(model(prepare(images[:8])), labels[:8]).backward()
    optimizer.step()
    return [name for name, value in model.state_dict().items() if not np.array_equal(value.numpy(), before[name])]


SIDE = 64


def prepare(digits):
    """(N, 1, 28, 28) in [0, 1] → (N, 3, SIDE, SIDE): larger, three channels, and (x − 127) / 128 for bytes x."""
    large = F.interpolate(digits, size=(SIDE, SIDE), mode="bilinear")
    return ((large * 255 - 127) / 128).repeat(1, 3, 1, 1)


ml.manual_seed(0)
careless = models.efficientnet_lite0(pretrained=True).requires_grad_(False)
models.replace_head(careless, 10)
changed_carelessly = step_of_training(careless, careless.parameters())

model = models.efficientnet_lite0(pretrained=True)
head = models.replace_head(model, 10)
freeze(model)
unfreeze(head)
changed = step_of_training(model, model.parameters())
print(f"frozen: a step changes {changed}")
print(f"only without gradients: it changes {len(changed_carelessly)} tensors, such as {changed_carelessly[0]}")

assert changed == ["_fc.weight", "_fc.bias"]
assert len(changed_carelessly) == 2 + 3 * sum(isinstance(layer, nn.BatchNorm2d) for layer in careless.modules())

# %% [markdown]
# ## Features
#
# What a frozen trunk says about an image is always the same. So it need be computed only once, and what is then
# trained is a linear classifier of vectors: milliseconds instead of minutes.
#
# The digits are enlarged to 64 × 64 pixels. The network was trained at 224 × 224, which would cost twelve times as
# much; at 28 × 28 its five halvings would leave 2 × 2 pixels in the middle of the trunk and a single one at its end.
#
# We take the features not only at the top, where the recipe takes them (the 1,280 numbers that go into the head), but
# also further down. There, maps are averaged over 2 × 2 windows, so that a feature also says in which quarter of the
# image it was found.

# %%
LAYERS = {f"_blocks.{i}": f"block {i}" for i in (2, 4, 7, 10, 14)} | {"_dropout": "top"}


def batches(where, size=50):
    return (prepare(images[where[i : i + size]]) for i in range(0, len(where), size))


everything = np.arange(len(images))
start = time.perf_counter()
features = models.extract_features(network, batches(everything), list(LAYERS), pool=2)
seconds = time.perf_counter() - start
print(f"features of {len(images)} images in {seconds:.1f} s, {1000 * seconds / len(images):.1f} ms an image")
for path, name in LAYERS.items():
    print(f"  {name:9s} {features[path].shape[1]:5d} numbers")

with ml.no_grad():
    logits = network(prepare(images[:4])).numpy()
    assert np.allclose(network._fc(features["_dropout"][:4]).numpy(), logits, atol=1e-3)
assert features["_blocks.10"].shape == (len(images), 4 * 112)

# %% [markdown]
# ## The depth from which to transfer
#
# The head first brings each feature to mean 0 and variance 1 (batch norm, with all training images as one batch), for
# they have very different sizes; then it is linear. There are more weights than images, so they are held small by
# weight decay. Rate and decay are the best of five pairs, by accuracy on training images that were left out; they
# matter by a point or so.
#
# Which layer is the best? That is a choice, so the held-out images decide.


# %%
def train_head(vectors, seed, size, steps=100):
    ml.manual_seed(seed)
    where = training_images(seed, size)
    x, y = vectors[where], labels[where]
    head = nn.Sequential(nn.BatchNorm1d(x.shape[1]), nn.Linear(x.shape[1], 10))
    optimizer = optim.AdamW(head.parameters(), lr=0.01, weight_decay=1.0)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(head(x), y).backward()
        optimizer.step()
    return head


by_depth = {
    path: np.array(
        [right(train_head(features[path], seed, PER_CLASS), features[path], held_out) for seed in range(SEEDS)]
    )
    for path in LAYERS
}
print(f"held-out accuracy with {PER_CLASS} images per class, by where the features are taken")
for path, found in by_depth.items():
    print(f"  {LAYERS[path]:9s} {found.mean():5.1%} ± {found.std(ddof=1):.1%}")
best = max(by_depth, key=lambda path: by_depth[path].mean())
print(f"chosen: {LAYERS[best]}")

assert by_depth[best].mean() > by_depth["_dropout"].mean() + 0.1
assert best in ("_blocks.7", "_blocks.10")

# %% [markdown]
# So the middle it is. The first blocks know strokes but not yet shapes; the last ones have learned to forget what
# makes no difference between kinds of dogs, and where in the image a thing is. This is Yosinski's finding, with the
# two tasks as far apart as photographs and digits. Where the tasks are near, as other photographs would be, the usual
# recipe is usually right.
#
# ## Learning curves

# %%
for name, path in (("trunk, features of the top", "_dropout"), (f"trunk, features of {LAYERS[best]}", best)):
    vectors = features[path]
    curves[name] = over_seeds(lambda seed, size, vectors=vectors: right(train_head(vectors, seed, size), vectors, test))
print("test accuracy, mean ± standard deviation between seeds, for images per class:", *SIZES)
for name, found in curves.items():
    show(name, found)

scratch, top, middle = curves.values()
row = SIZES.index(PER_CLASS)
gain = middle[row] - scratch[row]
print(f"gain over LeNet-5 at {PER_CLASS} per class, seed by seed:", *(f"{value:+.1%}" for value in gain))

assert gain.mean() >= 0.05 and (gain > 0).all()
assert (middle.mean(axis=1) > scratch.mean(axis=1)).all()
assert top[row].mean() < scratch[row].mean()

# %% [markdown]
# With 10 images per class the features of the middle do about as well as LeNet-5 with five times as many. Those of the
# top lose to LeNet-5: a recipe followed without a look at the held-out images would have taught us that transfer does
# not work for digits.
#
# Is it ImageNet that helps, or is any network of this architecture a good bag of features? The control: the same
# trunk with random weights, and the same head on top. To be fair to it, its batch norms get the statistics of digits
# first; with those that they are made with, mean 0 and variance 1, next to nothing would get through ten blocks.

# %%
ml.manual_seed(0)
random_trunk = models.efficientnet_lite0()
for layer in random_trunk.modules():
    if isinstance(layer, nn.BatchNorm2d):
        layer.momentum = None  # the mean over all batches
with ml.no_grad():
    for batch in batches(rng.permutation(held_out)[:200]):
        random_trunk(batch)

where = np.concatenate([training_images(0, PER_CLASS), held_out])
found = models.extract_features(random_trunk, batches(where), list(LAYERS)[: list(LAYERS).index(best) + 1], pool=2)
control = {}
for path, vectors in found.items():
    spread_out = F.zeros(len(images), vectors.shape[1])  # to have them where the images are
    spread_out.data[where] = vectors.numpy()
    control[path] = right(train_head(spread_out, 0, PER_CLASS), spread_out, held_out)
print(f"held-out accuracy with {PER_CLASS} images per class")
for path, value in control.items():
    print(f"  {LAYERS[path]:9s} from ImageNet {by_depth[path][0]:5.1%}, random weights {value:5.1%}")

assert by_depth[best][0] > max(control.values()) + 0.1
assert control[best] < control["_blocks.2"]

# %% [markdown]
# Random filters keep enough of an image as long as there are few of them in a row, and with each block they mix it
# up further. The trained ones sort it: with each block, up to the tenth, digits are easier to tell apart, though no
# digit has been seen.
#
# ## Fine-tuning
#
# Now let the trunk learn, too. Its weights are good and its training images few, so the steps must be small, smaller
# the nearer a layer is to the pixels: layer $k$ from the end learns at the rate $\eta\, d^{\,k}$ (Howard and Ruder
# 2018). `models.parameter_groups` makes the groups for the optimizer.
#
# The trunk is cut after the block that was chosen, and begins with the head that was trained on its features. Its
# batch norms stay frozen: the statistics of twenty images are worse than those of a million.
#
# That head already gives all of its training images right, with hardly any loss left. But now that the trunk sees the
# images again in each epoch, they need not be the same ones each time: as in lesson 10, they are turned, shifted and
# resized a little.

# %%
RATE, DECAY, EPOCHS, BATCH = 5e-4, 0.8, 2 if FAST else 4, 20
last = int(best.removeprefix("_blocks."))
trunk = nn.Sequential(
    {
        "stem": network._conv_stem,
        "norm": network._bn0,
        "relu": nn.ReLU6(),
        "blocks": network._blocks[: last + 1],
        "pool": nn.AdaptiveAvgPool2d(2),
        "flatten": nn.Flatten(),
    }
)
model = nn.Sequential({"trunk": trunk, "head": train_head(features[best], 0, MOST)})
for layer in model.modules():
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        freeze(layer)
groups = models.parameter_groups(model, lr=RATE, decay=DECAY)
rates = [group["lr"] for group in groups]
for group in groups:
    print(f"{group['name']:15s} {sum(p.numel() for p in group['params']):7,} parameters, rate {group['lr']:.1e}")

assert rates == sorted(rates)


# %%
def test_accuracy():
    with ml.no_grad():
        answers = [model.eval()(batch).argmax(dim=1) for batch in batches(test)]
    return accuracy(ml.cat(answers), labels[test])


before = test_accuracy()
start_state = {name: value.numpy().copy() for name, value in model.state_dict().items()}
optimizer = optim.Adam(groups, lr=RATE)
steps = EPOCHS * len(where) // BATCH
schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rates, total_steps=steps)
vary = RandomAffine(degrees=10, translate=(0.08, 0.08), scale=(0.9, 1.1))
ml.manual_seed(0)
where, order, losses = training_images(0, MOST), np.random.default_rng(0), []
for epoch in range(EPOCHS):
    model.train()
    for batch in np.split(order.permutation(where), len(where) // BATCH):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(prepare(vary(images[batch]))), labels[batch])
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    print(f"epoch {epoch + 1:2d}: loss {np.mean(losses[-(len(where) // BATCH) :]):.3f}")
after = test_accuracy()
print(f"test accuracy {before:.1%} with the frozen trunk, {after:.1%} after fine-tuning on {len(where)} images")

norms = [name.rpartition(".")[0] for name in start_state if name.endswith("running_mean")]
moved = {}
for group in groups:
    weight = max((p for p in group["params"]), key=lambda p: p.numel())
    name = next(name for name, parameter in model.named_parameters() if parameter is weight)
    moved[group["name"]] = np.linalg.norm(weight.detach().numpy() - start_state[name]) / np.linalg.norm(
        start_state[name]
    )
print("how far each layer has moved:", *(f"{distance:.2%}" for distance in moved.values()))

assert abs(before - middle[-1][0]) < 0.005  # the features were those of this network
for name, value in model.state_dict().items():
    assert name.rpartition(".")[0] not in norms or np.array_equal(value.numpy(), start_state[name]), name
assert all(distance > 0 for distance in moved.values()) and moved["head.1"] > 10 * moved["trunk.stem"]
an_epoch = len(where) // BATCH
assert FAST or np.mean(losses[-an_epoch:]) < 0.5 * np.mean(losses[:an_epoch])
assert abs(after - before) < 0.03

# %% [markdown]
# One run, one seed, and a difference of a few test images: by lesson 06's rule it shows how it is done and that the
# rates do what they should, and not that fine-tuning gains anything here. That the head on the frozen trunk is hard to
# beat with so few images is no accident: it has 4,490 weights to learn from them, the whole network 690,000. Whether
# the varied images or gentler rates change that takes seeds, and is exercise 3.
#
# ## The picture
#
# The learning curves; the depths; what two layers make of one digit, as they are after fine-tuning; and how far
# fine-tuning has moved each layer, beside its learning rate.

# %%
figure = plt.figure(figsize=(13, 7.6), layout="constrained")
upper, lower = figure.subfigures(2, 1, height_ratios=(1.25, 1))
left, right_half = upper.subplots(1, 2)

for (name, found), color, marker in zip(curves.items(), ("C0", "C3", "C2"), "osD", strict=True):
    left.errorbar(
        SIZES,
        100 * found.mean(axis=1),
        100 * found.std(axis=1, ddof=1),
        color=color,
        marker=marker,
        capsize=4,
        label=name,
    )
left.set(xscale="log", xlabel="training images per class", ylabel="test accuracy in %")
left.set_xticks(SIZES, [str(size) for size in SIZES])
left.minorticks_off()
left.set_title(f"{len(test):,} test digits: mean and standard deviation of {SEEDS} seeds")
left.grid(alpha=0.3)
left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, fontsize=9)

depths = list(LAYERS.values())
means, spread = (100 * np.array([getattr(found, kind)() for found in by_depth.values()]) for kind in ("mean", "std"))
colors = ["C2" if path == best else "C3" if path == "_dropout" else "C7" for path in LAYERS]
right_half.bar(depths, means, yerr=spread, color=colors, capsize=4)
right_half.plot(
    depths[: len(control)], [100 * value for value in control.values()], "kx--", label="the trunk with random weights"
)
right_half.axhline(100 * scratch[row].mean(), color="C0", linestyle="--", label="LeNet-5 from scratch (test)")
right_half.set(
    ylim=(0, 100), ylabel="held-out accuracy in %", title=f"where features are taken; {PER_CLASS} images per class"
)
right_half.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, fontsize=9)

digit_place, movement_place = lower.subfigures(1, 2, width_ratios=(1.15, 1))
example = prepare(images[training_images(0, 5)[[10]]])
with ml.no_grad():
    inside = network._bn0(network._conv_stem(example))
    maps = {"block 2": network._blocks[:3](F.relu6(inside))}
    maps[LAYERS[best]] = network._blocks[3 : last + 1](maps["block 2"])
panels = digit_place.subplots(2, 6)
for axes in panels.flat:
    axes.set(xticks=[], yticks=[])
for axes in panels[:, 0]:
    axes.imshow(example.numpy()[0, 0], cmap="gray_r")
for line, (name, values) in zip(panels, maps.items(), strict=True):
    strongest = np.argsort(-values.numpy()[0].std(axis=(1, 2)))[:5]
    line[0].set_title("64 × 64", fontsize=9)
    line[3].set_title(
        f"{name}: the 5 most varied maps of {values.shape[1]}, {values.shape[2]} × {values.shape[3]}", fontsize=9
    )
    for axes, channel in zip(line[1:], strongest, strict=True):
        axes.imshow(values.numpy()[0, channel])

axes = movement_place.subplots()
short = [name.replace("trunk.blocks.", "").replace("trunk.", "").replace("head.1", "head") for name in moved]
axes.bar(short, [100 * distance for distance in moved.values()], color="C1")
axes.set(xlabel="block", ylabel="moved, % of the weights' norm", title=f"fine-tuning: {before:.1%} → {after:.1%}")
beside = axes.twinx()
beside.plot(short, rates, "k.--", label="learning rate")
beside.set(yscale="log", ylabel="learning rate")
beside.minorticks_off()
shown = rates[::4]
beside.set_yticks(shown, [f"{rate:.0e}" for rate in shown])
axes.tick_params(axis="x", labelsize=9)
beside.legend(loc="upper left")
save_picture(figure, "11_transfer_learning")

# %% [markdown]
# ## Summary
#
# - Features of a network trained on photographs read digits from ten images of each better than a network made for
#   digits can learn to from as many; with random weights in the same trunk that is not so.
# - The farther the new task is from the old, the lower the layer to take: here the middle of the trunk by far, and
#   the top worse than no transfer at all. Let held-out images choose.
# - Freezing means: no gradients, *and* evaluation mode, so that batch norm neither uses nor learns the statistics of
#   a few images.
# - A frozen trunk need see each image only once.
# - Fine-tuning moves all layers, by rates that fall toward the pixels.
#
# ## Exercises
#
# 1. Take features of `block 10` with `pool=1` and `pool=4`. What is lost without the quarters, and what with
#    sixteenths?
# 2. Give the rival all you can: random shifts and rotations of the images. How many points of the gain remain?
# 3. Fine-tune for five seeds: with `decay` 0.8, with 1, with the batch norms not frozen, and without varying the
#    images. Which differences are more than chance?
# 4. Repeat the lesson with `mobilenet_v2` (install what its error message names), and with Fashion-MNIST
#    (`apt install dataset-fashion-mnist`). Is the best depth the same?
# 5. Set SIDE to 32 and to 96. What does a point of accuracy cost in time?

# %%
finish(
    f"{PER_CLASS} images per class: trunk {middle[row].mean():.1%}, from scratch {scratch[row].mean():.1%}, gain {gain.mean():+.1%} (asserted: at least 5 points)",
    f"features of the top {top[row].mean():.1%}; of {LAYERS[best]} {middle[row].mean():.1%}; of {LAYERS[best]} with random weights {control[best]:.1%} (held-out)",
    f"features of {len(images)} images in {seconds:.1f} s; fine-tuning {before:.1%} → {after:.1%}; what is frozen stays to the bit",
)
