# %% [markdown]
# # 17  Generative models: naive Bayes, Markov chains, autoencoders, VAE
#
# **Goal.** See what a learner can be given (answers, only data, only rewards) and what it can be asked for (a label, or
# new data). Let the oldest generative models draw digits; see when naive Bayes beats logistic regression and when it
# loses; press digits into a few numbers by PCA and, better, by an autoencoder; and derive the variational autoencoder,
# which makes of these numbers a distribution to draw from.
#
# **Needs.** Lessons 04 (softmax, cross-entropy, the training loop) and 12 (logistic regression); Bayes' rule;
# eigenvectors.
#
# **Time.** About a minute on two cores.

# %%
import numpy as np
from _lesson import FAST, finish, save_picture
from matplotlib import pyplot as plt

import minidl as ml
from minidl import functional as F
from minidl import models, nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.data.datasets import digits, mnist5k
from minidl.metrics import frechet_distance
from minidl.training import fit
from minidl.vision import samples

ml.set_num_threads(1)  # the networks are so small that to share the work costs more than it saves

# %% [markdown]
# ## Three kinds of learning
#
# They differ in what the learner is given, and each is one line of code: its loss.
#
# - *Supervised*: an input $x$ and the answer $y$. Make $-\log p(y \mid x)$ small.
# - *Unsupervised*: $x$ alone. Something about $x$ must be the task: here, to come back through eight numbers.
# - *Reinforcement*: $x$; the learner acts, and hears what its action was worth, not which would have been right. Its
#   mean reward has a gradient, though no derivative goes through the reward (REINFORCE, Williams 1992): with actions
#   $a \sim \pi(a \mid x)$,
#
# $$ \nabla\, E[r] = \nabla \sum_a \pi(a \mid x)\, r(a) = \sum_a \pi\, \nabla \log \pi\; r = E\big[(r - b)\, \nabla \log \pi(a \mid x)\big], $$
#
# where any constant $b$ may be taken off, since $E[\nabla \log \pi] = \nabla \sum \pi = 0$. All three on the same 8 × 8
# digits; the reward is 1 for a right guess and 0 for a wrong one.

# %%
train_set, test_set = digits(test_fraction=0.4)
x, labels, test_x, test_labels = *train_set.tensors, *test_set.tensors


def rewarded(policy):
    """Guess a class for each image, hear whether it is right, and make what was better than usual more probable."""
    p = F.softmax(policy(x), dim=1)
    guess = (p.detach().cumsum(1) > ml.rand(len(x), 1)).to(ml.int64).argmax(1)  # one draw from each row
    reward = (guess == labels).to(ml.float32)
    return -((reward - reward.mean()) * F.log_softmax(policy(x), dim=1).gather(1, guess.unsqueeze(1)).squeeze(1)).mean()


def classifier():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


KINDS = {
    "supervised": (classifier, lambda model: F.cross_entropy(model(x), labels)),
    "unsupervised": (lambda: models.Autoencoder(8, 1, 8, (64,)), lambda model: F.mse_loss(model(x), x)),
    "reinforcement": (classifier, rewarded),
}
learned = {}
for kind, (build, loss_of) in KINDS.items():
    ml.manual_seed(0)
    learned[kind] = build()
    optimizer = optim.Adam(learned[kind].parameters(), lr=0.01)
    for _ in range(100 if FAST else 400):
        optimizer.zero_grad()
        loss_of(learned[kind]).backward()
        optimizer.step()


def right(model, images=test_x, truth=test_labels):
    """The share of images whose highest score is that of their class."""
    return (model(images).argmax(1) == truth).to(ml.float32).mean().item()


told, heard = right(learned["supervised"]), right(learned["reinforcement"])
kept = 1 - F.mse_loss(learned["unsupervised"](test_x), test_x).item() / test_x.var(0).mean().item()
print(f"told the answer: {told:.1%} of the test images right after {100 if FAST else 400} steps")
named = sorted(set(learned["reinforcement"](test_x).argmax(1).tolist()))
print(f"told right or wrong: {heard:.1%}; the digits that it ever names: {named}")
print(f"told nothing: eight numbers keep {kept:.0%} of the variance of the pixels")

