# %% [markdown]
# # 06  A convolutional network: LeNet-5 on handwritten digits
#
# **Goal.** Train a convolutional network on real images of digits and have it read at least 97.5 % of 1,000 images
# that it has never seen. On the way: why convolution saves weights, what dropout and batch normalization do, why a
# network has two modes, and what an experiment must look like before one may say that dropout or batch norm "helped".
#
# **Needs.** Lessons 04 (softmax, cross-entropy, the training loop) and 05 (convolution, pooling).
#
# **Time.** One to two minutes on two cores. With `--device cuda` the networks train on a GPU; what that
# changes, and what it does not, is lesson 08.

# %%
import tempfile
from pathlib import Path

import numpy as np
from _lesson import DEVICE, FAST, finish, save_picture
from matplotlib import pyplot as plt

import minidl as ml
from minidl import functional as F
from minidl import nn, optim
from minidl.data import DataLoader, Subset
from minidl.data.datasets import mnist5k
from minidl.metrics import accuracy
from minidl.training import fit

device = DEVICE or "cpu"

# %% [markdown]
# ## Where convolutional networks come from
#
# - **1980.** Fukushima's *Neocognitron* has the architecture: layers of cells that detect one feature everywhere, in
#   turn with layers that blur its position, after what Hubel and Wiesel had found in the visual cortex. It is not
#   trained by backpropagation.
# - **1989.** LeCun and colleagues at AT&T Bell Labs train such a network by backpropagation, to read ZIP codes on
#   letters.
# - **1998.** *LeNet-5* (LeCun, Bottou, Bengio and Haffner) reads digits. The same paper describes a system built on
#   such networks that read bank checks commercially.
# - **2012.** *AlexNet* (Krizhevsky, Sutskever and Hinton) wins the ImageNet contest by a wide margin: more layers,
#   ReLU, dropout, GPUs and a million labeled images. That made the idea famous; it did not begin it. (A reader may
#   have met the statement that LeCun introduced convolutional networks in 2012 at Facebook. The architecture was
#   three decades old by then, and he joined Facebook at the end of 2013.)
#
# ## The images
#
# 5,000 digits of 28 × 28 pixels from MNIST (LeCun et al. 1998), 500 of each class; 400 of each are for training, 100
# for the test.

# %%
train_set, test_set = mnist5k(test_fraction=0.2, seed=0)
print(f"{len(train_set)} images to train on, {len(test_set)} to test on, each of shape {train_set.images.shape[1:]}")

assert np.bincount(train_set.labels.numpy()).tolist() == [400] * 10
assert np.bincount(test_set.labels.numpy()).tolist() == [100] * 10

# %% [markdown]
# ## The network
#
# LeNet-5, layer by layer, with the names of the paper (C: convolution, S: subsampling, F: fully connected):
#
# | layer | LeCun et al. 1998 | here |
# |---|---|---|
# | input | 32 × 32, the digit with a margin | 28 × 28; C1 adds the margin (`padding=2`) |
# | C1 | 6 maps, 5 × 5: 28 × 28 | the same |
# | S2 | sum of 2 × 2, times a weight, plus a bias, squashed: 14 × 14 | maximum of 2 × 2 |
# | C3 | 16 maps, 5 × 5, each joined to 3, 4 or 6 of the 6 maps: 10 × 10 | each joined to all 6 |
# | S4 | as S2: 5 × 5 | maximum of 2 × 2 |
# | C5 | 120 maps, 5 × 5, of size 1 × 1: in effect fully connected | `Flatten`, a pure reshape, and `Linear` |
# | F6 | 84 neurons | the same |
# | output | 10 radial basis functions, distances to drawn digits | 10 logits |
# | activation | scaled tanh | ReLU |
# | loss | squared error, with a term that pushes wrong classes away | cross-entropy |
# | optimizer | stochastic Levenberg-Marquardt, diagonal | Adam |
#
# As everywhere in deep learning, the "convolution" is a cross-correlation: the kernel is not flipped (lesson 05).
# Pooling picks out nothing important by itself: it makes the map smaller and its answer less sensitive to small
# shifts.
#
# Two parts are optional, for the experiment below: batch normalization after each convolution, dropout after each
# hidden fully connected layer.


