# %% [markdown]
# # 02  Backpropagation: by hand, by a machine of 100 lines, by minidl
#
# **Goal.** Derive the gradients of a two-layer network with the chain rule and train it in NumPy, in six steps; then
# write an automatic differentiator of about 100 lines that finds the same gradients without a derivation; then do it
# in minidl. All three must agree to $10^{-12}$.
#
# **Needs.** Lesson 01 (layers, forward propagation); derivatives of one variable.
#
# **Time.** A few seconds.

# %%
import numpy as np
from _lesson import FAST, OUTPUT, finish, save_picture
from matplotlib import pyplot as plt

import minidl as ml
from minidl import functional as F

# %% [markdown]
# ## Backpropagation is not gradient descent
#
# A reader may have met "backpropagation, also known as gradient descent". They are two things:
#
# - **Backpropagation** computes the gradient of the loss with respect to every weight, by the chain rule, from the
#   output back to the input (Rumelhart, Hinton and Williams 1986; Goodfellow et al. 2016, chapter 6; for the general
#   method, reverse-mode differentiation, Linnainmaa 1970).
# - **An optimizer**, such as gradient descent, uses the gradient to change the weights. Backpropagation does not care
#   which optimizer that is.
#
# ## The network and its loss
#
# The network of lesson 01, for XOR, with tanh in the hidden layer and the mean squared error over $N$ examples:
#
# $$ Z_1 = X W_1^\top + b_1, \quad A_1 = \tanh Z_1, \quad Z_2 = A_1 W_2^\top + b_2, \quad A_2 = \sigma(Z_2), \quad
#    L = \frac{1}{N} \sum_{n} (A_{2,n} - T_n)^2. $$

# %%
X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
T = np.array([[0.0], [1.0], [1.0], [0.0]])
HIDDEN = 4


def initial_weights(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "w1": rng.normal(size=(HIDDEN, 2)),
        "b1": np.zeros(HIDDEN),
        "w2": rng.normal(size=(1, HIDDEN)),
        "b2": np.zeros(1),
    }


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


# %% [markdown]
# ## The derivation
#
# Write $\bar V$ for $\partial L / \partial V$; it has the shape of $V$. The chain rule, from the loss backwards:
#
# 1. $L$ is a mean of squares: $\bar A_2 = \frac{2}{N}(A_2 - T)$.
# 2. $A_2 = \sigma(Z_2)$ and $\sigma' = \sigma(1 - \sigma)$: $\bar Z_2 = \bar A_2 \odot A_2 \odot (1 - A_2)$.
# 3. $Z_2 = A_1 W_2^\top + b_2$. In coordinates $Z_{no} = \sum_h A_{nh} W_{oh} + b_o$: the weight $W_{oh}$ acts on
#    every example $n$, the activation $A_{nh}$ on every output $o$, so that
#    $\partial L/\partial W_{oh} = \sum_n \bar Z_{no} A_{nh}$ and
#    $\partial L/\partial A_{nh} = \sum_o \bar Z_{no} W_{oh}$. As matrices
#    $\bar W_2 = \bar Z_2^\top A_1$, $\;\bar b_2 = \sum_n \bar Z_{2,n}$, $\;\bar A_1 = \bar Z_2 W_2$.
# 4. $A_1 = \tanh Z_1$ and $\tanh' = 1 - \tanh^2$: $\bar Z_1 = \bar A_1 \odot (1 - A_1^2)$.
# 5. As in 3: $\bar W_1 = \bar Z_1^\top X$, $\;\bar b_1 = \sum_n \bar Z_{1,n}$.
#
# Every line multiplies the gradient that arrives by a *local* derivative. That observation is all of automatic
# differentiation, and we shall use it below.
#
# ## Training in six steps
#
# 1. **Initialize** the weights with random numbers (hidden neurons that start alike would stay alike for ever).
# 2. **Forward**: propagate the inputs, and keep the activations.
# 3. **Compare** the output with the target: the loss.
# 4. **Backward through the output layer**: $\bar Z_2$, and from it $\bar W_2$ and $\bar b_2$.
# 5. **Backward through the hidden layer**: $\bar A_1$, $\bar Z_1$, and from them $\bar W_1$ and $\bar b_1$.
# 6. **Update** the weights against the gradient, $W \leftarrow W - \eta \bar W$, and go back to 2.
#
# Step 2 is forward propagation, steps 4 and 5 are backpropagation, and step 6 is gradient descent.