assert told > 0.85 and 0.3 < heard < told and kept > 0.3
assert FAST or (told > 0.93 and heard > 0.8 and kept > 0.6)

# %% [markdown]
# Where a reward is all there is, what is never tried is never learned: a digit that the guesses give up early brings no
# reward, so nothing brings it back. From another seed all ten may survive, and then it reads as well as the first
# learner.
#
# ## Discriminative and generative
#
# A *discriminative* model is asked for $p(y \mid x)$ and nothing else. A *generative* one learns how the data comes
# about, $p(x, y) = p(y)\, p(x \mid y)$. It can draw new data, and by Bayes' rule it classifies as well,
# $p(y \mid x) \propto p(y)\, p(x \mid y)$.
#
# The hard part is $p(x \mid y)$: even images of 784 pixels that are only black or white have $2^{784}$ values. The
# chain rule, pixel after pixel, is exact, and one saves by forgetting:
#
# $$ p(x \mid y) = \prod_i p(x_i \mid x_1 \dots x_{i-1}, y) \approx \prod_i p(x_i \mid \text{a few neighbors before } i, y). $$
#
# No neighbors: *naive Bayes*. The one on the left: a *Markov chain* along each row. The four that touch the pixel and
# come before it: a *Markov mesh* (Abend and colleagues 1965), of which PixelCNN (2016) is the grandchild. In each case
# learning is counting: for each class, place and state of the neighbors, how often is the pixel on? (With one more of
# either kind counted than there was, so that nothing is impossible.)


# %%
class PixelChain:
    """p(x | y) of binary images (N, H, W), each pixel given some of those before it.

    Args:      neighbors: (rows, columns) from a pixel to those it depends on, at most 2 away
    """

    def __init__(self, *neighbors):
        self.neighbors = neighbors

    def cells(self, images):
        """For each pixel, the place in the table that its position and its neighbors choose; beyond the edge all is 0."""
        _, height, width = images.shape
        padded = np.pad(images.astype(np.int64), ((0, 0), (2, 2), (2, 2)))
        cells = np.broadcast_to(np.arange(height * width).reshape(height, width), images.shape)
        for row, column in self.neighbors:
            cells = 2 * cells + padded[:, 2 + row : 2 + row + height, 2 + column : 2 + column + width]
        return cells.reshape(len(images), -1)

    def fit(self, images, labels):
        self.shape, pixels, cells = images.shape[1:], images.reshape(len(images), -1), self.cells(images)
        self.classes, size = np.bincount(labels), pixels.shape[1] << len(self.neighbors)
        self.on = np.empty((len(self.classes), size))  # p(pixel = 1)
        for label in range(len(self.classes)):
            mine, on = cells[labels == label].ravel(), pixels[labels == label].ravel()
            self.on[label] = (np.bincount(mine, on, size) + 1) / (np.bincount(mine, minlength=size) + 2)
        return self

    def log_joint(self, images):
        """log p(x, y), (N, classes)."""
        pixels, cells = images.reshape(len(images), -1), self.cells(images)
        likelihoods = [np.where(pixels, np.log(on)[cells], np.log1p(-on)[cells]).sum(1) for on in self.on]
        return np.stack(likelihoods, 1) + np.log(self.classes / self.classes.sum())

    def nats(self, images):
        """−log p(x), the mean over the images, where p(x) = Σ_y p(x, y)."""
        return -ml.tensor(self.log_joint(images)).logsumexp(1).mean().item()

    def draw(self, labels, rng):
        """An image of each class asked for, pixel after pixel."""
        height, width = self.shape
        padded = np.zeros((len(labels), height + 4, width + 4), np.int64)
        for place, (row, column) in enumerate(np.ndindex(height, width)):
            cell = place
            for down, across in self.neighbors:
                cell = 2 * cell + padded[:, row + 2 + down, column + 2 + across]
            padded[:, row + 2, column + 2] = rng.random(len(labels)) < self.on[labels, cell]
        return padded[:, 2:-2, 2:-2].astype(np.float32)


def binary(images):
    """(N, H, W), 1 where a pixel is brighter than half."""
    return (images.numpy()[:, 0] > 0.5).astype(np.float32)


