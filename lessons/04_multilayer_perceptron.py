# %% [markdown]
# # 04  A multilayer perceptron reads handwritten digits
#
# **Goal.** Classify real images into ten classes: derive softmax and cross-entropy, write the training loop by hand,
# choose the initial weights and the optimizer with reasons, and judge the result on images that the network has never
# seen: at least 97 % of them right.
#
# **Needs.** Lessons 01 (layers) and 02 (backpropagation); mean and variance; logarithms.
#
# **Time.** About half a minute on two cores. With `--device cuda` the networks train on a GPU; what that
# changes, and what it does not, is lesson 08.

# %%
import numpy as np
from _lesson import DEVICE, FAST, finish, save_picture
from matplotlib import pyplot as plt

import minidl as ml
from minidl import functional as F
from minidl import nn, optim
from minidl.data import DataLoader, Subset
from minidl.data.datasets import digits
from minidl.metrics import accuracy, confusion_matrix
from minidl.training import evaluate, fit

device = DEVICE or "cpu"

# %% [markdown]
# ## The images
#
# 1,797 digits that 13 people wrote, scanned and reduced to 8 × 8 pixels (Alpaydin and Kaynak 1998; the copy in
# scikit-learn). A quarter of each class is set aside as the *test set*. Nothing should be chosen by looking at it:
# not a weight, not a learning rate. Otherwise its verdict would be about our choices and no longer about new images.
# (New images by the same hands: the split is by image, not by writer.)

# %%
train_set, test_set = digits(test_fraction=0.25, seed=0)
print(f"{len(train_set)} images to train on, {len(test_set)} to test on, each of shape {train_set.images.shape[1:]}")
print("test images of each class:", np.bincount(test_set.labels.numpy()))

assert (len(train_set), len(test_set)) == (1347, 450)


def batches(data, seed=0):
    """Minibatches of 32 in an order that depends on the seed alone, and is new in each epoch."""
    return DataLoader(data, batch_size=32, shuffle=True, generator=ml.Generator(seed), device=device)


# %% [markdown]
# ## Softmax: from ten numbers to ten probabilities
#
# The last layer gives ten numbers $z_0 \dots z_9$, one *logit* for each class. Softmax (Bridle 1990) makes
# probabilities of them:
#
# $$ p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}. $$
#
# They are positive and sum to 1, the largest logit has the largest probability, and adding a constant to all logits
# changes nothing. The last property also saves the computation from overflow: subtract the largest logit first.
#
# ## Cross-entropy, and why its gradient is so simple
#
# If the image is a $t$, the network gave what is true the probability $p_t$. Training makes the true labels as
# probable as it can (maximum likelihood: Goodfellow et al. 2016, section 6.2.2), or, with the sign turned and the
# logarithm taken, it makes this small:
#
# $$ L = -\log p_t = -z_t + \log \sum_j e^{z_j}. $$
#
# The derivative of the second term is softmax itself; that of the first is $-1$ for $k = t$, else 0. With $y$ for the
# vector that is 1 at $t$ and 0 elsewhere (*one-hot*),
#
# $$ \frac{\partial L}{\partial z_k} = p_k - y_k : $$
#
# what the network said, minus what it should have said. It does not fade when the network is confidently wrong, and
# over a batch of $N$ the mean loss has the gradient $(p - y)/N$. Let us check this against minidl, and the overflow
# too.

# %%
rng = np.random.default_rng(0)
z, t = rng.normal(size=(5, 10)), rng.integers(10, size=5)
p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
loss_by_hand = -np.log(p[np.arange(5), t]).mean()
gradient_by_hand = (p - np.eye(10)[t]) / 5

logits = ml.tensor(z, requires_grad=True)
loss = F.cross_entropy(logits, ml.tensor(t))
loss.backward()
softmax_error = max(abs(loss.item() - loss_by_hand), np.abs(logits.grad.numpy() - gradient_by_hand).max())
print(f"cross-entropy and its gradient (p - y)/N, by hand and by minidl: differ by {softmax_error:.1e}")

huge = np.array([1000.0, 0.0])
with np.errstate(over="ignore", invalid="ignore"):
    naive = np.exp(huge) / np.exp(huge).sum()