# %%
def lenet5(batch_norm=False, dropout=0.0):
    layers = {
        "c1": nn.Conv2d(1, 6, 5, padding=2),
        "norm1": nn.BatchNorm2d(6) if batch_norm else None,
        "relu1": nn.ReLU(),
        "s2": nn.MaxPool2d(2),
        "c3": nn.Conv2d(6, 16, 5),
        "norm3": nn.BatchNorm2d(16) if batch_norm else None,
        "relu3": nn.ReLU(),
        "s4": nn.MaxPool2d(2),
        "flatten": nn.Flatten(),
        "c5": nn.Linear(16 * 5 * 5, 120),
        "relu5": nn.ReLU(),
        "drop5": nn.Dropout(dropout) if dropout else None,
        "f6": nn.Linear(120, 84),
        "relu6": nn.ReLU(),
        "drop6": nn.Dropout(dropout) if dropout else None,
        "output": nn.Linear(84, 10),
    }
    return nn.Sequential({name: layer for name, layer in layers.items() if layer is not None})


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


summary = lenet5().summary((1, 1, 28, 28))

assert summary.parameters == 61_706

# %% [markdown]
# ## What convolution saves
#
# C1 computes 6 · 28 · 28 = 4,704 numbers from 784 pixels. A fully connected layer would have a weight for each pair,
# 3.7 million; the convolution looks at 5 × 5 pixels at a time and uses the same 25 weights everywhere: 156
# parameters, biases included.
#
# Most of LeNet-5's parameters are in the layers that are fully connected. Let us take a perceptron as in lesson 04
# with as many in all, 78 hidden neurons. What differs between the two is not the number of parameters but what they
# are spent on.


# %%
def perceptron():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 78), nn.ReLU(), nn.Linear(78, 10))


dense_c1 = 784 * 4704 + 4704
print(f"C1 as a convolution: {count(lenet5().c1):,} parameters; as a fully connected layer: {dense_c1:,}")
print(f"LeNet-5: {count(lenet5()):,} parameters; perceptron with 78 hidden neurons: {count(perceptron()):,}")

assert count(lenet5().c1) == 6 * 25 + 6 == 156
assert count(perceptron()) == 62_020

# %% [markdown]
# ## Dropout
#
# In training, each activation is set to 0 with probability $p$, anew for each example (Srivastava et al. 2014). No
# neuron can rely on a particular other one; one may see it as training exponentially many thinned networks that share
# their weights.
#
# In use, nothing is dropped, and so sums would on average come out larger than in training, by the factor $1/(1-p)$.
# The usual remedy today ("inverted" dropout) is to make up for it in training: $y = x\,m/(1-p)$ with $m = 0$ with
# probability $p$, else 1. Then
#
# $$ E[y] = p \cdot 0 + (1 - p) \cdot \frac{x}{1 - p} = x, \qquad \mathrm{Var}[y] = x^2\, \frac{p}{1 - p}, $$
#
# and in evaluation mode the layer is the identity. (The paper scales the weights by $1 - p$ in use instead.)

# %%
P, DRAWS = 0.3, 20_000
x = ml.tensor([1.0, 2.0, -3.0, 4.0])
dropped = F.dropout(x.expand(DRAWS, 4), P, generator=ml.Generator(0)).numpy()
mean = dropped.mean(axis=0, dtype=np.float64)
standard_error = np.abs(x.numpy()) * np.sqrt(P / (1 - P) / DRAWS)
print("x                     ", x.numpy())
print(f"three draws, p = {P}:\n{dropped[:3].round(3)}")
print(f"mean of {DRAWS} draws   ", mean.round(3), "(one standard error:", standard_error.round(3), ")")

layer = nn.Dropout(P).eval()
assert (np.abs(mean - x.numpy()) < 4 * standard_error).all()
assert np.array_equal(layer(x).numpy(), x.numpy())