big_train, big_test = mnist5k()
ink, ink_labels = binary(big_train.images), big_train.labels.numpy()
test_ink, test_ink_labels = binary(big_test.images), big_test.labels.numpy()
CHAINS = {
    "naive Bayes": (),
    "Markov chain": ((0, -1),),
    "Markov mesh": ((-1, -1), (-1, 0), (-1, 1), (0, -1)),
}
chains = {name: PixelChain(*neighbors).fit(ink, ink_labels) for name, neighbors in CHAINS.items()}
independent = PixelChain().fit(ink, np.zeros(len(ink), int))  # a single class: the pixels know nothing of each other

# %% [markdown]
# ## The discriminative twin of naive Bayes
#
# Write out naive Bayes, with $\theta_{ki}$ the probability that pixel $i$ is on in class $k$:
#
# $$ \log p(x, y = k) = \underbrace{\log p(k) + \sum_i \log(1 - \theta_{ki})}_{b_k}
#    + \sum_i \underbrace{\log \frac{\theta_{ki}}{1 - \theta_{ki}}}_{w_{ki}} x_i . $$
#
# It is linear in $x$, and $p(y \mid x)$ is its softmax: naive Bayes *is* a linear layer with softmax, as logistic
# regression is. The two choose from the same classifiers. Naive Bayes takes the weights that make $\log p(x, y)$
# largest, by counting; logistic regression those that make $\log p(y \mid x)$ largest, by descent.


# %%
def as_layer(bayes):
    """The linear layer that gives log p(x, y) of naive Bayes."""
    layer = nn.Linear(bayes.on.shape[1], len(bayes.on))
    layer.weight.data[...] = np.log(bayes.on / (1 - bayes.on))
    layer.bias.data[...] = np.log(bayes.classes / bayes.classes.sum()) + np.log1p(-bayes.on).sum(1)
    return layer


def logistic_regression(images, labels, steps=300):
    """Softmax regression from weights 0, all images in each step, until the training loss hardly falls."""
    layer = nn.Linear(images[0].size, 10)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer = optim.Adam(layer.parameters(), lr=0.01)
    inputs, targets = ml.tensor(images.reshape(len(images), -1)), ml.tensor(labels)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(layer(inputs), targets).backward()
        optimizer.step()
    return layer


flat = ml.tensor(test_ink.reshape(len(test_ink), -1))
by_layer = as_layer(chains["naive Bayes"])(flat).detach().numpy()
layer_error = np.abs(by_layer - chains["naive Bayes"].log_joint(test_ink)).max()
print(f"naive Bayes and the same as a linear layer: log p(x, y) differs by {layer_error:.0e}")

regression = logistic_regression(ink, ink_labels, 60 if FAST else 300)
accuracy = {"logistic regression": right(regression, flat, big_test.labels)}
nats = {"independent pixels": independent.nats(test_ink)}
for name, chain in chains.items():
    accuracy[name] = np.mean(chain.log_joint(test_ink).argmax(1) == test_ink_labels)
    nats[name] = chain.nats(test_ink)
print(f"\n{len(ink):,} binary digits of 28 × 28, measured on {len(test_ink):,} others\n{'':22s}accuracy   −log p(x)")
for name in (*accuracy, "independent pixels"):
    print(
        f"{name:20s} {f'{accuracy[name]:9.1%}' if name in accuracy else '        –'} "
        f"{f'{nats[name]:7.1f} nats' if name in nats else '       –'}"
    )

assert layer_error < 1e-3
assert nats["Markov mesh"] < nats["Markov chain"] < nats["naive Bayes"] < nats["independent pixels"]
assert accuracy["naive Bayes"] < accuracy["Markov chain"] < accuracy["Markov mesh"]
assert FAST or accuracy["naive Bayes"] + 0.03 < accuracy["logistic regression"] < accuracy["Markov mesh"]

# %% [markdown]
# A nat is a factor of $e$ in probability. The less a model forgets, the better it knows the data, *and* the better it
# classifies; the mesh, by Bayes' rule alone, overtakes logistic regression. (Its $-\log p$ would be cheaper yet with
# more neighbors and images: each neighbor doubles what has to be counted.)
#
# ## How many images does it take?
#
# Ng and Jordan (2002): counting is quick and fitting is slow. Naive Bayes estimates each number by itself, and is near
# its limit after some $\log d$ images for $d$ pixels; logistic regression needs some $d$. But its limit is the better
# one, as it is the best linear classifier, whether or not pixels depend on each other. So the curves should cross. We
# take the 8 × 8 digits again, black or white, with all that is learned drawn anew ten times.

