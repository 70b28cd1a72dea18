# %% [markdown]
# # 01  A neuron, and forward propagation
#
# **Goal.** Compute by hand, in NumPy alone, what a neuron computes, then a layer, then a network; see why the
# non-linearity between the layers is what makes depth worth having.
#
# **Needs.** NumPy arrays: shapes, `@`, broadcasting. No earlier lesson.
#
# **Time.** A few seconds.

# %%
import numpy as np
from _lesson import FAST, finish, save_picture
from matplotlib import pyplot as plt

rng = np.random.default_rng(0)

# %% [markdown]
# ## One neuron
#
# McCulloch and Pitts (1943) described a nerve cell as a threshold on a sum; Rosenblatt (1958) gave the sum weights
# that can be learned. The neuron in use today takes inputs $x_1 \dots x_d$, weighs them, adds a bias, and passes the
# result through an *activation function* $\varphi$:
#
# $$ z = \sum_{i=1}^{d} w_i x_i + b, \qquad a = \varphi(z). $$
#
# The weights say how much each input counts and with what sign; the bias says how large the sum must be before the
# neuron responds. With the logistic function $\varphi(z) = \sigma(z) = 1/(1 + e^{-z})$ the answer lies between 0 and
# 1.
#
# Here is one with two inputs, first as the sum is written, then as a product of vectors.


# %%
def sigmoid(z):
    return 1 / (1 + np.exp(-z))


x = np.array([1.0, 2.0])
w = np.array([3.0, -1.0])
b = 0.5

z_by_sum = sum(w[i] * x[i] for i in range(2)) + b
z_by_product = w @ x + b
a = sigmoid(z_by_product)
print(f"z = 3·1 − 1·2 + 0.5 = {z_by_sum}, the same as w·x + b = {z_by_product}; a = σ(z) = {a:.4f}")

assert z_by_sum == z_by_product == 1.5
assert abs(a - 0.8175744761936437) < 1e-15

# %% [markdown]
# ## What one neuron can and cannot do
#
# The neuron answers "yes" ($a > \tfrac12$) where $w \cdot x + b > 0$: on one side of a straight line (in $d$
# dimensions, of a hyperplane). That is enough for AND and OR. It is not enough for XOR: no line has $(0,1)$ and
# $(1,0)$ on one side and $(0,0)$ and $(1,1)$ on the other, as Minsky and Papert (1969) made famous. The proof is
# short: XOR would need
#
# $$ b \le 0, \quad w_1 + b > 0, \quad w_2 + b > 0, \quad w_1 + w_2 + b \le 0, $$
#
# and the two in the middle add up to $w_1 + w_2 + 2b > 0$, so $w_1 + w_2 + b > -b \ge 0$: a contradiction.
#
# Let us also *look* for such a line: a million random neurons, and the best that any of them does.

# %%
corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)
tables = {"AND": np.array([0, 0, 0, 1]), "OR": np.array([0, 1, 1, 1]), "XOR": np.array([0, 1, 1, 0])}

trials = 10_000 if FAST else 1_000_000
weights, biases = rng.normal(size=(trials, 2)), rng.normal(size=trials)
answers = weights @ corners.T + biases[:, None] > 0  # one row for each neuron
best = {name: int((answers == table).sum(axis=1).max()) for name, table in tables.items()}
print(f"corners that the best of {trials} random neurons gets right: {best}")

assert best == {"AND": 4, "OR": 4, "XOR": 3}

# %% [markdown]
# ## A layer is a matrix product
#
# Several neurons that read the same inputs form a *layer*. Their weight vectors become the rows of a matrix $W$, so
# that the layer is $a = \varphi(W x + b)$. Examples come in batches: with one example in each row of $X$, whose
# shape is $N \times d$,
#
# $$ Z = X W^\top + b, \qquad A = \varphi(Z), $$
#
# of shape $N \times$ (number of neurons); $b$ is broadcast over the rows. This is the layout of every dense layer in
# this course (`weight` has one row for each output, as in PyTorch). The next cell computes it neuron by neuron and
# example by example, then all at once.


# %%
def layer_by_loops(x, w, b):
    """Z[n, o] = Σ_i w[o, i] · x[n, i] + b[o]"""
    z = np.zeros((len(x), len(w)))
    for n in range(len(x)):
        for o in range(len(w)):
            for i in range(w.shape[1]):
                z[n, o] += w[o, i] * x[n, i]
            z[n, o] += b[o]
    return z


def layer(x, w, b):
    return x @ w.T + b


batch, wide, bias = rng.normal(size=(5, 3)), rng.normal(size=(4, 3)), rng.normal(size=4)
difference = np.abs(layer(batch, wide, bias) - layer_by_loops(batch, wide, bias)).max()
print(
    f"5 examples of 3 numbers through 4 neurons: shape {layer(batch, wide, bias).shape}, loops and product differ by {difference:.1e}"
)

assert difference < 1e-14

# %% [markdown]
# ## Forward propagation
#
# A network passes the activations of one layer to the next. With two layers,
#
# $$ X \;\to\; Z_1 = X W_1^\top + b_1 \;\to\; A_1 = \varphi(Z_1)
#    \;\to\; Z_2 = A_1 W_2^\top + b_2 \;\to\; A_2 = \sigma(Z_2). $$
#
# Carrying numbers from left to right in this way is *forward propagation*. Nothing has been learned yet: learning
# means finding the $W$ and $b$, and lesson 02 is about that. But XOR is small enough to set them by hand. One hidden
# neuron fires for "at least one", one for "both"; the output wants the first without the second.

