# %% [markdown]
# # 09  Deeper: VGG, Inception, and why ResNet has shortcuts
#
# **Goal.** See what the networks after AlexNet did to become deeper: small filters on top of each other (VGG), several
# sizes side by side (Inception), and shortcuts (ResNet). Watch a plain network of 44 layers fail to learn the *training*
# images that 8 layers learn, and the same 44 layers learn them with shortcuts; and measure gradients layer by layer, to
# see what is *not* the reason.
#
# **Needs.** Lessons 02 (the chain rule through layers), 05 (convolution) and 06 (batch norm, chance between seeds).
#
# **Time.** One and a half to three minutes on two cores.

# %%
import time

import numpy as np
from _lesson import FAST, finish, save_picture
from matplotlib import pyplot as plt

import minidl as ml
from minidl import functional as F
from minidl import models, nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.data.datasets import mnist5k
from minidl.metrics import accuracy
from minidl.training import evaluate, fit

ml.set_num_threads(1)  # the images below are so small that to share the work costs more than it saves

# %% [markdown]
# ## VGG: small filters, one after the other
#
# Simonyan and Zisserman (2015) use $3 \times 3$ filters only. What does an output see? One layer adds a margin of one pixel,
# so $n$ layers see $2n + 1$ pixels: two of them as much as one filter of $5 \times 5$, three as much as one of $7 \times 7$. With
# $C$ maps in and out they need $9 n C^2$ weights instead of $(2n+1)^2 C^2$, and have $n$ nonlinearities instead of one.
#
# Autograd can tell what an output sees: wherever its derivative with respect to the input is not 0.


