# %% [markdown]
# # 18  Generative adversarial networks: a contest, its optimum, and its failures
#
# **Goal.** Train two networks against each other: one makes samples, the other tells them from real ones. Derive what
# the contest leads to and check it where all densities are known; win it on a ring of eight Gaussians, over three
# seeds; make it fail in two ways, let the alarms ring, and find that the losses would not have told.
#
# **Needs.** Lessons 04 (cross-entropy, Adam) and 17 (generative models, KL).
#
# **Time.** A minute and a half to three minutes on two cores.

# %%
import warnings

import numpy as np
from _lesson import FAST, finish, save_picture
from matplotlib import pyplot as plt

import minidl as ml
from minidl import functional as F
from minidl import models, optim
from minidl.data import DataLoader, TensorDataset
from minidl.metrics import GANHealth, GANHealthWarning, mode_coverage
from minidl.training import Callback, FixedNoiseSamples, GeneratorEMA, fit_gan

ml.set_num_threads(1)  # the networks are so small that to share the work costs more than it saves
warnings.simplefilter("ignore", GANHealthWarning)  # we make things go wrong, and print the alarms ourselves

# %% [markdown]
# ## The contest
#
# Lesson 17 wrote down $p(x)$, or a bound of it, and made it large. Goodfellow and colleagues (2014) do without: a
# *generator* makes samples of noise, $x = G(z)$, and a *discriminator* says how probable it is that a sample is real,
# $D(x) = \sigma(\text{score})$. $D$ is an ordinary classifier, trained by cross-entropy. $G$ is trained to be mistaken
# for real:
#
# $$ \min_G \max_D V(D, G), \qquad V = E_{x \sim p}[\log D(x)] + E_{z}[\log(1 - D(G(z)))] . $$
#
# ### The best discriminator
#
# The samples $G(z)$ have a density $q$, even if nobody can compute it. Then $V = \int p \log D + q \log(1 - D)\, dx$,
# and each $x$ can be taken by itself: $p/D - q/(1 - D) = 0$ gives
#
# $$ D^*(x) = \frac{p(x)}{p(x) + q(x)} . $$
#
# So a discriminator that has learned all there is to learn knows the ratio of the densities,
# $p/q = D/(1 - D) = e^{\text{score}}$, though it has seen only samples. In one dimension we can look: real data from
# two Gaussians, generated ones from a single one.

# %%
line = np.linspace(-8, 8, 3201)
dx = line[1] - line[0]


def gaussian(x, mean, sigma):
    return np.exp(-0.5 * ((x - mean) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))


def value(p, q, d):
    """V(D, G) = ∫ p log D + q log(1 − D) dx, for values on the line."""
    return np.sum(p * np.log(d) + q * np.log1p(-d)) * dx


p, q = 0.5 * gaussian(line, -2, 0.6) + 0.5 * gaussian(line, 1.5, 0.8), gaussian(line, 0, 1.5)
best = p / (p + q)

ml.manual_seed(0)
rng = np.random.default_rng(0)
learner = models.MLPDiscriminator((1,), (64, 64))
STEPS_1D = 200 if FAST else 2000
optimizer = optim.Adam(learner.parameters(), lr=3e-3)
schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS_1D)
for _ in range(STEPS_1D):
    left = rng.random(512) < 0.5
    real = np.where(left, rng.normal(-2, 0.6, 512), rng.normal(1.5, 0.8, 512))
    real, fake = (ml.tensor(x.astype(np.float32)[:, None]) for x in (real, rng.normal(0, 1.5, 512)))
    optimizer.zero_grad()
    F.discriminator_loss(learner(real), learner(fake)).backward()
    optimizer.step()
    schedule.step()
with ml.no_grad():
    found_on_line = learner(ml.tensor(line.astype(np.float32)[:, None])).sigmoid().numpy().astype(np.float64)