# %% [markdown]
# ## Batch normalization
#
# Each channel is brought to mean 0 and variance 1 over the batch and all pixels, then to a scale and offset of its
# own, which are learned (Ioffe and Szegedy 2015):
#
# $$ \hat x = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}}, \qquad y = \gamma \hat x + \beta. $$
#
# The mean and the variance depend on every $x$ of the channel, so that $x_j$ acts on every $\hat x_i$, in three ways:
# directly, through $\mu$ and through $s = \sqrt{\sigma^2 + \epsilon}$. With $M$ values in the channel,
#
# $$ \frac{\partial \mu}{\partial x_j} = \frac1M, \qquad
#    \frac{\partial \sigma^2}{\partial x_j} = \frac{2 (x_j - \mu)}{M}, \qquad
#    \frac{\partial s}{\partial x_j} = \frac{1}{2s} \cdot \frac{2 (x_j - \mu)}{M} = \frac{\hat x_j}{M}, $$
#
# (in the second, what $\mu$ itself contributes is 0, since the deviations sum to 0) and by the quotient rule
#
# $$ \frac{\partial \hat x_i}{\partial x_j}
#    = \frac{\delta_{ij} - 1/M}{s} - \frac{x_i - \mu}{s^2} \cdot \frac{\hat x_j}{M}
#    = \frac1s \left( \delta_{ij} - \frac1M - \frac{\hat x_i \hat x_j}{M} \right), $$
#
# where $\delta_{ij}$ is 1 for $i = j$, else 0. Multiply by the gradient that arrives, $\gamma g_i$ with
# $g = \partial L/\partial y$, and sum over $i$. With a bar for the mean over the channel's values,
#
# $$ \frac{\partial L}{\partial x} = \frac{\gamma}{s} \left( g - \bar g - \hat x\, \overline{g \hat x} \right), \qquad
#    \frac{\partial L}{\partial \gamma} = \sum g \hat x, \qquad \frac{\partial L}{\partial \beta} = \sum g : $$
#
# what would move the mean or stretch the batch as a whole is taken out of the gradient, since the normalization
# undoes it anyway.
#
# In use there may be no batch, and an answer should not depend on what else is asked at the time. So in training the
# layer also keeps *running* statistics, $r \leftarrow 0.9\, r + 0.1\, \mu$ (for the variance with $M/(M-1)$, the
# unbiased estimate), and in evaluation mode it uses those. All of it by hand, beside minidl:

# %%
rng = np.random.default_rng(0)
x = rng.normal(loc=[[[[3.0]], [[-1.0]]]], scale=2, size=(8, 2, 5, 5))
g = rng.normal(size=x.shape)
layer = nn.BatchNorm2d(2, dtype=ml.float64)
layer.weight.data[:] = gamma = np.array([1.5, -0.5])
layer.bias.data[:] = beta = np.array([0.1, 0.2])


def by_channel(values):
    return values[:, None, None]


def mean_of_channel(values):
    return values.mean(axis=(0, 2, 3), keepdims=True)


mu, variance = mean_of_channel(x), mean_of_channel((x - mean_of_channel(x)) ** 2)
root = np.sqrt(variance + layer.eps)
normal = (x - mu) / root
y_by_hand = by_channel(gamma) * normal + by_channel(beta)
gx_by_hand = by_channel(gamma) / root * (g - mean_of_channel(g) - normal * mean_of_channel(g * normal))

inputs = ml.tensor(x, requires_grad=True)
outputs = layer(inputs)
outputs.backward(ml.tensor(g))
errors = [
    np.abs(outputs.detach().numpy() - y_by_hand).max(),
    np.abs(inputs.grad.numpy() - gx_by_hand).max(),
    np.abs(layer.weight.grad.numpy() - (g * normal).sum(axis=(0, 2, 3))).max(),
    np.abs(layer.bias.grad.numpy() - g.sum(axis=(0, 2, 3))).max(),
]

M = 8 * 5 * 5
running_mean, running_var = 0.1 * mu.ravel(), 0.9 * 1 + 0.1 * variance.ravel() * M / (M - 1)
errors += [
    np.abs(layer.running_mean.numpy() - running_mean).max(),
    np.abs(layer.running_var.numpy() - running_var).max(),
]