# %%
def gradients_by_hand(weights):
    w1, b1, w2, b2 = weights.values()
    a1 = np.tanh(X @ w1.T + b1)  # 2  forward
    a2 = sigmoid(a1 @ w2.T + b2)
    loss = ((a2 - T) ** 2).mean()  # 3  compare
    gz2 = 2 / len(X) * (a2 - T) * a2 * (1 - a2)  # 4  backward: output layer
    gw2, gb2 = gz2.T @ a1, gz2.sum(axis=0)
    gz1 = gz2 @ w2 * (1 - a1**2)  # 5  backward: hidden layer
    gw1, gb1 = gz1.T @ X, gz1.sum(axis=0)
    return loss, {"w1": gw1, "b1": gb1, "w2": gw2, "b2": gb2}


def train(gradients, steps, learning_rate=2.0):
    weights = initial_weights()  # 1  initialize
    losses = []
    for _ in range(steps):
        loss, grads = gradients(weights)
        losses.append(loss)
        weights = {name: weights[name] - learning_rate * grads[name] for name in weights}  # 6  update
    return weights, losses


STEPS = 300 if FAST else 3000
trained, losses = train(gradients_by_hand, STEPS)
output = sigmoid(np.tanh(X @ trained["w1"].T + trained["b1"]) @ trained["w2"].T + trained["b2"])
print(f"loss {losses[0]:.4f} -> {losses[-1]:.5f} in {STEPS} steps; the four answers: {output.ravel().round(3)}")

assert ((output > 0.5) == T).all()

# %% [markdown]
# ## An automatic differentiator in about 100 lines
#
# A `Value` holds an array, the values it was computed from, and a function that turns the gradient of the result into
# gradients of those. Calling these functions in reverse order of computation, and adding up where a value was used
# more than once, is backpropagation through any program.
#
# Two points need care. The order must be such that a value comes after everything that depends on it: we sort the
# graph topologically, with a stack of our own and not by recursion, so that deep graphs do not hit Python's limit.
# And broadcasting repeats a value, so that its gradient is a *sum* over the copies (`unbroadcast`).


# %%
class Value:
    """An array that remembers how it was made."""

    def __init__(self, data, parents=(), backward=None):
        self.data = np.asarray(data, dtype=float)
        self.parents = parents
        self.local_backward = backward  # gradient of this -> gradients of the parents
        self.grad = None

    def __add__(self, other):
        other = as_value(other)

        def backward(g):
            return unbroadcast(g, self.data.shape), unbroadcast(g, other.data.shape)

        return Value(self.data + other.data, (self, other), backward)

    def __mul__(self, other):
        other = as_value(other)

        def backward(g):
            return unbroadcast(g * other.data, self.data.shape), unbroadcast(g * self.data, other.data.shape)

        return Value(self.data * other.data, (self, other), backward)

    def __matmul__(self, other):
        def backward(g):
            return g @ other.data.T, self.data.T @ g

        return Value(self.data @ other.data, (self, other), backward)

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + -as_value(other)

    def transpose(self):
        return Value(self.data.T, (self,), lambda g: (g.T,))

    def tanh(self):
        y = np.tanh(self.data)
        return Value(y, (self,), lambda g: (g * (1 - y**2),))

    def sigmoid(self):
        y = sigmoid(self.data)
        return Value(y, (self,), lambda g: (g * y * (1 - y),))

    def mean(self):
        n = self.data.size
        return Value(self.data.mean(), (self,), lambda g: (np.full(self.data.shape, g / n),))

    def backward(self):
        """Leave dself/dv in v.grad for every value v that this one was computed from."""
        gradients = {self: np.ones_like(self.data)}
        for value in reversed(topological_order(self)):
            value.grad = gradients.pop(value)
            if value.local_backward is not None:
                for parent, g in zip(value.parents, value.local_backward(value.grad), strict=True):
                    gradients[parent] = gradients[parent] + g if parent in gradients else g


def as_value(x):
    return x if isinstance(x, Value) else Value(x)