print(
    f"softmax of (1000, 0): as the formula stands {naive}, with the maximum subtracted {F.softmax(ml.tensor(huge), dim=0).numpy()}"
)

assert softmax_error < 1e-14
assert np.isnan(naive[0]) and F.softmax(ml.tensor(huge), dim=0).numpy()[0] == 1

# %% [markdown]
# ## The network
#
# One hidden layer of 64 rectified neurons between the 64 pixels and the 10 logits. Without the hidden layer it is
# *softmax regression*, a linear classifier: the baseline that any network has to beat. Neither model contains the
# softmax: `F.cross_entropy` takes logits, because $\log \sum_j e^{z_j}$ can be computed safely and the logarithm of a
# probability that has become 0 cannot.


# %%
def linear_classifier():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).to(device)


def perceptron(hidden=64):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10)).to(device)


perceptron().summary((1, 1, 8, 8))

assert sum(parameter.numel() for parameter in perceptron().parameters()) == (64 * 64 + 64) + (64 * 10 + 10)

# %% [markdown]
# ## The training loop
#
# The gradient over all images costs a pass over all images. The mean over a random *minibatch* of 32 is an unbiased
# estimate of it, for a fortieth of the price, and a fortieth of the price buys forty steps (Robbins and Monro 1951;
# Bottou 1998). A pass through the whole set is an *epoch*. Each step is the five lines below; everything else in deep
# learning is variations on them.


# %%
def train(model, optimizer, loader, epochs):
    """The mean training loss of each epoch."""
    history = []
    for _ in range(epochs):
        losses = []
        for images, labels in loader:
            logits = model(images)  # forward
            loss = F.cross_entropy(logits, labels)  # compare
            optimizer.zero_grad()  # forget the gradients of the step before
            loss.backward()  # backpropagate
            optimizer.step()  # update
            losses.append(loss.item())
        history.append(np.mean(losses))
    return history


ml.manual_seed(0)
by_hand = perceptron()
losses = train(by_hand, optim.SGD(by_hand.parameters(), lr=0.1), batches(train_set), epochs=3)
print("loss of the first three epochs:", np.round(losses, 4), f"; guessing would give log 10 = {np.log(10):.4f}")

# %% [markdown]
# `training.fit` is the same loop with a progress bar, validation, schedules, early stopping and checkpoints around
# it. From the same initial weights and in the same order of batches it arrives at the same weights, to the bit.

# %%
ml.manual_seed(0)
by_fit = perceptron()
fit(
    by_fit,
    optim.SGD(by_fit.parameters(), lr=0.1),
    F.cross_entropy,
    batches(train_set),
    epochs=3,
    val_loader=DataLoader(test_set, 450, device=device),
    metrics={"accuracy": accuracy},
)
same = all(
    np.array_equal(a.cpu().numpy(), b.cpu().numpy())
    for a, b in zip(by_hand.state_dict().values(), by_fit.state_dict().values(), strict=True)
)
print("the loop by hand and training.fit give the same weights, to the bit:", same)

assert same

# %% [markdown]
# ## Initial weights
#
# Let a neuron have $n$ inputs $x_i$ and independent weights of mean 0. Its sum $z = \sum_i w_i x_i$ has $n$ times the
# variance of one term, $\mathrm{Var}[z] = n \, \mathrm{Var}[w] \, E[x^2]$. If the $x_i$ come from a rectifier, they
# have half the mean square of the $z'$ before it, which lie symmetrically about 0:
# $E[x^2] = \tfrac12 \mathrm{Var}[z']$. Together
#
# $$ \mathrm{Var}[z] = \tfrac{n}{2} \, \mathrm{Var}[w] \; \mathrm{Var}[z'], $$
#
# so that with $\mathrm{Var}[w] = 2/n$ the pre-activations keep their variance from layer to layer; with anything else
# they shrink or grow geometrically (He et al. 2015, equation 10). Let us watch ten layers of 256,
# with the variance $2/n$, with $1/n$ (right for linear layers), and with $1/(3n)$ (what `nn.Linear` draws unless told
# otherwise, as in PyTorch).