# %%
PER_CLASS, DRAWS = ((4, 100), 3) if FAST else ((1, 2, 4, 8, 16, 32, 64, 100), 10)
few, few_labels = binary(train_set.images), train_set.labels.numpy()
few_test = ml.tensor(binary(test_set.images).reshape(len(test_set), -1))
scores = np.empty((2, len(PER_CLASS), DRAWS))  # naive Bayes, logistic regression
for draw in range(DRAWS):
    rng = np.random.default_rng(draw)
    order = [rng.permutation(np.flatnonzero(few_labels == label)) for label in range(10)]
    for column, count in enumerate(PER_CLASS):
        chosen = np.concatenate([mine[:count] for mine in order])
        bayes = as_layer(PixelChain().fit(few[chosen], few_labels[chosen]))
        fitted = logistic_regression(few[chosen], few_labels[chosen])
        scores[:, column, draw] = right(bayes, few_test), right(fitted, few_test)
difference = scores[0] - scores[1]
error = difference.std(1, ddof=1) / DRAWS**0.5
print(f"images   naive Bayes   logistic regression   difference, ± standard error of {DRAWS} draws")
for column, count in enumerate(PER_CLASS):
    print(
        f"{10 * count:6d} {scores[0, column].mean():13.1%} {scores[1, column].mean():21.1%}"
        f" {difference[column].mean():+15.1%} ± {error[column]:.1%}"
    )

middle = PER_CLASS.index(4 if FAST else 8)
assert difference[-1].mean() < (0 if FAST else -4 * error[-1])  # with many images logistic regression wins
assert FAST or difference[middle].mean() > 3 * error[middle]  # with few, naive Bayes
assert FAST or (scores[0, -1] - scores[0, -4]).mean() < 0.7 * (scores[1, -1] - scores[1, -4]).mean()

# %% [markdown]
# They cross between 320 and 640 images. It is no law: on the 28 × 28 digits, where neighboring pixels say much the same
# and naive Bayes counts all of it as new evidence, logistic regression is ahead from the start (exercise 2).
#
# ## PCA is a linear autoencoder
#
# Now without labels. An autoencoder encodes $x$ in $k$ numbers, $z = h(x)$, and decodes, $\hat x = g(z)$, so that
# $\|\hat x - x\|^2$ is small. With $g$ and $h$ linear, the best is known (Baldi and Hornik 1989): $z = V_k (x - \mu)$,
# with the first $k$ principal components, the rows of $V_k$, and $\hat x = \mu + V_k^\top z$. Then what is lost is the
# variance along the other components, and no linear layers do better. Two checks: a linear autoencoder with these
# weights has PCA's error, and there the gradient of the training error vanishes.

# %%
gray, test_gray = big_train.images, big_test.images
vectors = gray.numpy().reshape(len(gray), -1).astype(np.float64)
mean = vectors.mean(0)
components = np.linalg.eigh(np.cov(vectors, rowvar=False))[1][:, ::-1].T  # the largest eigenvalue first


def pca_error(k):
    """The mean squared error of a pixel of the test images, with k components."""
    centered = test_gray.numpy().reshape(len(test_gray), -1) - mean
    return np.mean((centered - centered @ components[:k].T @ components[:k]) ** 2)


linear = models.Autoencoder(28, 1, 8, (), output="linear").to(ml.float64)
encoder, decoder = (part for part in linear.modules() if isinstance(part, nn.Linear))
encoder.weight.data[...], encoder.bias.data[...] = components[:8], -components[:8] @ mean
decoder.weight.data[...], decoder.bias.data[...] = components[:8].T, mean
linear_error = F.mse_loss(linear(test_gray.to(ml.float64)), test_gray.to(ml.float64)).item()
slopes = ml.grad(F.mse_loss(linear(gray.to(ml.float64)), gray.to(ml.float64)), list(linear.parameters()))
slope = max(np.abs(slope.numpy()).max() for slope in slopes)
print(f"8 components: PCA {pca_error(8):.6f}, as an autoencoder {linear_error:.6f}; its steepest slope is {slope:.0e}")

