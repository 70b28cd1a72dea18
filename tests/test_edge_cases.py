"""Every operation of the table at the edges of arithmetic: forward and backward against PyTorch's of the same name.

The inputs of each row are changed in one way: numbers that are NaN, infinite, huge, tiny, zero or equal; one sample, or
none. Operations on single elements agree strictly. Sums of several terms may meet ∞ − ∞, or overflow, in another order
than in PyTorch, so of them it is asked that nothing looks sound that is broken in PyTorch. The other way round NaN
and ∞ may reach further, as where a product with a zero is not left out (0 · ∞ is NaN).

Whatever else differs is in DIFFERENCES, with the reason; an entry that is no longer needed fails.
"""

import fnmatch
import importlib

import numpy as np
import pytest

from minidl.autograd import Tensor
from minidl.errors import MinidlError
from tests.op_cases import ALL_CASES
from tests.test_operations import as_tuple, differentiated, draw, gradients, tensors

torch = pytest.importorskip("torch")

ELEMENTWISE = {
    case.name
    for family in ("activation", "arithmetic")
    for case in importlib.import_module(f"tests.op_cases.{family}").CASES
    if case.name != "gelu"  # near −4 in float32, PyTorch's own is off by 3e-3 of the value
}
CASES = [case for case in ALL_CASES if case.torch is not None]
MOVES = {  # numbers from place to place, whatever they are: for these NaN is enough
    case.name
    for family in ("diagonals", "layout", "pad", "shape")
    for case in importlib.import_module(f"tests.op_cases.{family}").CASES
}

TINIEST = float(np.finfo(np.float32).smallest_subnormal)

# rows (a pattern) → (kinds of change, why)
DIFFERENCES = {
    "abs": ("nan", "the sign of NaN is NaN, in PyTorch 0"),
    "sign": ("nan", "the sign of NaN is NaN, in PyTorch 0"),
    "?elu*": ("nan", "the gradient at NaN is NaN, in PyTorch that of one of the branches"),
    "elu*": ("nan", "as celu"),
    "hardswish": ("nan overflow", "as celu; and x is representable, where PyTorch computes 6x / 6"),
    "relu6": ("nan", "clamp gives gy at NaN, as in PyTorch, whose relu6 gives 0"),
    "hardtanh*": ("nan", "as relu6"),
    "hardsigmoid": ("nan", "as relu6"),
    "log10": ("overflow", "a subnormal gradient, which PyTorch takes for 0"),
    "pow-0.5": ("-inf zeros", "0.5 · x^−0.5 by C's pow, in PyTorch by a root, which differ at −0 and −∞"),
    "clamp-tensor-bounds": (
        "nan inf overflow tiny zeros",
        "x gets the gradient of its NaN, `min` that of equal bounds",
    ),
    "am??-*": ("nan", "a NaN is the extreme, and gets the gradient"),
    "topk": ("ties", "which of equal elements comes first is not promised"),
    "cumprod*": (
        "nan inf -inf overflow tiny",
        "products, where PyTorch divides by x: NaN for ∞ / ∞, 0 for an underflow",
    ),
    "logsumexp-*": ("-inf", "the gradient of log Σ exp(−∞) is 0, in PyTorch NaN"),
    "std-*": ("overflow tiny denormal", "the variance must be representable, which PyTorch adds up in float64"),
    "*_norm-*": ("overflow", "if the variance overflows 1/σ is 0, and not NaN"),
    "local_response_norm-3d": ("inf -inf overflow", "a channel outside of a window has no part in it, be it infinite"),
    "kl_div*": ("zeros ties", "t · log t has the gradient 0 at t = 0, in PyTorch NaN"),
    "binary_cross_entropy-*": (
        "zeros ties",
        "logarithms end at −100 in the target's gradient too, not only in y",
    ),
    "multi_margin_loss-*": ("nan inf -inf", "which margins a NaN violates; the loss is NaN in both"),
    "generator_loss-*": ("inf -inf", "there is no such function in PyTorch, and a formula of several is ∞ − ∞"),
    "sigmoid_focal_loss-*": ("huge", "as generator_loss"),
    "softmax_focal_loss-ignore-weight": ("overflow", "as generator_loss"),
    "div-leading": ("denormal", "−y / b, in PyTorch −a / b / b"),
}


def some(*values):
    """Put these numbers into about a third of the places."""

    def change(x, rng):
        if not x.size:
            return x
        x = x.copy()
        places = rng.random(x.shape) < 0.3
        places.reshape(-1)[rng.integers(x.size)] = True
        x[places] = rng.choice(np.array(values, x.dtype), places.sum())
        return x

    return change


CHANGES = {
    "nan": some(np.nan),
    "inf": some(np.inf),
    "-inf": some(-np.inf),
    "huge": some(1e15, -1e15, 1e12, 300, -300),
    "overflow": some(3e38, -3e38, 1e38, -1e38),
    "tiny": some(1e-38, -1e-38, 1e-40, -1e-40, TINIEST, -TINIEST, 1e-30, 1e-20),
    "denormal": lambda x, rng: (x * 1e-40).astype(x.dtype),
    "zeros": some(0.0, -0.0),
    "ties": lambda x, rng: np.rint(x),
}