layer.eval()
in_use = by_channel(gamma) * (x - by_channel(running_mean)) / np.sqrt(by_channel(running_var) + layer.eps) + by_channel(
    beta
)
errors.append(np.abs(layer(ml.tensor(x)).detach().numpy() - in_use).max())
print(
    f"batch norm by hand and by minidl, forward, backward, running statistics, evaluation mode: differ by {max(errors):.1e}"
)
print(f"mean of the batch {mu.ravel().round(3)}; running mean after one batch {layer.running_mean.numpy().round(3)}")

layer.train()
for _ in range(50):
    layer(ml.tensor(x))
print(f"                              and after 50 more  {layer.running_mean.numpy().round(3)}")

assert max(errors) < 1e-12
assert np.abs(layer.running_mean.numpy() - mu.ravel()).max() < 0.02

# %% [markdown]
# Why it helps is less settled than that it does. The paper's reason is that the inputs of a layer keep shifting as
# the layers below learn. Santurkar et al. (2018) found little in experiments to support that; they argue that the
# loss becomes smoother, so that larger steps are safe.
#
# ## Training
#
# The loop of lesson 04, with Adam and with a schedule for the learning rate: up to its largest value in the first
# three tenths of the steps, then down to almost 0 (Smith and Topin 2019). The largest value, 0.01, is the best of
# {0.003, 0.006, 0.01, 0.02, 0.04} by the accuracy on a fifth of the *training* images that was held out for this
# choice. The five came within about one percentage point of each other there, so that the choice is not critical.
#
# The perceptron of the same size is trained at three rates, and we keep the one that does best *on the test set*.
# That would be cheating in its favor if we were to report its accuracy as a result; as the rival it may have the
# advantage.


# %%
def learn(model, data, epochs, seed=0, rate=0.01, progress=False):
    """Train, and measure on the test set after each epoch; for LeNet-5, no decision depends on that."""
    loader = DataLoader(data, batch_size=64, shuffle=True, generator=ml.Generator(seed), device=device)
    model.to(device)
    optimizer = optim.Adam(model.parameters(), lr=rate)
    return fit(
        model,
        optimizer,
        F.cross_entropy,
        loader,
        epochs=epochs,
        val_loader=DataLoader(test_set, 500, device=device),
        metrics={"accuracy": accuracy},
        scheduler=optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=epochs * len(loader)),
        schedule_by="step",
        progress=progress,
    )


EPOCHS, GATE = (3, 0.95) if FAST else (8, 0.975)
ml.manual_seed(0)
model = lenet5(batch_norm=True)
history = learn(model, train_set, EPOCHS, progress=True)
test_accuracy = history[-1]["val_accuracy"]
print(f"LeNet-5 with batch norm: {test_accuracy:.1%} of {len(test_set)} test images right")

rivals = {}
for rate in (0.003, 0.01, 0.03):
    ml.manual_seed(0)
    rival = perceptron()
    rivals[rate] = learn(rival, train_set, EPOCHS, rate=rate)[-1]["val_accuracy"], rival
    print(f"perceptron of the same size, rate {rate:5g}: {rivals[rate][0]:.1%}")
mlp_accuracy, mlp = max(rivals.values(), key=lambda result: result[0])

assert test_accuracy >= GATE
assert 1 - test_accuracy < (0.8 if FAST else 0.5) * (1 - mlp_accuracy)  # in the full run, less than half the errors

# %% [markdown]
# What does the perceptron lack? It treats pixels as 784 unrelated numbers: shift a digit by two pixels, and for the
# perceptron it is another input altogether. A convolution gives the same answer, shifted, and pooling forgives a part
# of the shift. Neither network has seen shifted digits in training.

# %%
shifts = range(5)
shifted = [
    ml.roll(test_set.images.to(device), shift, dims=3) for shift in shifts
]  # the margin of the images is 4 pixels wide
by_shift = {}
for name, network in (("LeNet-5", model), ("perceptron", mlp)):
    network.eval()
    with ml.no_grad():
        by_shift[name] = [accuracy(network(images), test_set.labels) for images in shifted]
    print(f"{name:10s} digits shifted by 0 … 4 pixels:", *(f"{value:.1%}" for value in by_shift[name]))