def unbroadcast(g, shape):
    """Sum g over the dimensions along which an array of `shape` was repeated."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    repeated = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
    return g.sum(axis=repeated, keepdims=True)


def topological_order(root):
    """Every value that root depends on, each before all that depend on it."""
    order, seen, stack = [], set(), [(root, False)]
    while stack:
        value, parents_done = stack.pop()
        if parents_done:
            order.append(value)
        elif value not in seen:
            seen.add(value)
            stack.append((value, True))
            stack.extend((parent, False) for parent in value.parents)
    return order


# %% [markdown]
# Now the network is written once, forward only.


# %%
def gradients_by_machine(weights):
    values = {name: Value(array) for name, array in weights.items()}
    a1 = (Value(X) @ values["w1"].transpose() + values["b1"]).tanh()
    a2 = (a1 @ values["w2"].transpose() + values["b2"]).sigmoid()
    error = a2 - T
    loss = (error * error).mean()
    loss.backward()
    return float(loss.data), {name: value.grad for name, value in values.items()}


# %% [markdown]
# `error * error` uses one value twice: its gradient is the sum of both uses. And a chain of 5,000 operations is no
# deeper than the machine can go.

# %%
x = Value(3.0)
(x * x + x).backward()
assert x.grad == 7.0  # d(x² + x)/dx = 2x + 1

chain = x
for _ in range(5000):
    chain = chain + 1
chain.backward()
assert x.grad == 1.0

# %% [markdown]
# ## minidl
#
# The engine of this course works on the same principle, with more operations, hand-made kernels below them, gradients
# of any order, and checks. `requires_grad=True` marks what we want gradients for; `F.linear(x, w, b)` is
# $x w^\top + b$.


# %%
def gradients_by_minidl(weights):
    tensors = {name: ml.tensor(array, requires_grad=True) for name, array in weights.items()}
    a1 = F.linear(ml.tensor(X), tensors["w1"], tensors["b1"]).tanh()
    a2 = F.linear(a1, tensors["w2"], tensors["b2"]).sigmoid()
    loss = F.mse_loss(a2, ml.tensor(T))
    loss.backward()
    return loss.item(), {name: tensor.grad.numpy() for name, tensor in tensors.items()}


# %% [markdown]
# ## Do the three agree?
#
# Compare the gradients at ten random points, and the whole course of training.

# %%
worst = 0.0
for seed in range(10):
    weights = initial_weights(seed)
    (loss, by_hand), (loss2, by_machine), (loss3, by_minidl) = (
        gradients(weights) for gradients in (gradients_by_hand, gradients_by_machine, gradients_by_minidl)
    )
    worst = max(worst, abs(loss - loss2), abs(loss - loss3))
    for name in weights:
        worst = max(
            worst, np.abs(by_hand[name] - by_machine[name]).max(), np.abs(by_hand[name] - by_minidl[name]).max()
        )
print(
    f"largest difference between the three, in the loss and {sum(w.size for w in weights.values())} gradients, at 10 points: {worst:.1e}"
)

assert worst < 1e-12

compared = min(STEPS, 200)
runs = [train(gradients, compared)[1] for gradients in (gradients_by_hand, gradients_by_machine, gradients_by_minidl)]
drift = max(np.abs(np.subtract(runs[0], runs[1])).max(), np.abs(np.subtract(runs[0], runs[2])).max())
print(f"largest difference of the losses over {compared} steps of training: {drift:.1e}")

assert drift < 1e-12

# %% [markdown]
# ## The engine explains itself
#
# What `backward` will do can be looked at before it is done: `ml.autograd.explain` runs a function and lists every
# operation behind its result, in the order of computation, with what it computed, its local derivative by each input
# (where both are small) and the gradient that arrives at it. Take the smallest network: two inputs, one hidden neuron.
# Go up from the bottom and multiply: every arriving gradient is the one below it times the local derivative in
# between, and where a value is used twice, as `w2` is by the penalty $0.1\,w_2^2$, it is the sum of both ways. No
# gradient is written anywhere, and `backward` can still be called.

# %%
x = ml.tensor([1.0, -1.0])
w1 = ml.tensor([0.5, 0.25], requires_grad=True)
w2 = ml.tensor(2.0, requires_grad=True)


def tiny_loss():
    hidden = (w1 * x).sum().tanh()
    error = w2 * hidden - 1.0
    return error**2 + 0.1 * w2**2


explanation = ml.autograd.explain(tiny_loss, names={"w1": w1, "w2": w2})
print(explanation)

assert w2.grad is None
tiny_loss().backward()
by_hand = 2 * (2 * np.tanh(0.25) - 1) * np.tanh(0.25) + 0.2 * 2  # of w2: both ways
print(f"gradient of w2: {w2.grad.item():.6f}, by hand {by_hand:.6f}")

assert abs(w2.grad.item() - by_hand) < 1e-6

# %% [markdown]
# In a notebook the next cell shows the drawing; a script leaves it in `lessons/output` for the browser. With a model,
# `explain(lambda: loss_fn(model(x), y))` names layers and parameters too, and folds large graphs layer by layer.

# %%
OUTPUT.mkdir(exist_ok=True)
explanation.save(OUTPUT / "02_explained.html")
explanation.save(OUTPUT / "02_explained.svg")
print("drawing: lessons/output/02_explained.html")
explanation  # noqa: B018 - the last value of a cell is shown

# %% [markdown]
# ## The picture
#
# Left: the network as a graph; above each arrow what the forward pass computes, below it what the backward pass
# multiplies by. Right: the loss as it falls.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4), width_ratios=(1.6, 1))
names = ["$X$", "$Z_1$", "$A_1$", "$Z_2$", "$A_2$", "$L$"]
local = [r"$XW_1^\top + b_1$", r"$\tanh$", r"$A_1W_2^\top + b_2$", r"$\sigma$", r"$\frac{1}{N}\sum(A_2 - T)^2$"]
back = [None, r"$\odot\,(1 - A_1^2)$", r"$\cdot\, W_2$", r"$\odot\, A_2(1 - A_2)$", r"$\frac{2}{N}(A_2 - T)$"]
for i, name in enumerate(names):
    left.text(
        i, 0, name, ha="center", va="center", fontsize=14, bbox={"boxstyle": "circle", "fc": "white", "ec": "black"}
    )
for i in range(5):
    left.annotate("", (i + 0.8, 0.12), (i + 0.2, 0.12), arrowprops={"arrowstyle": "->", "color": "tab:blue", "lw": 2})
    left.text(i + 0.5, 0.3, local[i], ha="center", color="tab:blue")
    if back[i]:
        left.annotate(
            "", (i + 0.2, -0.12), (i + 0.8, -0.12), arrowprops={"arrowstyle": "->", "color": "tab:red", "lw": 2}
        )
        left.text(i + 0.5, -0.36, back[i], ha="center", color="tab:red")
left.text(0.5, -0.62, r"$\bar W_1 = \bar Z_1^\top X$", ha="center", color="tab:red")
left.text(2.5, -0.62, r"$\bar W_2 = \bar Z_2^\top A_1$", ha="center", color="tab:red")
left.set(xlim=(-0.5, 5.5), ylim=(-0.8, 0.6), title="forward (blue) and backward (red)")
left.axis("off")
right.semilogy(losses)
right.set(title="XOR learned by gradient descent", xlabel="step", ylabel="mean squared error")
figure.tight_layout()
save_picture(figure, "02_backpropagation")

# %% [markdown]
# ## Summary
#
# - Backpropagation is the chain rule from the loss backwards; each step multiplies by a local derivative.
# - An optimizer then uses the gradients; that is a separate matter.
# - A differentiator needs local derivatives, a topological order, and sums where a value is used or broadcast more
#   than once.
#
# ## Exercises
#
# 1. Start from weights that are all zero, then from weights that are all 0.5. What happens to the four hidden
#    neurons, and why?
# 2. Give `Value` a `relu` and an `exp`, and check both against minidl.
# 3. Replace the squared error by the mean of $-T \log A_2 - (1 - T) \log(1 - A_2)$, the cross-entropy. Show that
#    $\bar Z_2 = (A_2 - T)/N$. Why does the network learn faster at the start, when it is very wrong?
# 4. `Value.backward` cannot be differentiated itself, because its gradients are plain arrays. What would have to
#    change? (Look at how `backward` is written in `minidl/functional/elementwise.py`.)
# 5. Explain the loss of the XOR network above. Which operation makes two inputs get the same gradient, and why?

# %%
finish(
    f"XOR learned by hand-written backpropagation: loss {losses[-1]:.1e}, four of four right",
    f"by hand, by 100 lines, by minidl: gradients agree to {worst:.1e}, training to {drift:.1e}",
)