def differs(ours, theirs, kind, strict):
    """The first place where two arrays differ by more than rounding, or ""."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape:
        return f"shape {ours.shape} and in PyTorch {theirs.shape}"
    if ours.dtype.kind != "f":
        same = ours == theirs
    else:
        a, b = ours.astype(np.float64), theirs.astype(np.float64)
        rtol = 1e-2 if kind == "denormal" else 1e-4  # those have few digits
        atol = 16 * TINIEST
        if not strict:
            atol += 2e-5 * max(np.abs(b[np.isfinite(b)]).max(initial=0), 0 if kind in ("tiny", "denormal") else 1)
        with np.errstate(invalid="ignore"):
            same = (
                ((np.abs(a - b) <= rtol * np.abs(b) + atol) & np.isfinite(b)) | (a == b) | (np.isnan(a) & np.isnan(b))
            )
        if not strict:
            same |= ~np.isfinite(a) | (~np.isfinite(b) & (np.abs(a) > 1e36))  # terms of 1e38 in another order
    if same.all():
        return ""
    at = tuple(int(i) for i in np.argwhere(~same)[0])
    return f"{at}: {ours[at]:.5g} and in PyTorch {theirs[at]:.5g} ({(~same).sum()} of {same.size})"


def refused(case, ours):
    try:
        case.fn(*ours)
    except MinidlError:
        return True
    return False


def compare(case, arrays, kind):
    """Where outputs and gradients differ from PyTorch's, in words; "" if nowhere."""
    strict = case.name in ELEMENTWISE
    wanted = differentiated(case, arrays)
    theirs = [torch.tensor(array, requires_grad=i in wanted) for i, array in enumerate(arrays)]
    ours = tensors(case, arrays)
    try:
        expected = as_tuple(case.torch(torch, *theirs))
    except (RuntimeError, ValueError, IndexError) as error:
        return "" if refused(case, ours) else f"PyTorch refuses it: {error}"
    outputs = as_tuple(case.fn(*ours))
    found = []
    for i, (y, their_y) in enumerate(zip(outputs, expected, strict=True)):
        y = y.data if isinstance(y, Tensor) else y
        their_y = their_y.detach().numpy() if torch.is_tensor(their_y) else their_y
        found.append((f"output {i}", differs(y, their_y, kind, strict)))
    rng = np.random.default_rng(5)
    roots = [y for y in expected if torch.is_tensor(y) and y.requires_grad]
    cotangents = [torch.from_numpy(np.asarray(rng.standard_normal(y.shape)).astype(np.float32)) for y in roots]
    if roots:
        reference = torch.autograd.grad(roots, [theirs[i] for i in wanted], cotangents, allow_unused=True)
        for i, gx, their_gx in zip(wanted, gradients(case, ours), reference, strict=True):
            if gx is not None and their_gx is not None:
                found.append((f"gradient {i}", differs(gx.data, their_gx.numpy(), kind, strict)))
    return "; ".join(f"{what} {where}" for what, where in found if where)


def reasons(case, kind):
    """The patterns of DIFFERENCES that this row falls under."""
    return [
        pattern
        for pattern, (kinds, _) in DIFFERENCES.items()
        if fnmatch.fnmatchcase(case.name, pattern) and kind in kinds.split()
    ]


def inputs_at_the_edge(case, kind):
    """The row's float32 inputs, changed; of grid_sample the image only: at a NaN PyTorch reads other memory."""
    rng = np.random.default_rng(1)
    left = 1 if case.name.startswith("grid_sample") else None
    return [
        np.asarray(CHANGES[kind](x, rng)) if x.dtype.kind == "f" and i != left else x
        for i, x in enumerate(draw(case, "float32"))
    ]


@pytest.mark.parametrize("kind", CHANGES)
def test_numbers_at_the_edges(kind):
    found, seen = {}, set()
    for case in CASES:
        if case.name in MOVES and kind != "nan":
            continue
        try:
            where = compare(case, inputs_at_the_edge(case, kind), kind)
        except Exception as error:
            where = f"{type(error).__name__}: {error}"
        if where and reasons(case, kind):
            seen.update(reasons(case, kind))
        elif where:
            found[case.name] = where
    assert found == {}
    listed = {pattern for pattern, (kinds, _) in DIFFERENCES.items() if kind in kinds.split()}
    assert listed == seen, "these differ no more, and can leave the list"


# rows (a pattern) → why they differ for a batch of none
EMPTY = {
    "affine_grid*": "no grids; PyTorch refuses",
    "instance_norm-?d": "nothing to normalise; PyTorch refuses",
    "pixel_*shuffle-2-?d": "an empty gradient; PyTorch's has another shape than its input, which its engine refuses",
    "multi_margin_loss-squared-weight-sum": "a sum of nothing is 0; PyTorch returns whatever is in its memory",
}


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.filterwarnings("ignore:.*degrees of freedom is <= 0")
def test_no_sample_and_one_sample(count):
    """What is left of the batch is the same as in PyTorch, be it a shape, the NaN of a mean of nothing, or an error."""
    found = {}
    for case in CASES:
        if case.batch_axis is None or (count == 0 and any(fnmatch.fnmatchcase(case.name, name) for name in EMPTY)):
            continue
        arrays = [
            x.take(range(count), axis=case.batch_axis) if i in case.batched else x
            for i, x in enumerate(draw(case, "float32"))
        ]
        try:
            where = compare(case, arrays, "few")
        except Exception as error:
            where = f"{type(error).__name__}: {error}"
        if where:
            found[case.name] = where
    assert found == {}
