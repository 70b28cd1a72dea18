# %% [markdown]
# # 19  DCGAN: digits from noise, one's own choice of which, and a judge
#
# **Goal.** Make images with the contest of lesson 18: a convolutional GAN that learns to write digits, measured by a classifier
# that was trained on real ones. Then tell the generator *which* digit to write, walk through its latent space, and look up whether
# it has merely copied.
#
# **Needs.** Lessons 06 (LeNet-5, which becomes the judge), 14 (transposed convolutions) and 18 (the contest, its health).
#
# **Time.** Three to five minutes on two cores.

# %%
import warnings

import numpy as np
from _lesson import FAST, OUTPUT, finish, save_picture
from matplotlib import pyplot as plt

import minidl as ml
from minidl import functional as F
from minidl import models, nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.data.datasets import mnist5k
from minidl.metrics import GANHealth, GANHealthWarning, accuracy, class_histogram, frechet_distance
from minidl.training import FixedNoiseSamples, GeneratorEMA, fit, fit_gan
from minidl.vision.samples import animate, grid, latent_path

warnings.simplefilter("ignore", GANHealthWarning)  # the panel draws the alarms

# %% [markdown]
# ## The digits, and the judge
#
# The 5,000 digits of lesson 06, scaled to $[-1, 1]$, the range of tanh. The GAN sees the 4,000 training digits; 1,000 are held back
# to compare with. Nothing in the loss of a GAN says how good its images are, so we train a judge: LeNet-5 with batch norm.
# It tells the class of a generated image, and its last hidden layer, 84 numbers that know what matters in a digit, is where
# the *Fréchet distance* is taken: of two Gaussians with the means and covariances of the two sets of features,
#
# $$ d^2 = \|\mu_1 - \mu_2\|^2 + \mathrm{tr}\left(C_1 + C_2 - 2 (C_1 C_2)^{1/2}\right) . $$

# %%
train_set, test_set = mnist5k()
real, labels = 2 * train_set.images - 1, train_set.labels
held_back, held_labels = 2 * test_set.images - 1, test_set.labels


def batches(seed, count):
    """A loader of the first `count` training digits."""
    return DataLoader(
        TensorDataset(real[:count], labels[:count]), 64, shuffle=True, drop_last=True, generator=ml.Generator(seed)
    )


ml.manual_seed(0)
judge = nn.Sequential(
    nn.Conv2d(1, 6, 5, padding=2), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
    nn.Linear(84, 10),
)  # fmt: skip
JUDGE_EPOCHS, loader = (2 if FAST else 8), batches(0, len(real))
optimizer = optim.Adam(judge.parameters(), lr=4e-3)
fit(
    judge,
    optimizer,
    F.cross_entropy,
    loader,
    epochs=JUDGE_EPOCHS,
    scheduler=optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=JUDGE_EPOCHS * len(loader)),
    schedule_by="step",
    progress=False,
)
judge.eval().requires_grad_(False)
features = judge[:-1]
right = accuracy(judge(held_back), held_labels)
floor = frechet_distance(features(held_back[:500]), features(held_back[500:]))
print(f"the judge is right about {right:.1%} of the digits held back")
print(f"Fréchet distance between two halves of the real digits: {floor:.2f}, no generator need be nearer")

assert right >= (0.9 if FAST else 0.97)

# %% [markdown]
# ## The networks
#
# Radford, Metz and Chintala (2016) found, by trying, convolutional networks that survive the contest. Their rules: strides
# instead of pooling, in both networks; batch norm in both, but neither where the generator ends nor where the discriminator begins; no
# hidden dense layers; ReLU and at the end tanh in the generator, leaky ReLU in the discriminator; weights from $N(0, 0.02^2)$.
#
# The generator goes the way of a classifier backwards. Noise becomes $7 \times 7$ maps, and each transposed convolution doubles the side:
# $4 \times 4$, stride 2, padding 1 gives $2 (n - 1) + 4 - 2 \cdot 1 = 2n$. The kernel being a multiple of the stride, each output pixel
# gets $2 \times 2$ taps, none more than its neighbor, or there would be a checkerboard in the images.