assert by_shift["LeNet-5"][2] > by_shift["perceptron"][2] + 0.1

# %% [markdown]
# So it is *tolerance* of shifts that the architecture brings, and not invariance: convolution moves its answer along
# with the digit, but the fully connected layers behind it have learned where to expect it. A later lesson trains with
# shifted images.
#
# ## Do batch norm and dropout help? An ablation
#
# Four networks that differ in these two parts only, each trained on 2,000 images from several seeds, which set the
# initial weights, the order of the batches and the dropout masks. The seeds show how much chance alone changes a
# result, and a difference counts only against that. Plain and batch norm also run at a fifth of the learning rate,
# because "better" is always better *at some setting*.

# %%
RATE, LOW_RATE = 0.01, 0.002
RUNS = {  # name: the network's settings, the learning rate
    "plain": ({}, RATE),
    "dropout": ({"dropout": P}, RATE),
    "batch norm": ({"batch_norm": True}, RATE),
    "both": ({"batch_norm": True, "dropout": P}, RATE),
    "plain, low rate": ({}, LOW_RATE),
    "batch norm, low rate": ({"batch_norm": True}, LOW_RATE),
}
SEEDS, ABLATION_EPOCHS, ABLATION_IMAGES = (2, 1, 500) if FAST else (3, 5, 2000)
part = Subset(train_set, range(ABLATION_IMAGES))

networks, curves, in_training = {}, {}, {}
for name, (settings, rate) in RUNS.items():
    histories = []
    for seed in range(SEEDS):
        ml.manual_seed(seed)
        networks[name] = lenet5(**settings)
        histories.append(learn(networks[name], part, ABLATION_EPOCHS, seed, rate))
    curves[name] = np.array([history.column("val_accuracy") for history in histories])
    in_training[name] = np.mean([history[-1]["accuracy"] for history in histories])
final = {name: found[:, -1] for name, found in curves.items()}

print(
    f"{ABLATION_IMAGES} images, {ABLATION_EPOCHS} epochs, {SEEDS} seeds; accuracy on the test set, and on the training images as they passed"
)
print("                        test     lowest … highest   training")
for name, values in final.items():
    print(
        f"{name:20s}  {values.mean():6.2%}     {values.min():5.1%} … {values.max():5.1%}      {in_training[name]:6.2%}"
    )

deviation = np.sqrt(np.mean([values.var(ddof=1) for values in final.values()]))
chance = deviation * np.sqrt(2 / SEEDS)
print(f"standard deviation between seeds {deviation:.2%}, hence of the difference of two means {chance:.2%}")


def compare(name, base):
    difference = final[name].mean() - final[base].mean()
    verdict = "more than chance" if abs(difference) > 3 * chance else "could be chance"
    print(
        f"{name:20s} against {base:15s} {difference:+7.2%} = {difference / chance:+5.1f} standard deviations: {verdict}"
    )
    return difference


effects = {name: compare(name, "plain") for name in ("dropout", "batch norm", "both")}
effect_at_low_rate = compare("batch norm, low rate", "plain, low rate")

assert FAST or effect_at_low_rate > 3 * chance
assert FAST or max(abs(effect) for effect in effects.values()) < 0.02
assert FAST or in_training["dropout"] < in_training["plain"]
assert FAST or final["batch norm, low rate"].min() > final["plain, low rate"].max()

# %% [markdown]
# What may one conclude? At the rate 0.01 each variant lies within two percentage points of the plain network. With
# three seeds even the estimate of chance is rough, so a difference of two or three standard deviations is a hint, not
# a finding. At the low rate batch norm is worth far more than chance. So what it does for this network, in five
# epochs, is to let it learn well at both of these learning rates (the dashed green curve in the picture ends near the
# solid ones, the dashed blue one well below); where the rate suits the plain network too, little is left to gain. Had
# we tried the low rate alone, we should have praised batch norm for what a better rate does as well.
#
# Dropout lowers the accuracy on the training images as they pass, which is measured while neurons are being dropped;
# on the test set it gains or loses little here. It was made for networks that overfit badly: AlexNet has it in two
# fully connected layers, which hold nine tenths of its 60 million parameters.
#
# ## Two modes
#
# Dropout and batch norm do something else in training than in use: `model.train()` and `model.eval()` say which.
# (This is a setting of its own: `no_grad()` only stops the recording of the graph.) What if one forgets `eval()`?
# Three cases: dropout goes on dropping; batch norm takes the statistics of whatever is in the batch, which does
# little harm if the batch is large and mixed, and much if all its images are of one class; and, unseen, its running
# statistics move.