# %%
DEPTH, WIDTH = 10, 256


def variances(scale, seed=0):
    """Variance of the pre-activations of each layer when Var[w] = scale / n, over that of the first layer."""
    generator = ml.Generator(seed)
    x = ml.randn(512, WIDTH, generator=generator)
    found = []
    for _ in range(DEPTH):
        weight = nn.init.normal_(ml.empty(WIDTH, WIDTH), std=(scale / WIDTH) ** 0.5, generator=generator)
        z = F.linear(x, weight)
        found.append(z.var().item())
        x = z.relu()
    return np.array(found) / found[0]


by_scale = {"2/n": variances(2), "1/n": variances(1), "1/(3n)": variances(1 / 3)}
for name, found in by_scale.items():
    print(f"Var[w] = {name:7s} variance of layer {DEPTH} over that of layer 1: {found[-1]:.2e}")

assert 1 / 3 < by_scale["2/n"][-1] < 3
assert 1 / 3 < by_scale["1/n"][-1] / 2**-9 < 3
assert 1 / 3 < by_scale["1/(3n)"][-1] / 6**-9 < 3

# %% [markdown]
# Our network has two layers only, and we keep the default below. (Exercise 5 has thirty.)
#
# ## Six optimizers
#
# All take the gradient $g$ of the minibatch; they differ in what they remember. Written as PyTorch and minidl compute
# them:
#
# | optimizer | rule | source |
# |---|---|---|
# | SGD | $w \leftarrow w - \eta g$ | Robbins and Monro 1951 |
# | momentum | $b \leftarrow \mu b + g,\quad w \leftarrow w - \eta b$ | Polyak 1964 |
# | Nesterov | $b \leftarrow \mu b + g,\quad w \leftarrow w - \eta (g + \mu b)$ | Nesterov 1983; Sutskever et al. 2013 |
# | RMSprop | $s \leftarrow \alpha s + (1 - \alpha) g^2,\quad w \leftarrow w - \eta g / (\sqrt{s} + \epsilon)$ | Tieleman and Hinton 2012 |
# | Adam | $m \leftarrow \beta_1 m + (1 - \beta_1) g,\ v \leftarrow \beta_2 v + (1 - \beta_2) g^2,\ w \leftarrow w - \eta \hat m / (\sqrt{\hat v} + \epsilon)$ | Kingma and Ba 2015 |
# | AdamW | $w \leftarrow (1 - \eta\lambda) w$, then as Adam | Loshchilov and Hutter 2019 |
#
# with $\hat m = m/(1 - \beta_1^t)$ and $\hat v = v/(1 - \beta_2^t)$ at step $t$: the averages start at 0, and this
# makes up for it. Momentum adds up what the gradients agree on and cancels what they do not. RMSprop and Adam divide
# by the usual size of each coordinate's gradient, so that all coordinates move at a like pace. AdamW shrinks the
# weights directly, where Adam would send the penalty through that division and so weaken it for coordinates with
# large gradients.
#
# Each rule is two or three lines of NumPy. The next cell lets them descend a bowl, $\tfrac12 \sum_i c_i w_i^2$,
# beside minidl's.


# %%
def momentum_rule(w, g, memory, lr, mu=0.9):
    memory["b"] = mu * memory.get("b", 0) + g
    return w - lr * memory["b"]


def nesterov_rule(w, g, memory, lr, mu=0.9):
    memory["b"] = mu * memory.get("b", 0) + g
    return w - lr * (g + mu * memory["b"])


def rmsprop_rule(w, g, memory, lr, alpha=0.99, eps=1e-8):
    memory["s"] = alpha * memory.get("s", 0) + (1 - alpha) * g**2
    return w - lr * g / (np.sqrt(memory["s"]) + eps)


def adam_rule(w, g, memory, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    t = memory["t"] = memory.get("t", 0) + 1
    m = memory["m"] = beta1 * memory.get("m", 0) + (1 - beta1) * g
    v = memory["v"] = beta2 * memory.get("v", 0) + (1 - beta2) * g**2
    return w - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)