# %%
WIDTH, LATENT = (8 if FAST else 24), 32
ml.manual_seed(0)
gan = models.DCGAN(width=WIDTH, latent_size=LATENT)
x = gan.noise(1)
print(f"noise {x.shape}")
for name, layer in gan.generator.main.named_children():
    x = layer(x)
    if isinstance(layer, nn.ConvTranspose2d):
        print(f"  main.{name} {type(layer).__name__:16s} {x.shape}")
taps = F.conv_transpose2d(ml.ones(1, 1, 7, 7), ml.ones(1, 1, 4, 4), stride=2, padding=1).numpy()[0, 0]
odd = F.conv_transpose2d(ml.ones(1, 1, 7, 7), ml.ones(1, 1, 3, 3), stride=2, padding=1).numpy()[0, 0]
print(
    f"taps of the pixels amid the image: {np.unique(taps[1:-1, 1:-1])} with 4 × 4; {np.unique(odd[1:-1, 1:-1])} with 3 × 3"
)
for name in ("generator", "discriminator"):
    print(f"{name}: {sum(parameter.numel() for parameter in getattr(gan, name).parameters()):,} parameters")

assert x.shape == (1, 1, 28, 28) and np.unique(taps[1:-1, 1:-1]).tolist() == [4]

# %% [markdown]
# Why is batch norm in a GAN delicate? The discriminator normalizes the real batch and the generated batch each by itself (`fit_gan` puts
# them through one after the other): mixed, the statistics alone would tell which is which.
#
# ## The contest
#
# Adam with $\beta_1 = 0.5$, as in the paper: the other player moves, so a long memory of the gradient remembers a game that is
# over. The rate is five times the paper's, for a network and a set of data that are both small.

# %%
DIGITS, EPOCHS, CLASS_EPOCHS, EVERY = (4000, 2, 1, 1) if FAST else (4000, 30, 25, 5)


def train(gan, epochs, seed, count):
    """(averaged generator, history, health, samples by epoch) of one training."""
    average = GeneratorEMA(gan, 0.995)
    health = GANHealth(held_back, features=features, judge=judge, every=EVERY)
    frames = FixedNoiseSamples(gan, count)
    adam = {"lr": 1e-3, "betas": (0.5, 0.999)}
    history = fit_gan(
        gan,
        optim.Adam(gan.generator.parameters(), **adam),
        optim.Adam(gan.discriminator.parameters(), **adam),
        batches(seed, DIGITS),
        epochs=epochs,
        callbacks=[average, health, frames],
        progress=False,
    )
    print("epoch   D(x)   D(G(z))   classes   coverage   Fréchet distance")
    for record in history:
        if "frechet" in record:
            print(
                f"{record['epoch']:5.0f} {record['d_real']:6.2f} {record['d_fake']:9.2f} {record['classes']:9.0f} "
                f"{record['coverage']:10.1%} {record['frechet']:18.1f}"
            )
    return average.generator, history, health, frames


untrained = frechet_distance(features(gan.sample(1000)), features(held_back))
average, history, health, frames = train(gan, EPOCHS, seed=0, count=48)

# %% [markdown]
# The verdict on the averaged generator: a class counts as found if it has at least a fifth of an even share of the samples.

# %%
ml.manual_seed(1)
z = gan.noise(1000)
with ml.no_grad():
    made = average(z)
    histogram = class_histogram(judge(made))
classes = int((histogram >= 20).sum())
trained = frechet_distance(features(made), features(held_back))
print("class    " + "".join(f"{digit:5d}" for digit in range(10)))
print("samples  " + "".join(f"{count:5d}" for count in histogram))
print(f"Fréchet distance: {untrained:.0f} untrained, {trained:.1f} trained, {floor:.1f} between real halves")

assert trained <= untrained / (1.2 if FAST else 3)
assert FAST or (classes >= 9 and not health.alarms)

# %% [markdown]
# ## Has it copied?
#
# A generator that had learned the training digits by heart would score perfectly. So look up each sample's nearest training digit,
# and compare: how near to the training digits are *real* digits that were held back? And a copy would be at distance 0.


# %%
def nearest(images):
    """(indices of the nearest training digits, distances to them) of (N, 1, 28, 28) images."""
    a, b = images.flatten(1).numpy(), real.flatten(1).numpy()
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return squares.argmin(1), np.sqrt(squares.min(1).clip(0))