assert abs(linear_error / pca_error(8) - 1) < 1e-6 and slope < 1e-12

# %% [markdown]
# With a hidden layer on either side the code may bend: digits need not lie in a flat space. (Hinton and Salakhutdinov
# 2006 showed it with deep ones; one layer is enough here.) The error is measured on images that neither has seen.

# %%
SIZES, AE_EPOCHS = ((8,), 5) if FAST else ((2, 4, 8, 16, 32), 20)


def train(model, loss, data, epochs, rate):
    """Adam, the rate up and down again."""
    loader = DataLoader(TensorDataset(data, data), batch_size=100, shuffle=True, generator=ml.Generator(0))
    optimizer = optim.Adam(model.parameters(), lr=rate)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=epochs * len(loader))
    fit(model, optimizer, loss, loader, epochs=epochs, scheduler=schedule, schedule_by="step", progress=False)
    return model.eval()


autoencoders = {}
for k in SIZES:
    ml.manual_seed(0)
    model = models.Autoencoder(28, 1, k, (256,))
    autoencoders[k] = train(model, F.mse_loss, gray, AE_EPOCHS, 3e-3)
with ml.no_grad():
    ae_error = {k: F.mse_loss(model(test_gray), test_gray).item() for k, model in autoencoders.items()}
print("numbers in the code   PCA       autoencoder   (squared error of a pixel, test images)")
for k, found in ae_error.items():
    print(f"{k:19d}   {pca_error(k):.5f}   {found:.5f}   {found / pca_error(k) - 1:+.0%}")

assert all(found < (1 if FAST else 0.95) * pca_error(k) for k, found in ae_error.items())

# %% [markdown]
# ## A code to draw from: the variational autoencoder
#
# Can an autoencoder generate? One would have to know which codes are codes of digits. Kingma and Welling (2014) fix
# that in advance: first $z \sim N(0, I)$, then $x \sim p(x \mid z)$, each pixel a Bernoulli variable whose probability
# the decoder gives. What should be large is $\log p(x) = \log \int p(x \mid z)\, p(z)\, dz$, and it cannot be computed.
# But with any distribution $q(z \mid x)$, by Jensen's inequality,
#
# $$ \log p(x) = \log E_q\!\Big[ \frac{p(x \mid z)\, p(z)}{q(z \mid x)} \Big] \;\ge\;
#    \underbrace{E_q[\log p(x \mid z)]}_{\text{does it come back?}} - \underbrace{\mathrm{KL}\big(q(z \mid x) \,\|\, p(z)\big)}_{\text{nats spent on saying which } z}
#    = \text{ELBO}, $$
#
# and the gap is $\mathrm{KL}(q(z \mid x) \,\|\, p(z \mid x))$, so to raise the bound also makes $q$ what it should be.
# The encoder gives $q = N(\mu(x), \mathrm{diag}\, \sigma^2(x))$. Two details make it trainable:
#
# - the KL of two Gaussians is known, $\tfrac12 \sum_j (\mu_j^2 + \sigma_j^2 - \log \sigma_j^2 - 1)$;
# - a draw is written as $z = \mu + \sigma \epsilon$ with $\epsilon \sim N(0, I)$: the chance is in $\epsilon$, and
#   gradients pass through $\mu$ and $\sigma$ (*reparameterization*). REINFORCE above had to do without: its noise is in
#   the choice itself.
#
# `models.VAE` has both, and its loss fits into `fit`. One with 16 numbers, and one with 2, to be looked at.

# %%
VAE_EPOCHS = 6 if FAST else 40
images, test_images = ml.tensor(ink).unsqueeze(1), ml.tensor(test_ink).unsqueeze(1)
vaes = {}
for k in (2, 16):
    ml.manual_seed(0)
    model = models.VAE(28, 1, k, (256,))
    vaes[k] = train(model, model.loss, images, VAE_EPOCHS, 3e-3)
vae = vaes[16]