off = np.sum(0.5 * (p + q) * np.abs(found_on_line - best)) * dx
value_found, value_best = (value(p, q, d.clip(1e-12, 1 - 1e-12)) for d in (found_on_line, best))
print(f"D learned from samples against p / (p + q): {off:.3f} apart, on the average over the samples")
print(f"V of the learned D {value_found:.4f} ≤ V of D* {value_best:.4f}; D = ½ everywhere would give {-np.log(4):.4f}")

assert value_found <= value_best and off < (0.06 if FAST else 0.03) and value_best - value_found < 0.02

# %% [markdown]
# ### The best generator
#
# With $D^*$ in its place, and $m = (p + q)/2$ the mixture,
#
# $$ V(D^*, G) = \int p \log \frac{p}{2m} + q \log \frac{q}{2m}\, dx = -\log 4 + \mathrm{KL}(p \| m) + \mathrm{KL}(q \| m) = -\log 4 + 2\, \mathrm{JSD}(p, q) . $$
#
# The Jensen-Shannon divergence is 0 if $p = q$, else positive. So the optimum is **$q = p$, $D = \tfrac12$ everywhere,
# $V = -\log 4$**.
#
# $G$ does not differentiate $D^*$, which changes with $G$; it takes a step with $D$ held. Does it go down the right
# hill? Yes:
# $\frac{d}{d\theta} V(D^*_\theta, \theta) = \frac{\partial V}{\partial D} \frac{dD^*}{d\theta} + \frac{\partial V}{\partial \theta}$,
# and the first term is 0, since $D^*$ is a maximum. Let a generator shift, $G(z) = \theta + z$, and the truth be
# $p = N(0, 1)$: then the two must be equal, and the lowest point at $\theta = 0$.

# %%
shifts = np.linspace(-3, 3, 25)
normal = gaussian(line, 0, 1)


def best_value(theta):
    """max_D V for the generator θ + z."""
    shifted = gaussian(line, theta, 1)
    d = normal / (normal + shifted)
    return value(normal, shifted, d.clip(1e-300, 1 - 1e-16))


def slope_with_d_held(theta):
    """∂/∂θ E_z[log(1 − D(θ + z))], D being D* of this very θ: what the generator's backward pass computes."""
    shift = ml.tensor(theta, dtype=ml.float64, requires_grad=True)
    x = shift + ml.tensor(line)
    score = 0.5 * (x - theta) ** 2 - 0.5 * x**2  # log p(x) − log q(x); this θ is a number, not the parameter
    (slope,) = ml.grad((ml.tensor(normal * dx) * F.logsigmoid(-score)).sum(), shift)
    return slope.item()


values = np.array([best_value(theta) for theta in shifts])
held = np.array([slope_with_d_held(theta) for theta in shifts])
true = np.array([(best_value(theta + 1e-4) - best_value(theta - 1e-4)) / 2e-4 for theta in shifts])
slope_error = np.abs(held - true).max()
lowest = values.argmin()
print(f"lowest value {values[lowest]:.6f} at θ = {shifts[lowest]:.0f}; −log 4 = {-np.log(4):.6f}")
print(f"the slope with D held and that of 2 JSD differ by at most {slope_error:.0e}")

assert abs(values[lowest] + np.log(4)) < 1e-6 and shifts[lowest] == 0 and slope_error < 1e-5

# %% [markdown]
# All this is true of a $D$ that is the best at each moment and of densities that overlap. Two warnings follow.
#
# **A sure discriminator teaches nothing.** Far from the data $D \to 0$, and there $\log(1 - D)$ is flat. So one lets
# $G$ minimize $-\log D(G(z))$ instead, which has the same direction and is steep where $G$ is bad (*non-saturating*;
# the default here).

# %%
print("D(G(z))      slope of log(1 − D)   of −log D, in the score")
for d in (0.5, 0.01, 0.0001):
    slopes = {}
    for kind in ("minimax", "non-saturating"):
        score = ml.tensor([np.log(d / (1 - d))], dtype=ml.float64, requires_grad=True)
        slopes[kind] = ml.grad(F.generator_loss(score, kind), score)[0].item()
    print(f"{d:7g} {slopes['minimax']:22.4f} {slopes['non-saturating']:13.4f}")
    assert abs(slopes["minimax"] + d) < 1e-12 and abs(slopes["non-saturating"] + 1 - d) < 1e-12