# %%
def seen(*kernels):
    """Height and width of the part of the input on which the middle output of such convolutions depends."""
    ml.manual_seed(0)
    layers = nn.Sequential(*[nn.Conv2d(1, 1, k, padding=k // 2) for k in kernels])
    x = ml.randn(1, 1, 21, 21, requires_grad=True)
    layers(x)[0, 0, 10, 10].backward()
    rows, columns = np.nonzero(x.grad.numpy()[0, 0])
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def weights(*kernels, maps=64):
    return sum(k * k * maps * maps for k in kernels)


for stack, single in (((3, 3), 5), ((3, 3, 3), 7)):
    print(
        f"{len(stack)} layers of 3 × 3 see {seen(*stack)}, with {weights(*stack):,} weights for 64 maps; "
        f"one of {single} × {single} sees {seen(single)}, with {weights(single):,}"
    )
    assert seen(*stack) == seen(single) == (single, single)
    assert weights(*stack) / weights(single) == 9 * len(stack) / single**2

# %% [markdown]
# ## Inception: several sizes side by side
#
# Which size should a filter have? Szegedy and colleagues (2015) take all of them: $1 \times 1$, $3 \times 3$, $5 \times 5$ and a maximum
# see the same input, and what they give is put together along the channels. That would be expensive, so a $1 \times 1$
# convolution first makes the input thinner: fewer maps, each a mixture of all of them. GoogLeNet's first module takes 192
# maps of 28 × 28 to 256. (Its "$5 \times 5$" is $3 \times 3$ here, as in torchvision; figure 2 of the paper shows the module.)

# %%
module = models.googlenet(aux_logits=False).inception3a.eval()
x = ml.rand(1, 192, 28, 28)
with ml.no_grad():
    branches = [branch(x) for branch in (module.branch1, module.branch2, module.branch3, module.branch4)]
    together = module(x)
print("maps of the four branches:", [branch.shape[1] for branch in branches], "together", together.shape)

thin = sum(layer.weight.numel() for layer in module.modules() if isinstance(layer, nn.Conv2d)) * 28 * 28
thick = (192 * 64 + 9 * 192 * 128 + 9 * 192 * 32) * 28 * 28  # without the 1 × 1 convolutions in front and behind
print(f"multiplications: {thin / 1e6:.0f} million; without thinning {thick / 1e6:.0f} million")
print(
    f"and without the 1 × 1 behind the maximum, {64 + 128 + 32 + 192} maps would come out, and more after each module"
)

assert np.array_equal(ml.cat(branches, 1).numpy(), together.numpy())
assert together.shape == (1, 256, 28, 28) and thick / thin > 1.7

# %% [markdown]
# ## How gradients travel
#
# Through $n$ layers, $x_l = \mathrm{relu}(W_l x_{l-1})$, the chain rule multiplies $n$ times:
#
# $$ g_{l-1} = W_l^\top D_l\, g_l, \qquad D_l = \mathrm{diag}(x_l > 0), \qquad
#    E\|g_{l-1}\|^2 = \tfrac12 \, k^2 C \, \mathrm{Var}(w) \; E\|g_l\|^2 . $$
#
# Half of the units are on, and each $g_{l-1}$ is a sum over $k^2 C$ weights with mean 0. So the length changes by a
# factor $q = \sqrt{k^2 C\, \mathrm{Var}(w) / 2}$ per layer, and by $q^n$ in all: only the initialization of He and colleagues
# (2015), $\mathrm{Var}(w) = 2 / (k^2 C)$, makes $q = 1$. Let us see 40 layers with $q = 0.8$, 1 and 1.2 (with circular padding,
# as the formula has no border).

# %%
CHAIN, MAPS = 40, 16


def gradient_norms(factor):
    """The length of the gradient at the output of each of 40 convolutions with ReLU, the last one being 1."""
    ml.manual_seed(0)
    x = ml.randn(8, MAPS, 7, 7, requires_grad=True)
    outputs = [x]
    for _ in range(CHAIN):
        w = ml.randn(MAPS, MAPS, 3, 3) * (factor * np.sqrt(2 / (9 * MAPS)))
        outputs.append(F.relu(F.conv2d(F.pad(outputs[-1], (1, 1, 1, 1), mode="circular"), w)))
    gradients = ml.grad(outputs[-1], outputs, ml.randn(*x.shape))
    norms = np.array([gradient.norm().item() for gradient in gradients])
    return norms / norms[-1]


chains = {factor: gradient_norms(factor) for factor in (0.8, 1.0, 1.2)}
for factor, norms in chains.items():
    measured = (norms[0] / norms[-1]) ** (1 / CHAIN)
    print(
        f"q = {factor}: measured {measured:.2f} per layer; 40 layers below, the gradient is {norms[0]:.1e} times as long"
    )
    assert abs(measured / factor - 1) < 0.1

# %% [markdown]
# Batch norm gives the output of each layer a scale of its own, whatever the weights. So with He's start and batch norm, 44
# layers should be no problem. Are they?
#
# ## The degradation
#
# A deeper network can do whatever a shallower one can: let the additional layers pass on what they get. So on the
# *training* images it cannot be worse; on test images it might, if it overfits. He and colleagues (2016) trained plain
# networks of 20 and of 56 layers, and the deeper one was worse on the training images. They called it *degradation*: the
# better solution exists, and the optimizer does not find it.
#
# Their remedy is to make passing on the thing that needs no learning. A block computes
#
# $$ x_{l+1} = \mathrm{relu}\big(x_l + \mathcal F_l(x_l)\big), \qquad \text{so that (where ReLU is on)} \qquad
#    \frac{\partial L}{\partial x_l} = \Big( I + \frac{\partial \mathcal F_l}{\partial x_l} \Big)^{\!\top}
#    \frac{\partial L}{\partial x_{l+1}} : $$
#
# the gradient comes down as it is, and something is added to it. And with $\mathcal F = 0$ the block is the identity, since
# what arrives has been through a ReLU. We can carry out the argument: the weights of ResNet-8 go into ResNet-44, in each
# additional block the last batch norm gets $\gamma = \beta = 0$, and the two give the same answers.


# %%
def network(depth, residual):
    """He et al. 2016, section 4.2, with half the maps: 8, 16 and 32."""
    return models.ResNetCifar(depth, in_channels=1, width=8, residual=residual)


ml.manual_seed(0)
shallow, deep = network(8, residual=True), network(44, residual=True)
state = deep.state_dict()
for name in state:
    if name.endswith(("bn2.weight", "bn2.bias")):
        state[name] = ml.zeros(*state[name].shape)
state.update(shallow.state_dict())  # the first block of each stage has the same name in both
deep.load_state_dict(state)
x = ml.rand(4, 1, 14, 14)
with ml.no_grad():
    identity_error = np.abs(deep.eval()(x).numpy() - shallow.eval()(x).numpy()).max()
print(f"ResNet-44 that copies ResNet-8: the logits differ by at most {identity_error:.0e}")

assert identity_error < 1e-5

# %% [markdown]
# Now both kinds with 8, 20 and 44 layers, from two seeds each, and beside them a small VGG and a small Inception. They
# read 2,000 digits, made smaller to 14 × 14, with SGD and momentum as in the paper. A plain network and a ResNet of the
# same depth have the same parameters, the same start and see the same batches.

# %%
COUNT, EPOCHS, SEEDS, DEPTHS = (640, 3, 1, (8, 20)) if FAST else (2000, 5, 2, (8, 20, 44))
BUILDERS = {
    f"{kind}-{depth}": lambda depth=depth, kind=kind: network(depth, kind == "ResNet")
    for kind in ("plain", "ResNet")
    for depth in DEPTHS
}
BUILDERS["MiniVGG"] = lambda: models.MiniVGG(in_channels=1, widths=(8, 16, 32))
BUILDERS["MiniInception"] = lambda: models.MiniInception(in_channels=1, width_mult=1 / 8)


def smaller(data, count):
    """The first images at half their size, with mean about 0 and standard deviation about 1."""
    images = F.avg_pool2d(data.images[:count], 2).numpy()
    return TensorDataset((images - 0.13) / 0.28, data.labels.numpy()[:count])


train_set, test_set = (smaller(data, count) for data, count in zip(mnist5k(), (COUNT, 1000), strict=True))


def learn(model, seed):
    """SGD with momentum 0.9 and weight decay, the rate up to 0.05 and down again."""
    loader = DataLoader(train_set, batch_size=64, shuffle=True, generator=ml.Generator(seed))
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.05, total_steps=EPOCHS * len(loader))
    return fit(model, optimizer, F.cross_entropy, loader, epochs=EPOCHS, metrics={"accuracy": accuracy},
               scheduler=schedule, schedule_by="step", progress=False)  # fmt: skip


def gradients_by_block(model):
    """The length of ∂L/∂x at the output of the first layer and of each block, for 256 images in training mode."""
    outputs = []
    blocks = [model.bn1, *model.layer1, *model.layer2, *model.layer3]
    hooks = [block.register_forward_hook(lambda module, inputs, output: outputs.append(output)) for block in blocks]
    images, labels = train_set[np.arange(min(256, COUNT))]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    gradients = ml.grad(F.cross_entropy(model.train()(images), labels), outputs)
    model.load_state_dict(state)  # a pass in training mode has moved the running statistics
    for hook in hooks:
        hook.remove()
    return np.array([gradient.norm().item() for gradient in gradients])


curves, scores, lengths, costs = {}, {}, {}, {}
for name, build in BUILDERS.items():
    found = []
    for seed in range(SEEDS):
        ml.manual_seed(seed)
        model = build()
        at_start = gradients_by_block(model) if "-" in name and seed == 0 else None
        start = time.perf_counter()
        history = learn(model, seed)
        costs[name] = time.perf_counter() - start, sum(parameter.numel() for parameter in model.parameters())
        if at_start is not None:
            lengths[name] = at_start, gradients_by_block(model)
        measured = [
            evaluate(model, DataLoader(data, 500), F.cross_entropy, {"accuracy": accuracy})
            for data in (train_set, test_set)
        ]
        found.append((history.column("loss"), *(m[key] for m in measured for key in ("loss", "accuracy"))))
    curves[name] = np.array([row[0] for row in found])
    scores[name] = np.array([row[1:] for row in found])
    print(f"{name:13s}: accuracy on the training images", *(f"{row[2]:.1%}" for row in found))

# %% [markdown]
# The table gives means over the seeds: accuracy and loss on the training images after training, accuracy on 1,000 others.

# %%
print("                parameters   seconds   train accuracy   train loss   test accuracy   (mean; lowest … highest)")
for name, found in scores.items():
    loss, in_training, _, in_test = found.mean(axis=0)
    seconds, parameters = costs[name]
    print(
        f"{name:13s} {parameters:12,d} {seconds:9.1f} {in_training:12.1%} {loss:15.3f} {in_test:13.1%}      "
        f"{found[:, 3].min():.1%} … {found[:, 3].max():.1%}"
    )


def train_loss(name):
    """After training, one for each seed."""
    return scores[name][:, 0]


deepest = DEPTHS[-1]
assert (train_loss(f"ResNet-{deepest}") < train_loss(f"plain-{deepest}")).all()
if not FAST:
    assert train_loss("plain-44").min() > 2 * max(train_loss("plain-20").max(), train_loss("plain-8").max())
    assert scores["plain-44"][:, 1].max() < scores["plain-8"][:, 1].min() - 0.2  # degradation, on the training images
    assert scores["ResNet-44"][:, 1].min() > 0.9 and scores["ResNet-44"][:, 3].min() > 0.9  # and its cure

# %% [markdown]
# More depth makes the plain networks worse on the images that they are trained on, so it is not overfitting; and the same
# layers with shortcuts learn them. This is a statement about five epochs. With more patience plain-44 gets better, but so
# do the others; He and colleagues gave theirs 160 epochs or more, and the order stayed.
#
# ## Gradients by layer
#
# Is it that the gradient vanishes on its way down? We measure $\|\partial L / \partial x_l\|$ at the output of every block,
# before and after training.

# %%
for name in lengths:
    if name.endswith(str(deepest)):
        for moment, norms in zip(("at the start", "when trained"), lengths[name], strict=True):
            print(
                f"{name}, {moment:12s}: ∂L/∂x at the first layer is {norms[0] / norms[-1]:9.2g} times as long as at the last"
            )

first_to_last = {name: norms[0][0] / norms[0][-1] for name, norms in lengths.items()}
plain_growth, residual_growth = (first_to_last[f"{kind}-{deepest}"] for kind in ("plain", "ResNet"))

assert plain_growth > (2 if FAST else 10) * residual_growth and residual_growth > 1  # neither vanishes; one explodes

# %% [markdown]
# Nothing vanishes. On the contrary: at the start the gradient of the plain network *grows* on its way down, in 44 layers
# more than a hundredfold. Batch norm itself does this: where ReLU has taken away variance, it scales up again, and so it
# scales up what comes back (Yang and colleagues 2019; no choice of the initial variance helps, since batch norm takes it
# out). A step that suits the last layers may then be far too large for the first. With shortcuts most of the gradient goes
# past the normalizations, and grows little. After training the plain network's gradients look harmless, and yet it has
# not learned: a length that is right is not enough. He and colleagues said as much of theirs, and left the reason open.
#
# ## The picture
#
# Above: the loss while training, without and with shortcuts, and the accuracy after it (solid on the training images,
# dotted on others; bars from the lowest to the highest seed). Below: the chain of 40 layers without batch norm, and the
# gradient at each block of the two deepest networks, relative to the last block.

# %%
BLUE, RED, GREEN, GOLD, GRAY = "#1f6fb4", "#c8402f", "#2f8f4e", "#d98c1f", "#8a8a8a"
KINDS = {"plain": RED, "ResNet": BLUE}
SHADES = dict(zip(DEPTHS, ((0.4, "^"), (0.65, "s"), (1.0, "o")), strict=False))
plt.rcParams.update({"axes.titlesize": 11, "font.size": 10})
figure, axes = plt.subplots(2, 3, figsize=(15, 8.6), layout="constrained")
(plain_ax, residual_ax, depth_ax), (chain_ax, start_ax, trained_ax) = axes
trained_ax.sharey(start_ax)

epochs = np.arange(1, EPOCHS + 1)
for ax, (kind, color) in zip((plain_ax, residual_ax), KINDS.items(), strict=True):
    for depth, (alpha, marker) in SHADES.items():
        found = curves[f"{kind}-{depth}"]
        ax.plot(epochs, found.mean(axis=0), marker + "-", color=color, alpha=alpha, label=f"{kind}-{depth}")
        ax.fill_between(epochs, found.min(axis=0), found.max(axis=0), color=color, alpha=0.15 * alpha, linewidth=0)
    ax.set(xlabel="epoch", xticks=epochs, ylim=(0, 2.6))
    ax.legend(frameon=False)
plain_ax.set_title("plain: loss in training, mean and range of the seeds")
residual_ax.set_title("the same layers with shortcuts")

for kind, color in KINDS.items():
    for column, style, where in ((1, "o-", "training images"), (3, "o:", "other images")):
        found = np.array([100 * scores[f"{kind}-{depth}"][:, column] for depth in DEPTHS])
        middle = found.mean(axis=1)
        reach = (middle - found.min(axis=1), found.max(axis=1) - middle)
        depth_ax.errorbar(DEPTHS, middle, yerr=reach, fmt=style, color=color, capsize=3, label=f"{kind}, {where}")
for (name, marker), color in zip((("MiniVGG", "D"), ("MiniInception", "P")), (GREEN, GOLD), strict=True):
    layers = 8 if name == "MiniVGG" else 12  # convolutions and dense layers on the longest path
    depth_ax.plot(layers, 100 * scores[name][:, 3].mean(), marker, color=color, label=f"{name}, other images")
depth_ax.set(title="accuracy after training, in %", xlabel="layers", xticks=DEPTHS, ylim=(0, 103))
depth_ax.legend(frameon=False, fontsize=8.5, loc="lower left")

for (factor, norms), color in zip(chains.items(), (RED, GRAY, GOLD), strict=True):
    chain_ax.plot(norms, color=color, label=f"q = {factor}")
chain_ax.set(title="40 convolutions and ReLU without batch norm: ‖∂L/∂x‖", xlabel="layer", yscale="log")
chain_ax.legend(frameon=False)

for ax, moment, title in (
    (start_ax, 0, "with batch norm, at the start: ‖∂L/∂x‖"),
    (trained_ax, 1, "with batch norm, when trained: ‖∂L/∂x‖"),
):
    for kind, color in KINDS.items():
        norms = lengths[f"{kind}-{deepest}"][moment]
        ax.plot(norms / norms[-1], "o-", color=color, markersize=4, label=f"{kind}-{deepest}")
    ax.set(title=title, xlabel="block", yscale="log")
    ax.legend(frameon=False)
for ax in axes.flat:
    ax.grid(alpha=0.3)
save_picture(figure, "09_deeper")

# %% [markdown]
# ## Summary
#
# - Two or three $3 \times 3$ layers see as much as one of $5 \times 5$ or $7 \times 7$, with fewer weights and more nonlinearities.
# - Inception puts several sizes side by side, and pays for it with $1 \times 1$ convolutions in front.
# - Depth by itself made the plain networks worse on their own training images; what they should have learned exists, as a
#   copy of a shallower network. Shortcuts make that copy the starting point.
# - A gradient that vanishes is one way for depth to fail, cured by initialization and batch norm. Degradation is another:
#   there the gradient grows downwards, and shortcuts keep its length.
#
# ## Exercises
#
# 1. Train plain-44 for 20 epochs. How far does it come? And with rates of 0.01 and 0.2?
# 2. Initialize $\gamma$ of each block's last batch norm with 0 (`bn2.weight`), so that ResNet-44 starts as the identity in
#    every block (Goyal and colleagues 2017). Does it learn faster?
# 3. Leave out batch norm: build a block without it, with and without shortcut. How deep can each be?
# 4. Delete one block of the trained ResNet-44 (make it the identity), then one of plain-44. What does it cost?
# 5. The 1 × 1 convolutions: write GoogLeNet's module without them, compare its parameters and its time.

# %%
finish(
    *(
        f"{name}: {scores[name][:, 1].mean():.1%} of the training images, {scores[name][:, 3].mean():.1%} of others"
        for name in BUILDERS
    ),
    f"∂L/∂x, first against last layer, at the start: plain-{deepest} {plain_growth:.0f}, ResNet-{deepest} {residual_growth:.1f}",
    f"a ResNet-44 that copies a ResNet-8 differs by {identity_error:.0e}",
)