ml.manual_seed(1)
with ml.no_grad():
    for k, model in vaes.items():
        terms = [
            [term.item() for term in model.negative_elbo(test_images)] for _ in range(10)
        ]  # ten draws of each image
        total, reconstruction, kl = np.mean(terms, 0)
        nats[f"VAE, {k} numbers"] = total
        print(f"VAE of {k:2d} numbers: −ELBO {total:.1f} nats = {reconstruction:.1f} to come back + {kl:.1f} of KL")
for name, found in nats.items():
    print(f"{name:20s} {'≤' if 'VAE' in name else ' '} {found:6.1f} nats for an image")

assert nats["VAE, 16 numbers"] < (1 if FAST else 0.6) * nats["independent pixels"]
assert FAST or nats["VAE, 16 numbers"] < nats["VAE, 2 numbers"] < nats["naive Bayes"]

# %% [markdown]
# (For a VAE it is an upper bound of $-\log p(x)$.) Next, the formula of the KL against its definition,
# $E_q[\log q(z \mid x) - \log p(z)]$, with 20,000 draws for each of twenty images:

# %%
with ml.no_grad():
    mu, log_variance = (part[:20].to(ml.float64) for part in vae.encode(test_images))
    noise = ml.randn(20_000, 20, vae.latent_size, dtype=ml.float64, generator=ml.Generator(2))
    z = mu + (0.5 * log_variance).exp() * noise
    monte_carlo = 0.5 * (z**2 - noise**2 - log_variance).sum(2).mean(0)  # the 2π are on both sides
    closed = 0.5 * (mu**2 + log_variance.exp() - log_variance - 1).sum(1)
kl_error = np.abs(monte_carlo.numpy() / closed.numpy() - 1).max()
with ml.no_grad():
    by_model = vae.negative_elbo(test_images[:20]).kl.item()
print(
    f"KL of twenty images, closed form against Monte Carlo: at most {kl_error:.2%} apart; mean {closed.mean().item():.2f}"
)

assert kl_error < 0.01 and abs(by_model / closed.mean().item() - 1) < 1e-4

# %% [markdown]
# ## What the samples are worth
#
# By its nats the mesh is ahead by far. But nats are about pixels, most of which one can guess from their neighbors, and
# whether the whole is a digit makes a few nats more or less (Theis and colleagues 2016). So a second measure, of the
# large shapes: the Fréchet distance between 1,000 samples and the test images in their first 32 principal components.

# %%
rng = np.random.default_rng(0)
asked = np.arange(1000) % 10
drawn = {name: chain.draw(asked, rng) for name, chain in chains.items()}
drawn["independent pixels"] = independent.draw(0 * asked, rng)
ml.manual_seed(0)
for k, model in vaes.items():
    drawn[f"VAE, {k} numbers"] = (rng.random((1000, 28, 28)) < model.sample(1000).numpy()[:, 0]).astype(np.float32)
shapes = np.linalg.eigh(np.cov(test_ink.reshape(len(test_ink), -1), rowvar=False))[1][:, -32:]
shapes_of_real = test_ink.reshape(len(test_ink), -1) @ shapes
distance = {name: frechet_distance(found.reshape(1000, -1) @ shapes, shapes_of_real) for name, found in drawn.items()}
among_real = frechet_distance(ink[:1000].reshape(1000, -1) @ shapes, shapes_of_real)
for name in nats:
    print(f"{name:20s} {nats[name]:6.1f} nats, Fréchet distance {distance[name]:5.1f}")
print(f"{'other real images':20s} {'':11s} Fréchet distance {among_real:6.1f}")

assert min(distance.values()) > among_real
assert distance["Markov mesh"] < distance["Markov chain"] < distance["naive Bayes"] < distance["independent pixels"]
assert FAST or distance["VAE, 16 numbers"] < distance["Markov chain"]

# %% [markdown]
# With 4,000 images a table of counts is the best by either measure, and this should be said: a network is not better
# for being one. (Look at its drawings, though: where it gets into a state that it has hardly met, it runs wild, and
# nothing calls it back, for it sees four pixels.) What the table cannot do is say in a few numbers what makes this
# digit this digit. The VAE can, and the second picture shows it. (Neither comes near real images yet. Lessons 18 to 20
# go another way: there nobody writes down a likelihood.)
#
# ## The pictures
#
# First: what each model draws, what it knows, and how many images it took. Those that know classes were asked for 0 to
# 9.

