# %% [markdown]
# # 03  Gradient checking: add an operation of your own, and prove it
#
# **Goal.** Write a new operation for minidl, with its own forward and backward pass, and prove the backward pass
# against finite differences. On the way: how large the step should be, why the numbers must be float64, why a check
# with a cotangent of ones proves little, and what a check cannot prove at all.
#
# **Needs.** Lesson 02 (backpropagation); the Taylor series.
#
# **Time.** A few seconds.

# %%
import time

import numpy as np
from _lesson import FAST, finish, save_picture
from matplotlib import pyplot as plt

import minidl as ml
from minidl import functional as F
from minidl.autograd import Function, FusedFunction, gradcheck, gradgradcheck

# %% [markdown]
# ## A wrong gradient trains
#
# Most mistakes in a program show: it stops, or its answer is absurd. A mistake in a backward pass shows in neither
# way. The forward pass is right, the loss is right, and a gradient that is roughly right still points downhill. Here
# is the training of lesson 02 (XOR, four hidden neurons) from ten starting points: as it was; with the derivative of
# tanh, $1 - A_1^2$, forgotten; and with the derivative of the output's sigmoid, $A_2(1 - A_2)$, forgotten.

# %%
X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
T = np.array([[0.0], [1.0], [1.0], [0.0]])


def train_xor(forgotten, seed, steps=500, learning_rate=0.5):
    """The last loss, and whether all four answers are right."""
    rng = np.random.default_rng(seed)
    w1, b1, w2, b2 = rng.normal(size=(4, 2)), np.zeros(4), rng.normal(size=(1, 4)), np.zeros(1)
    for _ in range(steps):
        a1 = np.tanh(X @ w1.T + b1)
        a2 = 1 / (1 + np.exp(-(a1 @ w2.T + b2)))
        gz2 = 2 / len(X) * (a2 - T) * (1.0 if forgotten == "sigmoid" else a2 * (1 - a2))
        gz1 = gz2 @ w2 * (1.0 if forgotten == "tanh" else 1 - a1**2)
        w1, b1 = w1 - learning_rate * gz1.T @ X, b1 - learning_rate * gz1.sum(axis=0)
        w2, b2 = w2 - learning_rate * gz2.T @ a1, b2 - learning_rate * gz2.sum(axis=0)
    return ((a2 - T) ** 2).mean(), bool(((a2 > 0.5) == T).all())


solved, typical = {}, {}
for forgotten in ("nothing", "tanh", "sigmoid"):
    runs = [train_xor(forgotten, seed) for seed in range(10)]
    solved[forgotten], typical[forgotten] = sum(done for _, done in runs), np.median([loss for loss, _ in runs])
    print(
        f"forgotten: {forgotten:8s} XOR solved from {solved[forgotten]:2d} of 10 starts, median loss {typical[forgotten]:.1e}"
    )

assert solved["tanh"] < solved["nothing"] and typical["sigmoid"] < typical["nothing"]

# %% [markdown]
# The first mistake looks like bad luck, and invites a few days with the learning rate: XOR is still learned
# sometimes. The second does *better* than the right gradient. (It is the right gradient of another loss: exercise 3
# of lesson 02.) From runs alone neither would be found. So we do not look at runs; we check the gradient itself.
#
# ## Finite differences
#
# The Taylor series of $f$ about $x$ gives two estimates of its derivative. The *forward* and the *central* difference
# are
#
# $$ \frac{f(x + h) - f(x)}{h} = f'(x) + \frac{h}{2} f''(x) + \dots, \qquad
#    \frac{f(x + h) - f(x - h)}{2h} = f'(x) + \frac{h^2}{6} f'''(x) + \dots $$
#
# For the central one the even terms cancel, which makes its *truncation error* $O(h^2)$ instead of $O(h)$. (The
# price: for $n$ inputs $2n$ evaluations instead of $n + 1$, because the forward ones share $f(x)$.)
#
# A small $h$ makes the truncation small, but then two nearly equal numbers are subtracted. Each is known to a
# relative precision of $\varepsilon$, the machine epsilon ($2^{-52} \approx 2.2 \cdot 10^{-16}$ in float64), so the
# quotient carries a *rounding error* of about $\varepsilon |f| / h$, which *grows* as $h$ shrinks. The best step
# balances the two. Setting the derivative of the sum to 0,
#
# $$ h_\text{forward} = \sqrt{2 \varepsilon \, |f / f''|} \sim \sqrt{\varepsilon}, \qquad
#    h_\text{central} = \sqrt[3]{3 \varepsilon \, |f / f'''|} \sim \sqrt[3]{\varepsilon}, $$
#
# where the errors are about $\sqrt\varepsilon$ and $\varepsilon^{2/3}$. Let us measure, on $f(x) = e^x \sin x$, whose
# derivative we know. Rounding errors jump about, so we take the median over 200 points $x$.