OPTIMIZERS = {  # name: the rule above, and the class in minidl
    "SGD": (lambda w, g, memory, lr: w - lr * g, optim.SGD),
    "momentum": (momentum_rule, lambda params, lr: optim.SGD(params, lr, momentum=0.9)),
    "Nesterov": (nesterov_rule, lambda params, lr: optim.SGD(params, lr, momentum=0.9, nesterov=True)),
    "RMSprop": (rmsprop_rule, optim.RMSprop),
    "Adam": (adam_rule, optim.Adam),
    "AdamW": (
        lambda w, g, memory, lr: adam_rule((1 - lr * 0.01) * w, g, memory, lr),
        lambda params, lr: optim.AdamW(params, lr, weight_decay=0.01),
    ),
}
curvature, start = np.array([1.0, 10.0, 0.1]), np.array([1.0, -2.0, 3.0])
rule_error = 0.0
for rule, make in OPTIMIZERS.values():
    w, memory = start, {}
    weight = ml.tensor(start.copy(), requires_grad=True)
    optimizer = make([weight], lr=0.05)
    for _ in range(50):
        w = rule(w, curvature * w, memory, lr=0.05)
        optimizer.zero_grad()
        (0.5 * ml.tensor(curvature) * weight * weight).sum().backward()
        optimizer.step()
    rule_error = max(rule_error, np.abs(weight.detach().numpy() - w).max())
print(f"six rules in NumPy and in minidl, 50 steps: differ by at most {rule_error:.1e}")

assert rule_error < 1e-12

# %% [markdown]
# Now on the digits, all from the same initial weights and with the same batches in the same order. A comparison at
# one learning rate would say nothing: SGD likes another than Adam. So each optimizer gets the best of one grid, the
# one with the lowest training loss after a short run. The question here is how fast they descend, and the test set
# has no part in it.