# %%
BLUE, RED, GREEN, GOLD, GRAY = "#1f6fb4", "#c8402f", "#2f8f4e", "#d98c1f", "#8a8a8a"
COLORS = dict(zip(nats, (GRAY, GOLD, GREEN, BLUE, "#e59a92", RED), strict=True))
plt.rcParams.update({"axes.titlesize": 11, "font.size": 10})

figure = plt.figure(figsize=(13, 8.2), layout="constrained")
left, right_half = figure.subfigures(1, 2, width_ratios=(0.68, 1))
rows = left.subplots(1 + len(nats), 1)
real = [np.flatnonzero(test_ink_labels == label)[copy] for copy in range(2) for label in range(10)]
shown = {"real": test_ink[real], **{name: drawn[name][:20] for name in nats}}
for axes, (name, found) in zip(rows, shown.items(), strict=True):
    axes.imshow(1 - samples.grid(found, columns=10, background=0.6).transpose(1, 2, 0))
    axes.set(xticks=[], yticks=[])
    axes.set_title(name, loc="left", color=COLORS.get(name, "black"))

curve_ax, nats_ax = right_half.subplots(2, 1)
sizes = 10 * np.array(PER_CLASS)
for found, color, name in zip(scores, (GOLD, "black"), ("naive Bayes", "logistic regression"), strict=True):
    curve_ax.errorbar(
        sizes, 100 * found.mean(1), 100 * found.std(1, ddof=1), color=color, marker="o", capsize=3, label=name
    )
curve_ax.set(xscale="log", xlabel="training images", ylabel="test accuracy in %")
curve_ax.set_xticks(sizes, [str(size) for size in sizes])
curve_ax.minorticks_off()
curve_ax.set_title(f"8 × 8 digits, the same linear classifier learned in two ways; {DRAWS} draws")
curve_ax.legend(loc="lower right", frameon=False)
curve_ax.grid(alpha=0.3)

for place, (name, found) in enumerate(nats.items()):
    nats_ax.barh(place, found, color=COLORS[name])
    note = f"{'≤ ' if 'VAE' in name else ''}{found:.0f} nats; Fréchet distance {distance[name]:.1f}"
    inside = found > 110
    nats_ax.text(found - 3 if inside else found + 3, place, note, va="center", ha="right" if inside else "left",
                 color="white" if inside else "black")  # fmt: skip
nats_ax.set_yticks(range(len(nats)), nats)
nats_ax.invert_yaxis()
nats_ax.set(xlabel="−log p(x) in nats for a test image: less is better", title="what the models know of binary digits")
save_picture(figure, "17_generative_models")

# %% [markdown]
# Second: codes. PCA and autoencoder with 8 numbers; where the VAE of 2 numbers puts the test images, by their mean
# $\mu(x)$ and with colors that it has never seen, and what it makes of each place; and walks between two images, in the
# VAE of 16 numbers and, below each, in pixels.

# %%
figure = plt.figure(figsize=(14, 9.2), layout="constrained")
upper, lower = figure.subfigures(2, 1, height_ratios=(1, 1.25))
error_ax, back_ax, walk_ax = upper.subplots(1, 3, width_ratios=(0.8, 1, 1))
error_ax.plot(SIZES, [pca_error(k) for k in SIZES], "o-", color=GRAY, label="PCA")
error_ax.plot(SIZES, list(ae_error.values()), "s-", color=BLUE, label="autoencoder")
error_ax.set(xscale="log", xlabel="numbers in the code", ylabel="squared error of a pixel", ylim=(0, None))
error_ax.set_xticks(SIZES, [str(k) for k in SIZES])
error_ax.minorticks_off()
error_ax.set_title("test images")
error_ax.legend(frameon=False)
error_ax.grid(alpha=0.3)

of_each = [np.flatnonzero(test_ink_labels == label)[0] for label in range(10)]
ten = test_gray.numpy()[of_each].reshape(10, -1)
through_pca = mean + (ten - mean) @ components[:8].T @ components[:8]
with ml.no_grad():
    through_ae = autoencoders[8](test_gray[of_each]).numpy().reshape(10, -1)