# %%
def f(x):
    return np.exp(x) * np.sin(x)


def df(x):
    return np.exp(x) * (np.sin(x) + np.cos(x))


def forward_difference(x, h):
    return (f(x + h) - f(x)) / h


def central_difference(x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


steps = 10.0 ** np.arange(-14, 0.01, 0.25)
points = np.linspace(0.5, 1.5, 200)


def errors(difference, dtype):
    """The median error at each step, everything computed in dtype."""
    x = points.astype(dtype)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.array([np.median(np.abs(difference(x, dtype(h)) - df(x.astype(np.float64)))) for h in steps])


curves = {
    "forward, float64": errors(forward_difference, np.float64),
    "central, float64": errors(central_difference, np.float64),
    "central, float32": errors(central_difference, np.float32),
}
best = {name: (steps[np.argmin(error)], error.min()) for name, error in curves.items()}
EPS64, EPS32 = np.finfo(np.float64).eps, np.finfo(np.float32).eps
predicted = {
    "forward, float64": EPS64**0.5,
    "central, float64": EPS64 ** (1 / 3),
    "central, float32": float(EPS32) ** (1 / 3),
}
print("  difference          best step   predicted   error there")
for name, (step, error) in best.items():
    print(f"  {name:18s}   {step:.1e}     {predicted[name]:.1e}       {error:.1e}")


def slope(error, low, high):
    """The exponent p of error ~ h^p between two steps."""
    between = (steps > low) & (steps < high)
    return np.polyfit(np.log(steps[between]), np.log(error[between]), 1)[0]


order_forward = slope(curves["forward, float64"], 1e-6, 1e-2)
order_central = slope(curves["central, float64"], 1e-3, 1e-1)
print(f"measured order of the error: forward h^{order_forward:.3f}, central h^{order_central:.3f}")

assert abs(order_forward - 1) < 0.02 and abs(order_central - 2) < 0.02
assert all(predicted[name] / 10 < best[name][0] < predicted[name] * 10 for name in best)
assert best["central, float64"][1] < 1e-10 < best["forward, float64"][1] < 1e-7 < 1e-6 < best["central, float32"][1]

# %% [markdown]
# Now it is clear why a check needs float64. With central differences it can tell a right gradient from a wrong one to
# nine or ten digits, and any step within a power of ten of $\sqrt[3]{\varepsilon}$ will do (`gradcheck` takes
# $10^{-6}$). In float32 the very best step leaves four or five digits, and $h = 10^{-6}$ hardly one.
# `gradcheck` therefore refuses float32. What was proven in float64 then runs in float32 with the same code.

# %%
at_1e6 = int(np.argmin(np.abs(steps - 1e-6)))
print(
    f"central difference at h = 1e-6: error {curves['central, float64'][at_1e6]:.1e} in float64, {curves['central, float32'][at_1e6]:.1e} in float32"
)
try:
    gradcheck(ml.tanh, ml.tensor([1.0, 2.0], requires_grad=True))
except TypeError as error:
    refusal = str(error)
    print(refusal)

assert "float64" in refusal

# %% [markdown]
# ## Many inputs, many outputs
#
# An operation maps $n$ numbers to $m$; its derivative is the Jacobian $J$, $m \times n$. A backward pass never forms
# $J$. It takes the gradient $v$ that arrives at the output, one number for each of the $m$ (the *cotangent*), and
# returns $J^\top v$. That is the gradient of the scalar
#
# $$ s(x) = \langle v, f(x) \rangle, \qquad \nabla s = J^\top v, $$
#
# so that a check is: choose $v$, and compare each element of $J^\top v$ with a central difference of $s$. That is
# $2n$ evaluations. It takes a dozen lines. We try it on the *softmax* of rows of five numbers,
# $y_k = e^{x_k} / \sum_j e^{x_j}$, which lesson 04 needs: positive numbers that sum to 1 in each row.


# %%
def discrepancy(fn, x, v, h=6e-6):
    """How far backward's Jᵀv is from central differences of s(x) = ⟨v, fn(x)⟩, at worst."""
    variable = ml.tensor(x, requires_grad=True)
    fn(variable).backward(ml.tensor(v))
    worst = 0.0
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = h
        above, below = ((v * fn(ml.tensor(x + sign * step)).numpy()).sum() for sign in (1, -1))
        worst = max(worst, abs((above - below) / (2 * h) - variable.grad.numpy()[index]))
    return worst


rng = np.random.default_rng(0)
x, v = rng.normal(size=(3, 5)), rng.normal(size=(3, 5))
honest = discrepancy(lambda t: F.softmax(t, dim=-1), x, v)
print(f"softmax, 15 elements: backward and finite differences differ by {honest:.1e}")

assert honest < 1e-9

# %% [markdown]
# For a whole network $2n$ evaluations are too many. Along a single direction $u$ two are enough, because
#
# $$ \langle v, J u \rangle = \langle J^\top v, u \rangle. $$
#
# On the left, $J u$ is the derivative of $f(x + t u)$ at $t = 0$: one central difference. On the right, $J^\top v$ is
# what backward returns. With random $u$ and $v$ an error anywhere shows, unless it happens to be orthogonal to $u$,
# which has probability 0; but an error in one element of many is diluted. The next cell measures both: 10,000
# elements with two evaluations, and then with a single element of the gradient missing.
# (`gradcheck(..., mode="directional")` does this, three times.)

# %%
wide, v, u = (rng.normal(size=(100, 100)) for _ in range(3))
h = 6e-6


def softmax_of_rows(t):
    return F.softmax(t, dim=-1)


variable = ml.tensor(wide, requires_grad=True)
softmax_of_rows(variable).backward(ml.tensor(v))
jtv = variable.grad.numpy()
ju = (softmax_of_rows(ml.tensor(wide + h * u)).numpy() - softmax_of_rows(ml.tensor(wide - h * u)).numpy()) / (2 * h)
left_side, right_side = (v * ju).sum(), (jtv * u).sum()
incomplete = jtv.copy()
incomplete[50, 50] = 0
directional = abs(left_side - right_side)
directional_fault = abs(left_side - (incomplete * u).sum())
print(f"⟨v, Ju⟩ = {left_side:.12f}, ⟨Jᵀv, u⟩ = {right_side:.12f}: they differ by {directional:.1e}")
print(f"with one of 10000 elements of Jᵀv set to 0 they differ by {directional_fault:.1e}")

assert directional < 1e-9 < 1e-5 < directional_fault
assert gradcheck(softmax_of_rows, ml.tensor(wide, requires_grad=True), mode="directional")

# %% [markdown]
# ## A cotangent of ones is blind
#
# Why a *random* $v$? It is tempting to check `f(x).sum()`, which is a scalar and needs no $v$. This amounts to
# $v = (1, \dots, 1)$, and there are operations for which it sees nothing. The outputs of softmax sum to 1 whatever
# $x$ is. So $s(x)$ is constant, its gradient is 0, and a backward that returns *zero* passes. So does one that
# forgets to multiply by the gradient that arrives: multiplying by 1 is no different from not multiplying. Batch
# normalization (lesson 06), which makes the mean of its outputs 0, has the same blind spot.


# %%
class BlindSoftmax(Function):
    """Softmax over the last dimension, with a backward that is plainly wrong."""

    saves_inputs = ()
    saves_outputs = ()

    def forward(self, x):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    def backward(self, gy):
        return gy * 0.0


with_ones = discrepancy(BlindSoftmax.apply, x, np.ones_like(x))
with_random = discrepancy(BlindSoftmax.apply, x, rng.normal(size=x.shape))
print(
    f"softmax with a backward that returns 0: differs by {with_ones:.1e} with ones, by {with_random:.2f} with a random cotangent"
)
passed_as_sum = gradcheck(lambda t: BlindSoftmax.apply(t).sum(), ml.tensor(x, requires_grad=True))
caught = not gradcheck(BlindSoftmax.apply, ml.tensor(x, requires_grad=True), raise_exception=False)
print(f"gradcheck of softmax(x).sum() passes: {passed_as_sum}; gradcheck of softmax(x) catches it: {caught}")

assert with_ones < 1e-9 < 0.01 < with_random
assert passed_as_sum and caught

# %% [markdown]
# `gradcheck` draws $v$ at random. But a `.sum()` inside the function that it is given brings the ones back. Check the
# operation, never its sum.
#
# ## Kinks
#
# The rectifier $\max(0, x)$ has no derivative at 0: it is 0 from the left, 1 from the right. The central difference
# says ½, backward says 0 (as in PyTorch). For training any number from 0 to 1 will do; for a check the disagreement
# would look like an error. `gradcheck` compares the two halves of its central difference and reports the kink. A
# point *closer* to the kink than the step is no better. The remedy is to move the inputs away, not to loosen the
# tolerance. (The slopes in the messages are those of $s = \langle v, f(x) \rangle$, so they carry the element of $v$:
# 0 and $v_1$ in place of 0 and 1.)

# %%
kink_messages = []
for near in (0.0, 1e-8):
    try:
        gradcheck(ml.relu, ml.tensor(np.array([1.0, near, -1.0]), requires_grad=True))
    except ml.errors.GradcheckError as error:
        kink_messages.append(str(error))
        print(f"relu at {near:g}: {error}")
print("relu at 0.001:", gradcheck(ml.relu, ml.tensor(np.array([1.0, 0.001, -1.0]), requires_grad=True)))

assert len(kink_messages) == 2 and all("kink" in message for message in kink_messages)

# %% [markdown]
# ## An operation of our own
#
# Barron (2021) proposed a rectifier without a kink, and without the exponential and logarithm of softplus.
# *Squareplus* is
#
# $$ y = \tfrac12 \left( x + \sqrt{x^2 + b} \right), \qquad b \ge 0. $$
#
# For $b = 0$ it is $\tfrac12 (x + |x|) = \max(0, x)$, kink and all; a larger $b$ makes the corner rounder. Minidl
# does not have it. Let us add it, with $b$ as a second *input*, a single positive number, so that it can be learned.
# With $r = \sqrt{x^2 + b}$,
#
# $$ \frac{\partial r}{\partial x} = \frac{x}{r}, \quad \frac{\partial r}{\partial b} = \frac{1}{2r}
#    \qquad\Longrightarrow\qquad
#    \bar x = \bar y \cdot \tfrac12 \left( 1 + \frac{x}{r} \right), \quad \bar b = \sum \bar y \cdot \frac{1}{4r}. $$
#
# The sum is there because one $b$ serves every element of $x$, and a value that is used many times collects the
# gradients of all uses (`unbroadcast` in lesson 02).
#
# In minidl an operation is a `Function`. Its `forward` takes arrays and returns an array. Its `backward` takes and
# returns Tensors: it is written in operations that can be differentiated themselves, and so second derivatives come
# for free. `saves_inputs` names the inputs that backward reads, so that everything else can be freed.


# %%
class Squareplus(Function):
    """y = (x + √(x² + b)) / 2, for x of any shape and one number b."""

    saves_inputs = (0, 1)
    saves_outputs = ()

    def forward(self, x, b):
        return (x + np.sqrt(x * x + b)) / 2

    def backward(self, gy):
        x, b = self.inputs
        root = (x * x + b).sqrt()
        return gy * (1 + x / root) / 2, (gy / (4 * root)).sum()


squareplus = Squareplus.apply

# %% [markdown]
# First the forward pass, against what we know of it: $b = 0$ gives the rectifier; at 0 the value is $\sqrt b / 2$;
# and $x = 3$, $b = 16$ gives $(3 + 5)/2 = 4$. Then the backward pass, by `gradcheck`, and the backward of the
# backward, by `gradgradcheck`, in one go for both inputs.

# %%
x = ml.tensor(rng.normal(size=(3, 4)), requires_grad=True)
b = ml.tensor(np.array(0.5), requires_grad=True)
zero = ml.tensor(np.array(0.0))

assert ml.allclose(squareplus(x, zero), ml.relu(x), atol=1e-15)
assert squareplus(ml.tensor(np.array([0.0, 3.0])), ml.tensor(np.array(16.0))).tolist() == [2.0, 4.0]
assert gradcheck(squareplus, (x, b))
assert gradgradcheck(squareplus, (x, b))
print("squareplus: values right; gradcheck and gradgradcheck pass, for x and for b")

# %% [markdown]
# ## Would the check have caught a mistake?
#
# A test that has never failed proves little. So we break the operation in every way that comes to mind, and see that
# each is caught, and by what. The check with a cotangent of ones comes along for comparison.


# %%
class Scaled(Squareplus):
    """Wrong by one part in a thousand."""

    def backward(self, gy):
        gx, gb = super().backward(gy)
        return gx * 1.001, gb


class MissingTerm(Squareplus):
    """The derivative of the root is forgotten."""

    def backward(self, gy):
        return gy / 2, super().backward(gy)[1]


class WrongSign(Squareplus):
    """1 − x/r for 1 + x/r."""

    def backward(self, gy):
        gx, gb = super().backward(gy)
        return gy - gx, gb


class ForgetsGy(Squareplus):
    """The local derivative only, without the gradient that arrives."""

    def backward(self, gy):
        return super().backward(ml.ones_like(gy))


class OneElement(Squareplus):
    """The last element gets nothing, as when a loop ends too early."""

    def backward(self, gy):
        gx, gb = super().backward(gy)
        mask = np.ones(gx.shape)
        mask.flat[-1] = 0
        return gx * ml.tensor(mask), gb


class MeanForSum(Squareplus):
    """The mean over the elements that share b, not the sum."""

    def backward(self, gy):
        gx, gb = super().backward(gy)
        return gx, gb / gy.numel()


class NoSum(Squareplus):
    """The gradient of b has the shape of x."""

    def backward(self, gy):
        x, b = self.inputs
        return super().backward(gy)[0], gy / (4 * (x * x + b).sqrt())


class WritesToInput(Squareplus):
    """A forward that saves memory by working in place."""

    def forward(self, x, b):
        y = super().forward(x, b)
        x *= 0.5
        return y


class ConstantRoot(Squareplus):
    """First derivatives right, second ones wrong: backward treats the root as a constant."""

    def backward(self, gy):
        x, b = self.inputs
        root = (x * x + b).sqrt().detach()
        return gy * (1 + x / root) / 2, (gy / (4 * root)).sum()


def verdict(check, fn):
    """None if the check passes, else what it says."""
    try:
        check(fn, (x, b))
    except RuntimeError as error:  # GradcheckError, GradientError
        return str(error)


def ones_see(fn):
    """Does the check of `discrepancy` with a cotangent of ones see that something is wrong with x or b?"""
    arrays, ones = (x.detach().numpy().copy(), b.detach().numpy().copy()), np.ones(x.shape)
    try:
        in_x = discrepancy(lambda t: fn(t, ml.tensor(arrays[1])), arrays[0], ones)
        in_b = discrepancy(lambda t: fn(ml.tensor(arrays[0]), t), arrays[1], ones)
    except RuntimeError:
        return True
    return max(in_x, in_b) > 1e-6


bugs = (Scaled, MissingTerm, WrongSign, ForgetsGy, OneElement, MeanForSum, NoSum, WritesToInput, ConstantRoot)
seen = {}
for bug in bugs:
    first, second = verdict(gradcheck, bug.apply), verdict(gradgradcheck, bug.apply)
    seen[bug.__name__] = ones_see(bug.apply), first is not None, second is not None
    print(f"{bug.__name__}: {bug.__doc__}\n    {first or second}")

print("\n                  ones    gradcheck   gradgradcheck")
for name, columns in seen.items():
    ones, first, second = ("caught" if column else "-" for column in columns)
    print(f"  {name:14s}  {ones:8s}{first:12s}{second}")

assert all(first or second for _, first, second in seen.values())
assert [name for name, (ones, _, _) in seen.items() if not ones] == ["ForgetsGy", "ConstantRoot"]
assert [name for name, (_, first, _) in seen.items() if not first] == ["ConstantRoot"]

# %% [markdown]
# Some lines of the table deserve a second look.
#
# - `ForgetsGy` is invisible to ones, and only to ones.
# - `NoSum` is caught before any check, by the engine: a gradient must have the shape of its input.
# - `ConstantRoot` trains perfectly well. It is wrong only where gradients are themselves differentiated (a gradient
#   penalty, Newton's method), and only `gradgradcheck` sees it. This is an easy mistake: save the root in the
#   forward pass as an array, read it in backward, and it is made.
# - `gradgradcheck` alone lets most of the wrong gradients pass: it asks whether backward is differentiated correctly,
#   whatever backward computes. The two checks belong together.
#
# And what can no gradient check tell? It compares backward with the forward *that you wrote*: if the forward computes
# the wrong function, the check confirms the right derivative of the wrong function. It knows only the points that it
# was given, so a branch that they do not reach goes unseen. And it says nothing about float32: for $x = -10^4$ our
# formula subtracts two nearly equal numbers (exercise 3). Hence the checks of the values above.
#
# ## The fused form
#
# A backward made of Tensor operations is recorded, step by step, so that it can be differentiated. Training does not
# need that. A `FusedFunction` has two forms of the backward pass: `backward_array`, in plain arrays, which training
# runs; and `composite`, the forward pass written in Tensor operations, which is differentiated when a derivative of
# higher order is asked for. And `self.save` keeps the root that the forward pass has computed anyway.


# %%
class FusedSquareplus(FusedFunction):
    """As Squareplus; backward in arrays."""

    saves_inputs = (0, 1)
    saves_outputs = ()

    def forward(self, x, b):
        root = np.sqrt(x * x + b)
        self.save(root)
        return (x + root) / 2

    def backward_array(self, gy):
        x = self.input_arrays[0]
        (root,) = self.saved
        return gy * (1 + x / root) / 2, (gy / (4 * root)).sum()

    def composite(self, x, b):
        return (x + (x * x + b).sqrt()) / 2


assert gradcheck(FusedSquareplus.apply, (x, b)) and gradgradcheck(FusedSquareplus.apply, (x, b))

# %% [markdown]
# Two forms of one thing can contradict each other. `gradcheck` looks at `backward_array`, `gradgradcheck` at the
# composite. If the composite belonged to another function, each could be consistent in itself. So there is a third
# check: both forms must give the same gradients. With `create_graph=True` the engine takes the composite, without it
# `backward_array`. Again we plant a bug to see that the check works.


# %%
class AnotherComposite(FusedSquareplus):
    """The composite uses 2b for b."""

    def composite(self, x, b):
        return super().composite(x, 2 * b)


def contradiction(fn):
    """The largest difference between the gradients by backward_array and by the composite."""
    v = ml.tensor(np.random.default_rng(1).normal(size=x.shape))
    by_array = ml.grad(fn(x, b), (x, b), v)
    by_composite = ml.grad(fn(x, b), (x, b), v, create_graph=True)
    return max((g - h).abs().max().item() for g, h in zip(by_array, by_composite, strict=True))


fused_error, planted_error = contradiction(FusedSquareplus.apply), contradiction(AnotherComposite.apply)
print(f"fused against composite: {fused_error:.1e}; with the planted bug: {planted_error:.1e}")

assert fused_error < 1e-14 < 1e-3 < planted_error


def seconds(*functions, repeats=5 if FAST else 50):
    """The shortest time of a forward and backward pass over 100,000 elements, for each function; they take turns."""
    x = ml.tensor(np.random.default_rng(0).normal(size=100_000).astype(np.float32), requires_grad=True)
    b, gy = ml.tensor(0.5, requires_grad=True), ml.ones_like(x)
    times = {fn: [] for fn in functions}
    for _ in range(repeats):
        for fn in functions:
            start = time.perf_counter()
            ml.grad(fn(x, b), (x, b), gy)
            times[fn].append(time.perf_counter() - start)
    return [min(times[fn]) for fn in functions]


fused_squareplus = FusedSquareplus.apply
plain_time, fused_time = seconds(squareplus, fused_squareplus)
print(f"100,000 float32 elements, forward and backward: {1e3 * plain_time:.2f} ms, fused {1e3 * fused_time:.2f} ms")

# %% [markdown]
# ## At work
#
# The operation behaves like any other now. Two squareplus neurons that face each other make a tent with a rounded
# top, since $\operatorname{sq}(z) + \operatorname{sq}(-z) = \sqrt{z^2 + b}$. The next cell fits the model
#
# $$ y = o - s \left[ \operatorname{sq}(x - m) + \operatorname{sq}(m - x) \right] $$
#
# by gradient descent to such a tent. It must find the place $m$, the slope $s$, the height $o$, and how round the
# corner is: $b = c^2$ (a square stays positive). For comparison, the same model with ReLU for squareplus.

# %%
TRUTH = {"m": 0.3, "s": 1.5, "o": 1.0, "c": 0.5}  # b = 0.25
grid = ml.tensor(np.linspace(-2, 2, 81))


def tent(rectifier, m, s, o, c):
    return o - s * (rectifier(grid - m, c * c) + rectifier(m - grid, c * c))


def sharp_rectifier(z, b):
    return ml.relu(z)


target = tent(fused_squareplus, *(ml.tensor(np.array(value)) for value in TRUTH.values()))


def fit(rectifier, steps, learning_rate=0.3):
    """Gradient descent on the four numbers, from m = o = 0 and s = c = 1."""
    weights = [ml.tensor(np.array(value), requires_grad=True) for value in (0.0, 1.0, 0.0, 1.0)]
    losses = []
    for _ in range(steps):
        loss = F.mse_loss(tent(rectifier, *weights), target)
        losses.append(loss.item())
        for w in weights:
            w.grad = None
        loss.backward()
        for w in weights:
            if w.grad is not None:  # ReLU has no use for c
                w.data -= learning_rate * w.grad.data
    return (
        losses,
        dict(zip("msoc", (w.item() for w in weights), strict=True)),
        tent(rectifier, *weights).detach().numpy(),
    )


STEPS = 500 if FAST else 2000
losses, found, rounded = fit(fused_squareplus, STEPS)
sharp_losses, _, sharp = fit(sharp_rectifier, STEPS)
print("found:  " + ", ".join(f"{name} = {value:.4f}" for name, value in found.items()) + f"; b = {found['c'] ** 2:.4f}")
print("truth:  " + ", ".join(f"{name} = {value:.4f}" for name, value in TRUTH.items()) + f"; b = {TRUTH['c'] ** 2:.4f}")
print(f"loss after {STEPS} steps: {losses[-1]:.1e} with a learned corner, {sharp_losses[-1]:.1e} with ReLU")

fit_error = abs(found["c"] ** 2 - TRUTH["c"] ** 2)
assert fit_error < (0.05 if FAST else 1e-3)
assert losses[-1] < sharp_losses[-1] / 10

# %% [markdown]
# ## The picture
#
# Left: the error of the difference quotients, with the best steps as predicted (triangles). Middle: what two
# cotangents make of the planted bugs in $\bar x$; left of the dashed line a check sees nothing. Right: the fit, by an
# operation that did not exist when the lesson began.


# %%
def shown_in_x(bug, cotangent):
    return discrepancy(lambda t: bug.apply(t, b.detach()), x.detach().numpy(), cotangent)


wrong_in_x = (Scaled, MissingTerm, WrongSign, ForgetsGy, OneElement)
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(16, 4.5))
for (name, error), color in zip(curves.items(), ("tab:orange", "tab:blue", "tab:gray"), strict=True):
    left.loglog(steps, error, color=color, label=name)
    left.loglog(predicted[name], error[np.argmin(np.abs(steps - predicted[name]))], "v", color=color, markersize=9)