neighbors, near = nearest(made)
_, near_real = nearest(held_back)
print(
    f"distance to the nearest training digit, median: {np.median(near):.2f} generated, {np.median(near_real):.2f} real, held back"
)
print(f"smallest: {near.min():.2f} generated, {near_real.min():.2f} real, held back")
gan.train()
with ml.no_grad():
    known, new = (
        np.mean([gan.score(x[k : k + 64]).sigmoid().mean().item() for k in range(0, 960, 64)])
        for x in (real, held_back)
    )
gan.eval()
print(f"D of training digits {known:.3f}, of digits held back {new:.3f}")

assert near.min() > 0.5 * near_real.min() and (FAST or np.median(near) > 0.5 * np.median(near_real))

# %% [markdown]
# Nothing was copied. But see the last line: if $D$ is surer of the digits that it knows than of new ones, it has begun to learn them
# by heart, and what it teaches is no longer "be a digit" but "be one of these 4,000". That is what 5,000 digits limit: not the
# sharpness, but how long the training can go on, and how many ways of writing there are (the coverage). MNIST has 60,000.
#
# ## A walk
#
# Between two samples the images should change smoothly, and be digits all the way. The straight line from $z_1$ to $z_2$ is the
# wrong path: normal noise in 32 dimensions has length about $\sqrt{32}$, and its middle only $\sqrt{32/2}$, where the generator
# never was. So one walks along the sphere (`latent_path`).

# %%
ml.manual_seed(3)
stops, STEPS = gan.noise(5), 4
path, straight = (latent_path(stops, STEPS, spherical=spherical) for spherical in (True, False))
with ml.no_grad():
    walk = average(path)
moves = np.sqrt(((walk[1:] - walk[:-1]).numpy() ** 2).sum((1, 2, 3)))
apart = np.sqrt(((made[1:] - made[:-1]).numpy() ** 2).sum((1, 2, 3))).mean()
print(
    f"lengths of the noise amid the legs: sphere {np.linalg.norm(path.numpy()[2::4], axis=1).round(1)}, line {np.linalg.norm(straight.numpy()[2::4], axis=1).round(1)}"
)
print(f"one step changes an image by {moves.mean():.1f}; two samples are {apart:.1f} apart")

assert moves.mean() < 0.75 * apart

# %% [markdown]
# ## Which digit?
#
# The generator chose its digits itself. Mirza and Osindero (2014) give both networks the label: $G(z, y)$ gets it beside the noise, as
# one-hot; $D(x, y)$ gets it as another map beside the image, one that it learns for each class. Now $D$ asks whether this is a real image
# *of this class*: a perfect 3 that is labeled 7 is a fake, since no real pair looks so. The generator has to obey.

# %%
ml.manual_seed(0)
conditional = models.ConditionalGAN(width=WIDTH, latent_size=LATENT)
asked_average, asked_history, asked_health, asked_frames = train(conditional, CLASS_EPOCHS, seed=0, count=40)
ml.manual_seed(2)
asked = F.arange(1000) % 10
with ml.no_grad():
    on_demand = asked_average(conditional.noise(1000), asked)
    agreement = accuracy(judge(on_demand), asked)
    told = judge(on_demand).argmax(1).numpy()
asked_trained = frechet_distance(features(on_demand), features(held_back))
by_class = [np.mean(told[asked.numpy() == digit] == digit) for digit in range(10)]
print("asked    " + "".join(f"{digit:6d}" for digit in range(10)))
print("obeyed   " + "".join(f"{share:6.0%}" for share in by_class))
print(f"the judge agrees with {agreement:.1%}, and with {right:.1%} of the labels of real digits")
print(f"Fréchet distance {asked_trained:.1f}, without labels {trained:.1f}, real {floor:.1f}")

assert FAST or agreement >= 0.9

# %% [markdown]
# Labels help also where nobody asks for a class: at the same width, in fewer epochs, the conditional GAN is nearer to the
# real digits. The labels tell it that there are ten kinds of things, which the other has to find out.
#
# The same noise with another label keeps the *style*: slant, width and weight of the stroke. The label has taken the class out of
# the noise.

# %%
ml.manual_seed(4)
styles = conditional.noise(6)
with ml.no_grad():
    sheet = asked_average(styles.repeat_interleave(10, 0), F.arange(60) % 10)

# %% [markdown]
# ## The pictures
#
# First the training: the same noise after more and more epochs. The picture of epoch 0 is gray, as the running statistics of batch norm
# are still those of no data.