# %%
GRID = [0.01, 0.1] if FAST else [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
SEARCH_EPOCHS, COMPARE_EPOCHS = (1, 3) if FAST else (4, 15)


def descend(make, lr, epochs):
    ml.manual_seed(0)
    model = perceptron()
    return train(model, make(model.parameters(), lr=lr), batches(train_set), epochs)


search = {name: [descend(make, lr, SEARCH_EPOCHS)[-1] for lr in GRID] for name, (_, make) in OPTIMIZERS.items()}
print(f"training loss after {SEARCH_EPOCHS} epochs, by learning rate")
print("optimizer ", *(f"{lr:7g}" for lr in GRID))
for name, found in search.items():
    print(f"{name:10s}", *(f"{loss:7.3f}" for loss in found))

rates = {name: GRID[np.argmin(found)] for name, found in search.items()}
curves = {name: descend(make, rates[name], COMPARE_EPOCHS) for name, (_, make) in OPTIMIZERS.items()}
print(f"\noptimizer   best rate   training loss in epoch 1, {COMPARE_EPOCHS // 2 + 1}, {COMPARE_EPOCHS}")
for name, curve in curves.items():
    print(f"{name:10s}  {rates[name]:9g}   {curve[0]:.4f}  {curve[COMPARE_EPOCHS // 2]:.4f}  {curve[-1]:.4f}")

best = [min(found) for found in search.values()]
worst_to_best = min(max(found) / min(found) for found in search.values())
print(f"\nbetween the optimizers, each at its best rate, the loss differs by a factor of {max(best) / min(best):.1f};")
print(f"between the rates of one optimizer by a factor of at least {worst_to_best:.1f}")

assert FAST or worst_to_best > max(best) / min(best)
assert all(curve[-1] < 0.6 * curve[0] for curve in curves.values())

# %% [markdown]
# ## Overfitting
#
# Training minimizes the loss on the training set; we want it small on other images. The gap between the two is
# *overfitting*. It is wide where the network has many weights (ours has 4,810) and few images. Here is the same
# network with 100 images and with all 1,347, for the same number of steps.

# %%
STEPS = 200 if FAST else 1200


def learn(images, seed=0):
    """Train on so many images, and measure on train and test after each epoch."""
    ml.manual_seed(seed)
    model = perceptron()
    loader = batches(Subset(train_set, range(images)), seed)
    return fit(
        model,
        optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        F.cross_entropy,
        loader,
        epochs=STEPS // len(loader),
        val_loader=DataLoader(test_set, 450, device=device),
        metrics={"accuracy": accuracy},
        progress=False,
    )


few, all_images = learn(100), learn(len(train_set))
for name, history in (("100", few), ("all 1347", all_images)):
    print(
        f"trained on {name:8s} images: train {history[-1]['accuracy']:.1%}, test {history[-1]['val_accuracy']:.1%}; "
        f"loss: train {history[-1]['loss']:.4f}, test {history[-1]['val_loss']:.4f}"
    )
print(
    f"with 100 images the test loss was lowest, {few.best('val_loss')['val_loss']:.4f}, after {few.best('val_loss')['epoch']} epochs"
)

assert few[-1]["accuracy"] == 1 and few[-1]["val_accuracy"] < 0.95
assert FAST or all_images[-1]["accuracy"] > 0.995
assert few[-1]["val_loss"] > 2 * all_images[-1]["val_loss"]

# %% [markdown]
# In the full run both networks know their own images by heart (at least 99.5 % of them); what tells them apart is the
# test set. The best remedy is more images. Others are a smaller network, weight decay, and stopping when the loss on
# held-out images rises (`fit(early_stopping=…)`). Lesson 06 adds dropout.
#
# ## What the hidden layer is worth
#
# Now the result: momentum, 30 epochs, on five different splits into train and test, for the linear classifier and the
# network. Five, because one test set of 450 images is a small jury: one image is 0.22 %, and the standard error of an
# accuracy near 98 % is $\sqrt{0.98 \cdot 0.02 / 450} = 0.7\,\%$, as large as the difference that we look for. Both
# models see the same split, so that the difference can be taken split by split. (The splits share images, so these
# are not five independent juries.)

# %%
EPOCHS, SPLITS, GATE = (8, 1, 0.94) if FAST else (30, 5, 0.97)


def result(make, split):
    """Accuracy on the test part of a split, and the model."""
    train_part, test_part = digits(test_fraction=0.25, seed=split)
    ml.manual_seed(split)
    model = make()
    train(model, optim.SGD(model.parameters(), lr=0.1, momentum=0.9), batches(train_part, split), EPOCHS)
    return evaluate(model, DataLoader(test_part, 450, device=device), None, {"accuracy": accuracy})["accuracy"], model


linear = [result(linear_classifier, split)[0] for split in range(SPLITS)]
network, models = zip(*(result(perceptron, split) for split in range(SPLITS)), strict=True)
gains = np.subtract(network, linear)
print("split  linear   network     gain")
for split in range(SPLITS):
    print(f"{split:5d}  {linear[split]:.2%}   {network[split]:.2%}   {gains[split]:+.2%}")
print(f" mean  {np.mean(linear):.2%}   {np.mean(network):.2%}   {gains.mean():+.2%}")

test_accuracy, model = network[0], models[0]
print(f"on the split of this lesson: {test_accuracy:.2%} of {len(test_set)} test images right")

assert test_accuracy >= GATE and np.mean(network) >= GATE
assert FAST or gains.mean() > 0

# %% [markdown]
# ## The picture
#
# Top: the variances of the layers; the six optimizers; overfitting. Bottom: which digit is taken for which (red
# numbers count errors), and test images that the network got wrong, with the probability that it gave its answer.

# %%
with ml.no_grad():
    probabilities = F.softmax(model(test_set.images.to(device)), dim=1).cpu().numpy()
predicted, true = probabilities.argmax(axis=1), test_set.labels.numpy()
confusion = confusion_matrix(predicted, true, num_classes=10)
wrong = np.flatnonzero(predicted != true)
print(f"{len(wrong)} errors; the confusion matrix has {np.trace(confusion)} of {confusion.sum()} on its diagonal")

assert np.trace(confusion) == confusion.sum() - len(wrong) == round(test_accuracy * len(test_set))

figure = plt.figure(figsize=(13, 8), layout="constrained")
top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.05))
initial, optimizers, overfitting = top.subplots(1, 3)
for (name, found), marker in zip(by_scale.items(), "os^", strict=True):
    initial.semilogy(range(1, DEPTH + 1), found, marker=marker, markersize=4, label=f"Var[w] = {name}")