together = np.stack([ten, through_pca, through_ae], 1).reshape(-1, 28, 28)
back_ax.imshow(1 - samples.grid(together, columns=6, background=0.6).transpose(1, 2, 0))
back_ax.set_title("original, PCA, autoencoder (8 numbers)")

with ml.no_grad():
    mu = vae.encode(test_images)[0]
walks, steps = [], 8
for a, b in ((4, 9), (3, 8), (0, 6), (1, 7)):
    ends = np.array([of_each[a], of_each[b]])
    walks.append(vae.sample(z=samples.latent_path(mu[ends], steps)).numpy()[:, 0])
    walks.append(samples.latent_path(test_ink[ends].reshape(2, -1), steps, spherical=False).numpy().reshape(-1, 28, 28))
walk_ax.imshow(1 - samples.grid(np.concatenate(walks), columns=steps + 1, background=0.6).transpose(1, 2, 0))
walk_ax.set_title("walks: VAE above, pixels below")

map_ax, places_ax = lower.subplots(1, 2)
with ml.no_grad():
    where = vaes[2].encode(test_images)[0].numpy()
for label in range(10):
    map_ax.scatter(*where[test_ink_labels == label].T, s=9, color=plt.cm.tab10(label), label=str(label))
map_ax.set(xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), aspect="equal", title="the two numbers of 1,000 test images")
map_ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, markerscale=2)
ticks = np.linspace(-3, 3, 17, dtype=np.float32)
places = np.stack(np.meshgrid(ticks, ticks[::-1]), -1).reshape(-1, 2)
mosaic = samples.grid(vaes[2].sample(z=ml.tensor(places)), columns=17, gap=0)
places_ax.imshow(1 - mosaic.transpose(1, 2, 0), extent=(-3.2, 3.2, -3.2, 3.2))
places_ax.set_title("what the decoder makes of each place")
for axes in (back_ax, walk_ax):
    axes.set(xticks=[], yticks=[])
save_picture(figure, "17_codes")

# %% [markdown]
# ## Summary
#
# - Supervised, unsupervised and reinforcement learning differ in what is given: the answer, nothing, a reward.
# - A generative model of $p(x, y)$ draws and, by Bayes' rule, classifies. Naive Bayes and logistic regression are the
#   same linear classifier, learned by counting or by descent; the first needs fewer images, the second ends up better.
# - What a model may look at is what it can know: no neighbors, one, four, from 170 to 80 nats.
# - PCA is the best linear autoencoder. With a hidden layer an autoencoder loses 15 to 40 % less on new images.
# - A VAE maximizes a lower bound of $\log p(x)$: come back, and spend few nats on the code. The price of a code is
#   known in closed form, and the codes are a map that can be read and walked.
#
# ## Exercises
#
# 1. Let one guess in ten be any digit, or let `rewarded` do without the mean reward. Which digits survive, over ten
#    seeds?
# 2. Draw the learning curves on the 28 × 28 digits. Where has naive Bayes' advantage gone? Try every fourth pixel only.
# 3. Give the mesh six neighbors, then ten. When do its nats rise again? Which smoothing suits them?
# 4. A tighter bound: average $p(x \mid z)\, p(z) / q(z \mid x)$ over 100 draws within the logarithm (Burda and
#    colleagues 2016). How many of the 102 nats of the VAE are real?
# 5. Multiply the KL by 0.1 and by 10. What happens to reconstructions, samples and the map?
# 6. Train the autoencoder with `corruption=0.3`. Is its error on clean images lower?

# %%
finish(
    f"supervised {told:.1%}, by reward {heard:.1%}; the Markov mesh, by Bayes' rule, {accuracy['Markov mesh']:.1%} on 28 × 28",
    f"naive Bayes minus logistic regression: {difference[middle].mean():+.1%} with {sizes[middle]} images, {difference[-1].mean():+.1%} with {sizes[-1]}",
    f"test error of the autoencoder against PCA: {', '.join(f'{k}: {found / pca_error(k) - 1:+.0%}' for k, found in ae_error.items())}",
    f"−ELBO {nats['VAE, 16 numbers']:.1f} nats, independent pixels {nats['independent pixels']:.1f}; KL against Monte Carlo {kl_error:.2%} apart",
)