# %% [markdown]
# **A held discriminator is an invitation to collapse.** For a fixed $D$, to make $E_z[D(G(z))]$ large is to send
# *every* $z$ to the point with the highest $D$: $\min_G \max_D$ has the data as its solution, $\max_D \min_G$ a single
# point. Nothing in the formula says that the algorithm, which takes a step of each in turn, computes the one and not
# the other. We shall see both.
#
# ## The ring
#
# Eight Gaussians, $\sigma = 0.1$, on a circle of radius 2: the usual first test, for one sees what is wrong.
# `models.MLPGAN` has two perceptrons; `fit_gan` takes for each batch a step of $D$, then a step of $G$; `GeneratorEMA`
# averages the generator over its last thousand steps or so, as it dances around the optimum; and `GANHealth` measures
# after each epoch and looks for trouble.

# %%
SIGMA, BATCH, STEPS_PER_EPOCH = 0.1, 128 if FAST else 256, 100
angles = np.arange(8) * np.pi / 4
CENTERS = 2 * np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


def ring(count, seed):
    """(count, 2) points of the real distribution."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(scale=SIGMA, size=(count, 2))
    return ml.tensor((CENTERS[rng.integers(8, size=count)] + noise).astype(np.float32))


axis = np.linspace(-3, 3, 61, dtype=np.float32)
plane = ml.tensor(np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2))


class Landscape(Callback):
    """D on the plane, before the training and after each epoch."""

    def __init__(self, gan):
        self.gan, self.maps = gan, []

    def on_train_begin(self, run):
        with ml.no_grad():
            self.maps.append(self.gan.score(plane).sigmoid().numpy().reshape(len(axis), -1))

    on_epoch_end = on_train_begin


def contest(generator_rate, discriminator_rate, seed, epochs):
    """(GAN, averaged generator, history, health, samples by epoch, D by epoch) of one training."""
    ml.manual_seed(seed)
    gan = models.MLPGAN((2,), latent_size=2, hidden=(128, 128), output="linear")
    loader = DataLoader(
        TensorDataset(ring(BATCH * STEPS_PER_EPOCH, seed)), BATCH, shuffle=True, generator=ml.Generator(seed)
    )
    average = GeneratorEMA(gan, 0.999)
    health = GANHealth(ring(300 if FAST else 1000, 100 + seed), centers=CENTERS, radius=3 * SIGMA)
    frames, landscape = FixedNoiseSamples(gan, 500), Landscape(gan)
    history = fit_gan(
        gan,
        optim.Adam(gan.generator.parameters(), lr=generator_rate, betas=(0.5, 0.9)),
        optim.Adam(gan.discriminator.parameters(), lr=discriminator_rate, betas=(0.5, 0.9)),
        loader,
        epochs=epochs,
        callbacks=[average, health, frames, landscape],
        progress=False,
    )
    return gan, average.generator, history, health, frames, landscape


# %% [markdown]
# The discriminator gets the higher rate (Heusel and colleagues 2017): it has to stay near its best, as the theory
# assumes. Three seeds; asked are all eight modes, at least 90 % of the samples within $3\sigma$ of one (of real ones it
# is $1 - e^{-4.5} = 98.9\,\%$), and a $D$ that is near ½ on real and on generated samples.

# %%
SEEDS, EPOCHS = ((0,), 4) if FAST else ((0, 1, 2), 35)
GOOD, BAD = (1e-3, 4e-3), (4e-3, 2.5e-4)  # rates of generator, discriminator
healthy = [contest(*GOOD, seed, EPOCHS) for seed in SEEDS]
judged = []
print("seed   modes   within 3σ   of the last generator   mean D: real   generated   loss of D   alarms")
for seed, (gan, average, history, health, *_) in zip(SEEDS, healthy, strict=True):
    ml.manual_seed(10 + seed)
    with ml.no_grad():
        made = average(gan.noise(5000))
        d = [gan.score(points).sigmoid().mean().item() for points in (ring(5000, 200 + seed), made)]
    modes = mode_coverage(made, CENTERS, 3 * SIGMA)
    last = mode_coverage(gan.sample(5000), CENTERS, 3 * SIGMA)
    judged.append((modes.covered, modes.near, *d, len(health.alarms), last.near))
    print(
        f"{seed:4d} {modes.covered:7d} {modes.near:11.1%} {last.near:23.1%} {d[0]:14.3f} {d[1]:11.3f} "
        f"{history[-1]['loss_d']:11.3f}   {len(health.alarms)}"
    )
judged = np.array(judged)
print(f"two coins would give D the loss log 4 = {np.log(4):.3f}")

assert FAST or ((judged[:, 0] == 8).all() and (judged[:, 1] >= 0.9).all())
assert np.abs(judged[:, 2:4] - 0.5).max() < (0.15 if FAST else 0.03)
assert FAST or ((judged[:, 4] == 0).all() and (judged[:, 1] > judged[:, 5]).all())

# %% [markdown]
# ## Collapse, provoked
#
# Now the warning about a held discriminator. After one epoch we let $G$ learn alone: the discriminator stays as it is.

# %%
gan, *_ = contest(*GOOD, seed=0, epochs=1)
before = gan.sample(1000).std(0).numpy()
optimizer = optim.Adam(gan.generator.parameters(), lr=1e-3)
for _ in range(200):
    optimizer.zero_grad()
    gan.generator_loss(gan.score(gan(gan.noise(BATCH)))).backward()
    optimizer.step()
alone = gan.sample(1000)
after = alone.std(0).numpy()
print(f"standard deviation of the samples' coordinates {before.round(2)} before, {after.round(3)} after")
print(
    f"all of them lie near {alone.mean(0).numpy().round(2)}, where D = {gan.score(alone).sigmoid().mean().item():.3f}"
)

assert after.max() < 0.05 * before.min() and mode_coverage(alone, CENTERS, 3 * SIGMA).covered == 1

# %% [markdown]
# The same happens if $D$ does learn but is too slow to be the best at any moment. The networks, the data and the seeds
# stay; only the rates change. The table has, of the last five of ten epochs, the most modes that the generator reached
# at once, and means of the rest.

# %%
RATES = {"D 4 × faster": GOOD, "the same": (1e-3, 1e-3), "G 4 × faster": (4e-3, 1e-3), "G 16 × faster": BAD}
if FAST:
    RATES = {"D 4 × faster": GOOD, "G 16 × faster": BAD}
SHORT = 4 if FAST else 10
runs = {
    name: healthy if rates == GOOD else [contest(*rates, seed, SHORT) for seed in SEEDS]
    for name, rates in RATES.items()
}
modes_at, near_at, d_at = {}, {}, {}
print("rates           modes covered, by seed   share within 3σ       D(x), D(G(z))   loss of D   alarms of collapse")
for name, found in runs.items():
    records = [run[2][SHORT // 2 : SHORT] for run in found]  # one list of epochs for each seed
    modes_at[name] = [int(max(record["modes"] for record in epochs)) for epochs in records]
    near_at[name] = [np.mean([record["near"] for record in epochs]) for epochs in records]
    d_at[name] = [
        np.mean([record[key] for epochs in records for record in epochs]) for key in ("d_real", "d_fake", "loss_d")
    ]
    alarms = [sum(alarm.kind == "collapse" and alarm.epoch <= SHORT for alarm in run[3].alarms) for run in found]
    print(
        f"{name:14s}  {str(modes_at[name]):23s}  {' '.join(f'{share:5.1%}' for share in near_at[name]):20s}"
        f"{d_at[name][0]:8.3f} {d_at[name][1]:8.3f} {d_at[name][2]:11.3f}   {alarms}"
    )
collapsed = runs["G 16 × faster"]
print("\nthe alarm:", collapsed[0][3].alarms[0].message)

assert max(modes_at["G 16 × faster"]) <= (4 if FAST else 2)
assert all(any(alarm.kind == "collapse" for alarm in run[3].alarms) for run in collapsed)
assert min(modes_at["D 4 × faster"]) >= (4 if FAST else 8)

# %% [markdown]
# With a generator 16 times faster all noise ends in one place; the discriminator learns to see it there, the place
# moves on, and round it goes. The cure is in the first row: a discriminator that keeps up.
#
# ## D = ½ proves nothing by itself
#
# Look at the numbers of the collapsed runs: $D(x)$ and $D(G(z))$ near ½ and a loss near $\log 4$, as at the optimum. It
# is the *theorem* that has been left: ½ means $p = q$ for the best $D$ only. So ask a better one: take the generator as
# it is, train a new discriminator against it, and count how often it is right on new points (a two-sample test:
# Lopez-Paz and Oquab 2017). If $p = q$, it is in half of the cases.


# %%
def new_judge(make, seed):
    """How often a discriminator that was trained against a fixed generator is right about new points."""
    ml.manual_seed(seed)
    judge, steps = models.MLPDiscriminator((2,), (128, 128)), 60 if FAST else 600
    optimizer = optim.Adam(judge.parameters(), lr=4e-3)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        optimizer.zero_grad()
        F.discriminator_loss(judge(ring(BATCH, 10_000 + step)), judge(make(BATCH))).backward()
        optimizer.step()
        schedule.step()
    with ml.no_grad():
        scores = judge(ring(5000, 400 + seed)).numpy(), judge(make(5000)).numpy()
    return (np.mean(scores[0] > 0) + np.mean(scores[1] < 0)) / 2


makers = {
    "real points": [lambda count: ring(count, int(ml.randint(10**9, (1,)).item()))] * len(SEEDS),
    "averaged generator": [lambda count, run=run: run[1](run[0].noise(count)) for run in healthy],
    "collapsed generator": [run[0].sample for run in collapsed],
}
tested = {
    name: [new_judge(make, seed) for seed, make in zip(SEEDS, makes, strict=True)] for name, makes in makers.items()
}
for name, shares in tested.items():
    print(f"a new discriminator against {name:20s} is right in", *(f"{share:.1%}" for share in shares))

assert max(tested["real points"]) < 0.54
assert max(tested["averaged generator"]) < (0.85 if FAST else 0.6) and min(tested["collapsed generator"]) > 0.9

# %% [markdown]
# Is the averaged generator then the real distribution? We know more than any discriminator here: the centers. How far
# are points from the nearest one? A judge that sees only this distance, and says "generated" below the best threshold,
# is right in $\tfrac12 + \tfrac12 \max |F_p - F_q|$ of the cases, with the distribution functions $F$ of the distance.


# %%
def to_center(points):
    """The distance of each point from the nearest center, in units of σ."""
    return np.sqrt(((points.detach().numpy()[:, None] - CENTERS) ** 2).sum(2).min(1)) / SIGMA


radii, told_centers, spread = np.linspace(0, 3, 301), [], []
distances = {"real": to_center(ring(5000, 500))}
for seed, make in zip(SEEDS, makers["averaged generator"], strict=True):
    ml.manual_seed(20 + seed)
    distances[seed] = to_center(make(5000))
    below = [(distances[key][:, None] < radii).mean(0) for key in ("real", seed)]
    told_centers.append(0.5 + 0.5 * np.abs(below[1] - below[0]).max())
    spread.append(np.median(distances[seed]) / np.median(distances["real"]))
print("median distance from the nearest center, over that of real points:", *(f"{share:.2f}" for share in spread))
print("a judge that is told the centers is right in", *(f"{share:.1%}" for share in told_centers))

assert FAST or (max(spread) < 0.8 and min(told_centers) > max(tested["averaged generator"]) + 0.05)

# %% [markdown]
# So it is not: within each mode the samples lie too close together, which the panel below also says ("real samples
# covered": of two real sets it would be 95 %). The contest ends where $D$ sees no difference any more, not where there
# is none; what the discriminator does not see, the generator does not learn.
#
# ## The other failure: a sure discriminator
#
# If the generator is too slow, the discriminator becomes sure, $D(x) \to 1$ and $D(G(z)) \to 0$, and $V \to 0$. The
# second alarm is for this.

# %%
_, _, history, saturated, *_ = contest(1e-5, 4e-3, seed=0, epochs=2 if FAST else 3)
print("D(x)    ", *(f"{value:.3f}" for value in history.column("d_real")))
print("D(G(z)) ", *(f"{value:.3f}" for value in history.column("d_fake")))
for alarm in saturated.alarms:
    print(f"epoch {alarm.epoch}, {alarm.kind}: {alarm.message}")

assert any(alarm.kind == "saturation" for alarm in saturated.alarms)
assert not any(alarm.kind == "saturation" for run in healthy + collapsed for alarm in run[3].alarms)

# %% [markdown]
# ## The pictures
#
# Theory, then the ring: 500 samples of the same noise over the training, with $D$ as it was then in the background. In
# the upper row the generator of the cure ends with its average; in the lower one, G 16 × faster, it goes round.

# %%
BLUE, RED, GREEN, GOLD, GRAY = "#1f6fb4", "#c8402f", "#2f8f4e", "#d98c1f", "#8a8a8a"
plt.rcParams.update({"axes.titlesize": 11, "font.size": 10})
figure = plt.figure(figsize=(15, 10), layout="constrained")
theory, good_row, bad_row = figure.subfigures(3, 1, height_ratios=(1.05, 1, 1))
density_ax, optimum_ax, judge_ax = theory.subplots(1, 3, width_ratios=(1.2, 1, 1))
density_ax.fill_between(line, p, color=BLUE, alpha=0.3, label="p, real")
density_ax.fill_between(line, q, color=RED, alpha=0.3, label="q, generated")
density_ax.plot(line, best, color="black", linewidth=2.5, label="D* = p / (p + q)")
density_ax.plot(line, found_on_line, color=GOLD, linestyle="--", label="D, learned from samples")
density_ax.set(xlim=(-4.5, 4.5), ylim=(0, 1.02), xlabel="x", title="the best discriminator is a ratio of densities")
density_ax.legend(frameon=False, fontsize=9)
optimum_ax.plot(shifts, values, color=BLUE, label="max V over D")
optimum_ax.axhline(-np.log(4), color=GRAY, linestyle=":", label="−log 4")
for theta, height, steep in list(zip(shifts, values, held, strict=True))[::4]:
    optimum_ax.plot(
        theta + np.array([-0.4, 0.4]), height + steep * np.array([-0.4, 0.4]), color=RED, linewidth=2.5,
        label="slope with D held" if theta == shifts[0] else None,
    )  # fmt: skip
optimum_ax.set(xlabel="shift of the generator θ", title="the best generator: q = p, at θ = 0")
optimum_ax.legend(frameon=False, fontsize=9)
judges = {**tested, "averaged, centers told": told_centers}
for column, (shares, color) in enumerate(zip(judges.values(), (GRAY, BLUE, RED, GREEN), strict=True)):
    judge_ax.plot([column] * len(shares), [100 * share for share in shares], "o", color=color)
judge_ax.axhline(50, color=GRAY, linestyle=":")
judge_ax.set_xticks(range(len(judges)), [name.replace(" ", "\n", 1) for name in judges])
judge_ax.set(xlim=(-0.5, 3.5), ylim=(45, 103), ylabel="right in %", title="new judges of real against …, by seed")

for place, name, run, epochs in (
    (good_row, "D 4 × faster", healthy[-1], [0, 1, 2, min(5, EPOCHS)]),
    (bad_row, "G 16 × faster", collapsed[-1], list(range(SHORT - 4, SHORT + 1))),
):
    gan, average, history, _, frames, landscape = run
    panels = [(f"epoch {epoch}", frames.batches[epoch], landscape.maps[epoch]) for epoch in epochs]
    if name == "D 4 × faster":
        with ml.no_grad():
            panels.append((f"epoch {EPOCHS}, the average", average(frames.z).numpy(), landscape.maps[-1]))
    for ax, (title, points, landscape_then) in zip(place.subplots(1, 5), panels, strict=True):
        drawn = ax.imshow(
            landscape_then, origin="lower", extent=(-3.05, 3.05, -3.05, 3.05), cmap="RdBu", vmin=0, vmax=1
        )
        ax.plot(*CENTERS.T, "+", color=GRAY, markersize=9)
        ax.plot(*points.T, ".", color="black", markersize=2.5)
        covered = mode_coverage(points, CENTERS, 3 * SIGMA).covered
        ax.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[], title=f"{title}: {covered} of 8")
    place.colorbar(drawn, ax=place.axes, shrink=0.8, label="D")
    place.suptitle(f"{name}: samples (dots), the modes (+)", fontsize=12)
save_picture(figure, "18_generative_adversarial")

# %% [markdown]
# And the panels that `GANHealth` draws of both: compare judgement and loss, which hardly differ, with the modes.

# %%
for name, run in (("healthy", healthy[-1]), ("collapsed", collapsed[-1])):
    panel = run[3].panel(run[2])
    panel.suptitle(f"{name}; a red line is an alarm")
    save_picture(panel, f"18_{name}")

# %% [markdown]
# ## Summary
#
# - The best discriminator is $p / (p + q)$. Against it the generator minimizes $2\,\mathrm{JSD}(p, q) - \log 4$, and
#   its step with $D$ held goes down that hill.
# - The optimum is $p = q$, $D = \tfrac12$, $V = -\log 4$. The converse is false: $D = \tfrac12$ and a loss of $\log 4$
#   are also what a discriminator shows that has fallen behind.
# - A $D$ that does not keep up lets the generator send all noise to one place. The losses do not show it; a count of
#   modes does, or a newly trained judge. A generator that does not keep up meets a $D$ that is sure, and this they
#   show.
# - The contest ends where $D$ sees no difference. All modes and a $D$ of ½ still left the modes too narrow.
# - The generator never rests: its average over the last thousand steps is better than the last one.
#
# ## Exercises
#
# 1. Keep the rates of the collapse and give $D$ more steps instead: `fit_gan(..., n_critic=16)`. Does it cure as well?
# 2. Train with `loss="minimax"` at the good rates. When is it slower, and by which alarm can you tell?
# 3. Weigh the modes: the first eight times as frequent as the last. How near do the samples come to the weights?
# 4. Give $D$ 256 units in each layer, or train three times as long. Do the modes become as wide as they should be?
# 5. Where $p$ and $q$ do not overlap, JSD is $\log 2$, however far apart they are. Draw the value over $\theta$ up to
#    20. What does that mean for the gradient? (Lesson 20 has an answer.)

# %%
finish(
    f"D from samples and p / (p + q): {off:.3f} apart; the generator's slope with D held and that of 2 JSD: {slope_error:.0e}",
    f"modes {judged[:, 0].astype(int)}, within 3σ {judged[:, 1].round(3)}, mean D {judged[:, 2:4].round(3).tolist()}, by seed",
    f"collapse: modes {modes_at['G 16 × faster']} of 8 and yet D {d_at['G 16 × faster'][0]:.2f}, {d_at['G 16 × faster'][1]:.2f}; its cure {modes_at['D 4 × faster']}",
    f"a new discriminator is right in {np.mean(tested['averaged generator']):.0%} against the cured, in {np.mean(tested['collapsed generator']):.0%} against the collapsed generator; told the centers, in {np.mean(told_centers):.0%} against the cured",
)