initial.set(title="initial weights: variance by depth", xlabel="layer", ylabel="variance relative to layer 1")
for (name, curve), marker in zip(curves.items(), "osD^vx", strict=True):
    optimizers.semilogy(
        range(1, COMPARE_EPOCHS + 1), curve, marker=marker, markersize=4, label=f"{name}, rate {rates[name]:g}"
    )
optimizers.set(title="optimizers, each at its best rate", xlabel="epoch", ylabel="training loss")
for history, name, color in ((few, "100 images", "tab:red"), (all_images, "1,347 images", "tab:blue")):
    steps = np.array(history.column("epoch")) * (STEPS // len(history))
    overfitting.semilogy(steps, history.column("loss"), color=color, ls="--", label=f"{name}, train")
    overfitting.semilogy(steps, history.column("val_loss"), color=color, label=f"{name}, test")
overfitting.set(title="overfitting", xlabel="step", ylabel="loss", ylim=(None, 30))
for axes in (initial, optimizers, overfitting):
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower left" if axes is initial else "upper right")

left, right = bottom.subfigures(1, 2, width_ratios=(1, 1.9))
axes = left.subplots()
axes.imshow(np.sqrt(confusion), cmap="Blues")
for row, column in zip(*np.nonzero(confusion), strict=True):
    color = "white" if row == column else "tab:red"
    axes.text(column, row, confusion[row, column], ha="center", va="center", color=color, fontsize=8)
axes.set(title=f"{test_accuracy:.1%} of {len(test_set)} right", xlabel="predicted", ylabel="true")
axes.set(xticks=range(10), yticks=range(10))
shown = wrong[:20]
right.suptitle(
    f"{len(shown)} of the {len(wrong)} test images that it got wrong"
    if len(shown) < len(wrong)
    else f"the {len(wrong)} test images that it got wrong"
)
panels = right.subplots(2, -(-len(shown) // 2), squeeze=False)
for axes in panels.flat:
    axes.axis("off")
for axes, i in zip(panels.flat, shown, strict=False):
    axes.imshow(test_set.images.numpy()[i, 0], cmap="gray_r", vmin=0, vmax=1)
    axes.set_title(f"a {true[i]}, read as {predicted[i]}\np = {probabilities[i].max():.2f}", fontsize=8)
save_picture(figure, "04_multilayer_perceptron")

# %% [markdown]
# ## Summary
#
# - Softmax makes probabilities of logits; with cross-entropy the gradient is what was said minus what is true,
#   $p - y$.
# - Training is five lines: forward, compare, forget, backward, update.
# - Var[w] = 2/n keeps the variance through rectified layers.
# - Compare optimizers only at learning rates chosen for each: here a bad rate cost more than another optimizer.
# - A network that knows its training set by heart may still be wrong elsewhere: only images it has not seen can tell.
# - Know how much your test set can tell before you believe a difference.
#
# ## Exercises
#
# 1. Show that adding a constant to all logits changes neither softmax nor cross-entropy, and that the ten gradients
#    $p_k - y_k$ sum to 0.
# 2. What is the loss of a network that gives every class the same probability? Compare with the first batch of an
#    untrained one.
# 3. Shuffle the 64 pixels, in the same way in all images, and train again. What happens to the accuracy, and what
#    does that tell you about what a perceptron knows of images? (Lesson 05 is about the remedy.)
# 4. Stop early: hold back a fifth of the training images, and use `fit(early_stopping=5)` on them for the network
#    with 100 images.
# 5. Build 30 layers of 64 and train them with the default initialization, then with `nn.init.kaiming_normal_`.

# %%
finish(
    f"test accuracy {test_accuracy:.2%} (asserted: at least {GATE:.0%}); mean of {SPLITS} splits {np.mean(network):.2%}",
    f"linear baseline {np.mean(linear):.2%}: the hidden layer is worth {gains.mean():+.2%}",
    f"gradient p - y to {softmax_error:.1e}, six update rules to {rule_error:.1e}, fit equals the loop by hand to the bit",
)