# %%
w1 = np.array([[20.0, 20.0], [20.0, 20.0]])
b1 = np.array([-10.0, -30.0])  # above 0 when x1 + x2 > 1/2; when x1 + x2 > 3/2
w2 = np.array([[20.0, -20.0]])
b2 = np.array([-10.0])


def network(x, activation=sigmoid):
    hidden = activation(layer(x, w1, b1))
    return sigmoid(layer(hidden, w2, b2)), hidden


output, hidden = network(corners)
print("  x1 x2   at least one   both   XOR")
for corner, h, o in zip(corners, hidden, output, strict=True):
    print(f"  {corner[0]:.0f}  {corner[1]:.0f}       {h[0]:.3f}       {h[1]:.3f}  {o[0]:.3f}")

xor_error = np.abs(output[:, 0] - tables["XOR"]).max()
assert xor_error < 1e-3

# %% [markdown]
# ## Why the activation function must not be linear
#
# Leave $\varphi$ out, and two layers are one:
#
# $$ (X W_1^\top + b_1) W_2^\top + b_2 = X (W_2 W_1)^\top + (b_1 W_2^\top + b_2). $$
#
# However many linear layers there are, the network is a single layer again, here a single neuron, and XOR is out of
# its reach. Depth pays only with something non-linear in between: the logistic function, tanh, or the rectifier
# $\max(0, z)$ (ReLU: Nair and Hinton 2010), which today's networks use because its slope does not fade for large $z$.

# %%
two_linear_layers = layer(layer(corners, w1, b1), w2, b2)
one_layer = layer(corners, w2 @ w1, b1 @ w2.T + b2)
collapse = np.abs(two_linear_layers - one_layer).max()
print(f"two linear layers and the one that replaces them differ by {collapse:.1e}")

assert collapse < 1e-12

# %% [markdown]
# ## The picture
#
# Left: the answer of one neuron (this one computes OR) changes along a straight line. Middle: the two hidden neurons
# move the four corners to places where one line does separate them; $(0,1)$ and $(1,0)$ land on the same spot and are
# drawn a little apart. Right: what the whole network answers over the plane. Corners where XOR is 0 are circles,
# where it is 1, squares.

# %%
side = np.linspace(-0.5, 1.5, 60 if FAST else 300)
plane = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4))


def draw_corners(axes, places):
    """The four corners: blue circles where XOR is 0, red squares where it is 1."""
    for answer, color, marker in ((0, "tab:blue", "o"), (1, "tab:red", "s")):
        chosen = places[tables["XOR"] == answer]
        axes.scatter(*chosen.T, c=color, marker=marker, s=80, edgecolors="white", zorder=3, label=f"XOR = {answer}")


def draw(axes, values, title):
    levels = np.linspace(0, 1, 21)
    filled = axes.contourf(side, side, values.reshape(len(side), -1), levels=levels, cmap="coolwarm")
    draw_corners(axes, corners)
    axes.set(title=title, xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
    figure.colorbar(filled, ax=axes, ticks=[0, 0.5, 1], label="answer $a$", shrink=0.85)


draw(left, sigmoid(plane @ np.array([6.0, 6.0]) - 3), "one neuron (OR): at best 3 of 4")
apart = np.array([[0, 0], [0, 0.04], [0, -0.04], [0, 0]])  # (0, 1) and (1, 0) land on the same spot
draw_corners(middle, hidden + apart)
h1 = np.array([0.4, 1.1])
h2 = (-b2[0] - w2[0, 0] * h1) / w2[0, 1]  # where w2 · h + b2 = 0
middle.plot(h1, h2, "k--", label="the output neuron's line")
middle.set(title="XOR as the hidden layer sees it", xlabel="at least one", ylabel="both", aspect="equal")
middle.legend(loc="upper left")
draw(right, network(plane)[0], "two layers: XOR")
figure.tight_layout()
save_picture(figure, "01_neuron")

# %% [markdown]
# ## Summary
#
# - A neuron is a weighted sum, a bias and an activation function; alone it separates by a hyperplane.
# - A layer on a batch is one matrix product, $X W^\top + b$.
# - Forward propagation carries activations from layer to layer.
# - Without a non-linear activation all layers collapse into one.
#
# ## Exercises
#
# 1. Set the weights of one neuron by hand so that it computes NAND. Since every logic circuit can be built from NAND
#    gates, what follows for networks of neurons?
# 2. Call `network(corners, activation=np.tanh)`. Does it still compute XOR? Which numbers do the hidden neurons give
#    now? With $\sigma(z) = \tfrac12 (1 + \tanh \tfrac z2)$, change the weights so that the outputs are what they
#    were.
# 3. Three inputs: parity is 1 when an odd number of them is 1. Set the weights of a network with one hidden layer by
#    hand. Three hidden neurons are enough. (Hint: what does the number of ones have to be at least?)
# 4. Time `layer` against `layer_by_loops` for 100 examples, 100 inputs and 100 neurons (`time.perf_counter()`).
#    Lesson 05 measures such a ratio for convolution.

# %%
finish(
    f"a neuron by hand: z = {z_by_product}, a = {a:.4f}",
    f"best random neuron on XOR: {best['XOR']} of 4 corners; two layers: 4 of 4, worst error {xor_error:.1e}",
    f"two linear layers equal one to {collapse:.1e}",
)