left.axvline(1e-6, color="black", linestyle=":", linewidth=1)
left.text(1.3e-6, 2e-4, "gradcheck", rotation=90, va="center")
left.set(
    title="Large steps truncate, small steps round",
    xlabel="step $h$",
    ylabel="error of the derivative",
    ylim=(1e-12, 3),
)
left.legend(loc="lower left", fontsize=9)
rows = np.arange(len(wrong_in_x))
random_v = np.random.default_rng(2).normal(size=x.shape)
for label, cotangent, style in (("ones", np.ones(x.shape), "o"), ("random", random_v, "D")):
    differences = [shown_in_x(bug, cotangent) for bug in wrong_in_x]
    middle.plot(
        differences,
        rows,
        style,
        color="tab:gray" if label == "ones" else "tab:blue",
        markersize=9,
        label=f"cotangent: {label}",
    )
middle.axvline(1e-6, color="black", linestyle="--", linewidth=1)
middle.set(
    title="What each cotangent sees of a wrong gradient", xlabel="|analytic − numeric|", xscale="log", xlim=(1e-12, 10)
)
middle.set_yticks(rows, [bug.__name__ for bug in wrong_in_x])
middle.set_ylim(len(rows) - 0.3, -0.7)
middle.grid(axis="y", color="lightgray")
middle.legend(loc="lower left", fontsize=9)
right.plot(grid.numpy(), target.numpy(), color="lightgray", linewidth=7, label="target, $b = 0.25$")
right.plot(grid.numpy(), rounded, color="tab:blue", label=f"squareplus, learned $b = {found['c'] ** 2:.4f}$")
right.plot(grid.numpy(), sharp, color="tab:red", linestyle="--", label="ReLU")
right.set(title="Two neurons with our own operation", xlabel="$x$", ylabel="$y$")
right.legend(loc="lower center", fontsize=9)
figure.tight_layout()
save_picture(figure, "03_gradient_checking")