# %%
def accuracy_as_it_is(network, order, batch_size):
    """In the mode that the network is in, for the test images in this order."""
    images, labels = test_set.images, test_set.labels
    with ml.no_grad():
        answers = [network(images[part].to(device)).argmax(dim=1) for part in np.split(order, len(order) // batch_size)]
    return accuracy(ml.cat(answers), labels[order])


as_they_come, by_class = np.arange(len(test_set)), np.argsort(test_set.labels.numpy(), kind="stable")
CASES = [
    ("dropout", "eval", as_they_come, 100),
    ("dropout", "train", as_they_come, 100),
    ("batch norm", "eval", as_they_come, 100),
    ("batch norm", "train", as_they_come, 100),
    ("batch norm", "train", by_class, 100),
]
forgotten = []
print("network      mode    batches of 100   accuracy")
for name, mode, order, batch_size in CASES:
    state = {key: value.clone() for key, value in networks[name].state_dict().items()}
    networks[name].train(mode == "train")
    forgotten.append(accuracy_as_it_is(networks[name], order, batch_size))
    networks[name].load_state_dict(state)
    print(f"{name:10s}   {mode:5s}   {'one class each' if order is by_class else 'mixed':14s}   {forgotten[-1]:.1%}")

assert FAST or forgotten[1] < forgotten[0] and forgotten[4] < forgotten[2] - 0.02

# %% [markdown]
# `training.fit` and `training.evaluate` switch the modes themselves, and back.
#
# ## Keeping what was learned
#
# A state dict holds every parameter and running statistic by name; `ml.save` writes it as safetensors or npz. A fresh
# network that loads it gives the same answers, to the bit. PyTorch reads the same file with
# `safetensors.torch.load_file`.

# %%
model.eval()
with ml.no_grad():
    logits = model(test_set.images.to(device)).cpu()
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "lenet5.safetensors"
    ml.save(model.state_dict(), path)
    size = path.stat().st_size
    ml.manual_seed(123)
    restored = lenet5(batch_norm=True)
    restored.load_state_dict(ml.load(path))
restored.to(device).eval()
with ml.no_grad():
    same = np.array_equal(restored(test_set.images.to(device)).cpu().numpy(), logits.numpy())
print(f"saved in {size / 1024:.0f} KB, loaded into a fresh network: the same answers to the bit: {same}")

assert same

# %% [markdown]
# ## The picture
#
# The ablation, the filters that C1 has learned, what one digit looks like after C1 and C3, and every test image that
# was read wrong. Could you read them?

# %%
probabilities = F.softmax(logits, dim=1).numpy()
images, true, predicted = test_set.images.numpy()[:, 0], test_set.labels.numpy(), probabilities.argmax(axis=1)
wrong = np.flatnonzero(predicted != true)
assert len(wrong) == round((1 - test_accuracy) * len(test_set))

example = np.flatnonzero((true == 2) & (predicted == 2))[0]
maps = {}
x = test_set.images[[example]].to(device)
with ml.no_grad():
    for name, layer in model.named_children():
        x = layer(x)
        maps[name] = x.cpu().numpy()[0]

figure = plt.figure(figsize=(13, 7.6), layout="constrained")
top, bottom = figure.subfigures(2, 1, height_ratios=(1.35, 1))
left, right = top.subfigures(1, 2, width_ratios=(1, 1.5))

axes = left.subplots()
epochs = np.arange(1, ABLATION_EPOCHS + 1)
for name, found in curves.items():
    color = f"C{list(RUNS).index(name.removesuffix(', low rate'))}"
    style = "--" if name.endswith("low rate") else "-"
    marker = "osD^"[int(color[1])]
    axes.plot(epochs, 100 * found.mean(axis=0), style, color=color, marker=marker, markersize=5, label=name)
    axes.fill_between(epochs, 100 * found.min(axis=0), 100 * found.max(axis=0), color=color, alpha=0.12)
axes.set(title=f"LeNet-5 on {ABLATION_IMAGES:,} images: mean and range of {SEEDS} seeds", xlabel="epoch")
axes.set(ylabel="test accuracy in %", xticks=epochs, ylim=None if FAST else (75, 100))
axes.grid(alpha=0.3)
axes.legend(loc="lower right")


def strip(place, images, title, rows=1, **settings):
    panels = place.subplots(rows, len(images) // rows, squeeze=False)
    for axes, image in zip(panels.flat, images, strict=True):
        axes.imshow(image, **settings)
        axes.set(xticks=[], yticks=[])
    place.suptitle(title, fontsize=10)


upper, lower = right.subfigures(2, 1, height_ratios=(1.15, 1))
corner, strips = upper.subfigures(1, 2, width_ratios=(1, 3.2))
first, second = strips.subfigures(2, 1)
filters = model.c1.weight.detach().cpu().numpy()[:, 0]
limit = np.abs(filters).max()
strip(corner, [images[example]], "a test image", cmap="gray_r")
strip(first, filters, "C1: its 6 filters (red +, blue −)", cmap="coolwarm", vmin=-limit, vmax=limit)
strip(second, maps["relu1"], "the image after C1, norm, ReLU: 6 maps of 28 × 28")
strip(lower, maps["relu3"], "after C3, norm, ReLU: 16 maps of 10 × 10", rows=2)

columns = min(12, max(8, -(-len(wrong) // 2)))
shown = wrong[: 2 * columns]
title = f"the {len(wrong)} of {len(test_set):,} test images that it read wrong"
bottom.suptitle(title if len(shown) == len(wrong) else f"{len(shown)} of {title}")
panels = bottom.subplots(2, columns)
for axes in panels.flat:
    axes.axis("off")
for axes, i in zip(panels.flat, shown, strict=False):
    axes.imshow(images[i], cmap="gray_r")
    axes.set_title(f"a {true[i]}, read as {predicted[i]}\np = {probabilities[i].max():.2f}", fontsize=8.5)
save_picture(figure, "06_convolutional_network")

# %% [markdown]
# ## Summary
#
# - Convolution spends its parameters on local features, the same everywhere; at equal size LeNet-5 with batch norm
#   makes less than half as many errors as a perceptron, and is far more tolerant of shifts.
# - Inverted dropout keeps the expectation in training and does nothing in use.
# - Batch norm uses the batch's statistics in training, running ones in use, and made the learning rate matter less
#   here.
# - `model.eval()` before use. A network evaluated in training mode still answers, but its answers may depend on
#   chance or on the rest of the batch.
# - Repeat over seeds, look at the spread, and only then say which variant is better.
#
# ## Exercises
#
# 1. Why is the bias of a convolution of no use before batch norm? Leave it out (`bias=False`) and train again.
# 2. Put the mean back in place of the maximum (`nn.AvgPool2d`) and tanh in place of ReLU, as in 1998. What changes,
#    and is it more than the spread between seeds?
# 3. Train with 100, 300, 1,000 and 4,000 images, with and without dropout. Where does dropout help most?
# 4. Train LeNet-5 with batches of 4 and of 2, with and without batch norm. Why does it suffer? Try `nn.GroupNorm`.
# 5. Take a perceptron's first layer and show its 78 weight vectors as images. Do they look like the filters of C1?

# %%
finish(
    f"test accuracy {test_accuracy:.1%} on {len(test_set)} images (asserted: at least {GATE:.1%}); perceptron of the same size {mlp_accuracy:.1%}",
    f"batch norm against plain: {effects['batch norm']:+.2%} at rate {RATE}, {effect_at_low_rate:+.2%} at {LOW_RATE} (chance: ± {chance:.2%})",
    f"batch norm by hand and by minidl agree to {max(errors):.1e}; weights saved and loaded to the bit",
)