# %%
SHOWN = (0, 1, 2) if FAST else (0, 1, 5, 15, 30)
RANGE = {"value_range": (-1, 1)}


def show(ax, images, title, columns=None):
    ax.imshow(grid(images, columns=columns, **RANGE).transpose(1, 2, 0), interpolation="nearest")
    ax.set_axis_off()
    ax.set_title(title)


plt.rcParams.update({"axes.titlesize": 11, "font.size": 10})
figure = plt.figure(figsize=(15, 11.5), layout="constrained")
growth, ends, last = figure.subfigures(3, 1, height_ratios=(1.05, 1.1, 1))
for ax, epoch in zip(growth.subplots(1, len(SHOWN)), SHOWN, strict=True):
    show(ax, frames.batches[frames.epochs.index(epoch)][:36], f"epoch {epoch}")
growth.suptitle("DCGAN: the same 36 noises over the training")
made_ax, real_ax, sheet_ax = ends.subplots(1, 3)
show(made_ax, made[:60], f"DCGAN, averaged: Fréchet distance {trained:.0f}, {classes} of 10 classes", 10)
show(real_ax, held_back[:60], "real digits", 10)
show(sheet_ax, sheet, f"conditional GAN, a noise for each row: {agreement:.0%} obeyed", 10)
walk_ax, copy_ax = last.subplots(1, 2, width_ratios=(1.6, 1))
show(walk_ax, walk, "a walk along the sphere, row after row: from noise to noise in four steps", 9)
pairs = np.stack([made.numpy()[:10], real.numpy()[neighbors[:10]]]).reshape(-1, 1, 28, 28)
show(copy_ax, pairs, "samples, and below each the training digit nearest to it", 10)
save_picture(figure, "19_dcgan")

panel = health.panel(history)
panel.suptitle("health of the DCGAN")
save_picture(panel, "19_health")

# %% [markdown]
# And as animations: both trainings, and a walk through the latent space that ends where it began.

# %%
for name, kept in (("training", frames), ("conditional", asked_frames)):
    pages = [grid(batch, columns=10 if kept is asked_frames else 8, **RANGE) for batch in kept.batches]
    print(
        "animation:", animate(pages, OUTPUT / f"19_{name}.gif", titles=[f"epoch {epoch}" for epoch in kept.epochs]).name
    )
loops = [latent_path(conditional.noise(4), 2 if FAST else 10, closed=True) for _ in range(1 if FAST else 4)]
with ml.no_grad():
    tours = [[asked_average(z[None].repeat_interleave(10, 0), F.arange(10)) for z in loop] for loop in loops]
pages = [grid(F.cat(rows, 0), columns=10, **RANGE) for rows in zip(*tours, strict=True)]
print("animation:", animate(pages, OUTPUT / "19_walk.gif", seconds=0.1).name)

# %% [markdown]
# ## Summary
#
# - DCGAN's rules make the contest survive with images. A judge that was trained on real digits tells how it stands: classes found,
#   Fréchet distance of its features, with real against real as the floor.
# - With the label given to both networks the generator obeys, for $D$ judges pairs. The noise keeps the style.
# - Samples are compared with the nearest training digits to see whether they are copies. They are not; but few data let the
#   discriminator learn by heart.
# - The latent space is walked along the sphere.
#
# ## Exercises
#
# 1. Train with 500 digits instead of 4,000. What becomes of $D$ on known and new digits, and of the nearest neighbors?
# 2. Take the generator without its average. How much of the Fréchet distance does the average save?
# 3. Replace the discriminator's batch norm: `models.DCGANDiscriminator(norm="layer")`, in a `models.GAN` of your own. Does it train?
# 4. Use `models.SNGAN` and the hinge loss. Which of the health panel's curves become calmer?
# 5. Walk along the straight line in 32 and in 2 dimensions. Where do you see its middle?

# %%
finish(
    f"judge {right:.1%} right; DCGAN: {classes} of 10 classes, Fréchet distance {untrained:.0f} → {trained:.1f} (real halves {floor:.1f})",
    f"conditional GAN: the judge agrees with {agreement:.1%}, Fréchet distance {asked_trained:.1f}",
    f"nearest training digit, median: {np.median(near):.2f} from a sample, {np.median(near_real):.2f} from a real digit",
)