# %% [markdown]
# ## Summary
#
# - A wrong gradient often trains. Check the gradient, not the run.
# - Central differences in float64 with $h$ near $\sqrt[3]{\varepsilon}$ are right to about ten digits; float32 is not
#   enough.
# - A check compares $J^\top v$ with differences of $\langle v, f(x) \rangle$, for *random* $v$; ones are blind where
#   outputs sum to a constant.
# - Stay away from kinks. Check first and second derivatives, and both forms of a fused operation against each other.
# - A check that has never caught a planted bug has shown nothing.
#
# ## Exercises
#
# 1. Derive the best step of the central difference from its two errors, and compute it for $f(x) = e^x \sin x$ at
#    $x = 1$. How far is it from the measured one?
# 2. Write an operation with three inputs, $\operatorname{lerp}(a, b, t) = a + t (b - a)$, all of one shape, and prove
#    it. Plant three bugs of your own.
# 3. Compute `squareplus` in float32 at $x = -10^4$, $b = 4$, and compare with float64. Multiply by
#    $\sqrt{x^2 + b} - x$ above and below to find a form that is accurate for negative $x$. Why did no check complain?
# 4. Give `Squareplus` one $b$ for each channel: $x$ of shape $(N, C)$, $b$ of shape $(C)$. What becomes of the sum?
# 5. How many elements must a tensor have before `mode="directional"`, with a relative tolerance of $10^{-5}$, is
#    likely to overlook an error of 1% in one of them? (Take all elements of the gradient to be about 1 in size. How
#    large is $\langle J^\top v, u \rangle$, a sum of $n$ random terms, typically?)

# %%
finish(
    f"error of differences: forward h^{order_forward:.2f}, central h^{order_central:.2f}; best step {best['central, float64'][0]:.1e} (error {best['central, float64'][1]:.0e})",
    f"softmax with a zero backward: {with_ones:.0e} with a cotangent of ones, {with_random:.2f} with a random one",
    f"squareplus: gradcheck and gradgradcheck pass; {len(bugs)} of {len(bugs)} planted bugs caught, by a cotangent of ones {sum(ones for ones, _, _ in seen.values())}",
    f"fused against composite: {fused_error:.0e}; training finds b = {found['c'] ** 2:.4f} (truth 0.25)",
)
