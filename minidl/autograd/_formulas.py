"""What each operation computes and what its backward returns, in a line each, for :func:`minidl.autograd.explain`.

a, b, … are the inputs in their order (x, where there is one), y is the result, gy the gradient that arrives.
"""

from __future__ import annotations

from typing import Any

_FORMULAS = """
abs | |x| | gy · sign x
adaptive_avg_pool | mean of each window of x | gy / window, spread over it
adaptive_avg_pool_input_grad | x / window, spread over it | mean of each window of gy
adaptive_max_pool | max of each window of x | gy, to where the maximum was
add | a + b | gy | gy
alias | x | gy
avg_pool | mean of each window of x | gy / window, spread over it
avg_pool_input_grad | x / window, spread over it | mean of each window of gy
backward_hook | x | what the hooks return for gy
batch_norm | â · b + c, â = (a − mean) / σ | b/σ · (gy − mean gy − â · mean(gy · â)) | Σ gy · â | Σ gy
batch_norm_eval | â · b + c, â = (a − mean) / σ | gy · b / σ | Σ gy · â | Σ gy
binary_cross_entropy | −b log a − (1 − b) log(1 − a) | gy · (a − b) / (a (1 − a)) | gy · log((1 − a) / a)
binary_cross_entropy_with_logits | log(1 + eᵃ) − b · a | gy · (σ(a) − b) | −gy · a
cast | x as another dtype | gy as the dtype of x
cat | the inputs, one after the other | each its slice of gy
ceil | ⌈x⌉ | 0
channel_sum | Σ x over all but the channels | gy, repeated
clamp | x, limited to [low, high] | gy where x is within, else 0
clone | x | gy
contiguous | x | gy
conv | b ⋆ a + c | b flipped ∗ gy | a ⋆ gy | Σ gy
conv_input_grad | the input's gradient of a convolution | the convolution of gy | the weight's gradient
conv_transpose | the adjoint of b ⋆, on a, + c | b ⋆ gy | gy ⋆ a | Σ gy
conv_weight_grad | the weight's gradient of a convolution | adjoint | adjoint
cos | cos x | −gy · sin x
cumsum | running sums of x | running sums of gy, from the end
div | a / b | gy / b | −gy · a / b²
dropout | x · mask / (1 − p) | gy · mask / (1 − p)
einsum | the sum of products that the subscripts say | the same with gy in the place of that input
elu | x > 0: x, else α (eˣ − 1) | gy · (x > 0: 1, else α eˣ)
embed | zeros, with x in a slice | the slice of gy
embedding | rows of the table | gy, added up for each row
erf | erf x | gy · 2/√π · e^(−x²)
exp | eˣ | gy · y
expand | x, repeated to the shape | Σ gy over the copies
expm1 | eˣ − 1 | gy · (y + 1)
extreme | the largest or smallest of x | gy, shared by the equal ones
extreme_along | the largest or smallest of x and its index | gy, to that index
flip | x, reversed | gy, reversed
floor | ⌊x⌋ | 0
floor_divide | ⌊a / b⌋ | 0 | 0
fold | Σ of the columns x over each pixel | the columns of gy
gather | x at the indices | gy, added up at the indices
gather_dot | Σ over channels of a · b at the indices | gy · b at the indices | gy · a, added up
gelu | x · Φ(x) | gy · (Φ(x) + x φ(x))
getitem | x[index] | zeros, with gy added at [index]
grid_coordinates | positions in pixels | gy · pixels
group_norm | â · b + c, â = (a − mean) / σ, by group | b/σ · (gy − mean gy − â · mean(gy · â)) | Σ gy · â | Σ gy
hardtanh | x, limited to [low, high] | gy where x is strictly within, else 0
index_put_add | zeros, with x added at [index] | gy[index]
instance_norm | â · b + c, â = (a − mean) / σ, by channel | b/σ · (gy − mean gy − â · mean(gy · â)) | Σ gy · â | Σ gy
interpolate | A x, A the weights of the resampling | Aᵀ gy
interpolate_adjoint | Aᵀ x | A gy
layer_norm | â · b + c, â = (a − mean) / σ, by sample | b/σ · (gy − mean gy − â · mean(gy · â)) | Σ gy · â | Σ gy
leaky_relu | x > 0: x, else slope · x | gy · (x > 0: 1, else slope)
linear | a bᵀ + c | gy b | gyᵀ a | Σ gy over the rows
local_response_norm | x / (k + α/n Σ x²)^β | gy · (k + α/n Σ x²)^−β − 2αβ/n · x · Σ gy · y / (k + α/n Σ x²)
log | log x | gy / x
log1p | log(1 + x) | gy / (1 + x)
log_softmax | x − log Σ eˣ | gy − softmax(x) · Σ gy
logsigmoid | log σ(x) | gy · σ(−x)
logsumexp | log Σ eˣ | gy · softmax(x)
masked_fill | value where the mask b holds, else a | gy where b does not hold, else 0 | none
mat_mul | a b | gy bᵀ | aᵀ gy
max_pool | max of each window of x | gy, to where the maximum was
max_unpool | zeros, with x at the indices | gy at the indices
maximum | max(a, b) | gy where a is larger | gy where b is larger
mean | mean of x | gy / n, repeated
minimum | min(a, b) | gy where a is smaller | gy where b is smaller
mish | x · tanh(log(1 + eˣ)) | gy · (g + x (1 − g²) σ(x)), g = tanh(log(1 + eˣ))
mul | a · b | gy · b | gy · a
narrow | a slice of x | zeros, with gy in the slice
neg | −x | −gy
pad | x, with a margin | gy, the margin folded back
pad_adjoint | x, the margin folded back | gy, with a margin
permute | x, its dimensions in another order | gy, in the old order
pixel_shuffle | channels of x, as pixels | gy, as channels
pixel_unshuffle | pixels of x, as channels | gy, as pixels
plane_gather | x at the indices | gy, added up at the indices
plane_scatter | zeros, with x added at the indices | gy at the indices
pow | aᵇ | gy · b aᵇ⁻¹ | gy · aᵇ log a
prod | Π x | gy · y / x
relu | max(x, 0) | gy where x > 0, else 0
remainder | a − b ⌊a/b⌋ | gy | −gy · ⌊a/b⌋
reshape | x, in another shape | gy, in the old shape
roll | x, shifted | gy, shifted back
round | x, rounded | 0
rsqrt | 1 / √x | −gy · y³ / 2
scatter_add | zeros, with x added at the indices | gy at the indices
sigmoid | 1 / (1 + e⁻ˣ) | gy · y (1 − y)
sign | sign x | 0
silu | x · σ(x) | gy · (σ(x) + x σ(x) (1 − σ(x)))
sin | sin x | gy · cos x
softmax | eˣ / Σ eˣ | y · (gy − Σ gy · y)
softmax_cross_entropy | −log softmax(x) at the label | gy · (softmax(x) − onehot(label)) · weight
softplus | log(1 + eˣ) | gy · σ(x)
sqrt | √x | gy / (2y)
std | √var x | gy · (x − mean x) / ((n − correction) y)
sub | a − b | gy | −gy
sum | Σ x | gy, repeated
sum_to | Σ x over the copies | gy, repeated
tanh | tanh x | gy · (1 − y²)
to_device | x, on another device | gy, back
trunc | x, rounded towards 0 | 0
unfold | the windows of x as columns | Σ of the columns gy over each pixel
var | Σ (x − mean x)² / (n − correction) | gy · 2 (x − mean x) / (n − correction)
weighted_gather | Σ a · b at the indices | Σ over channels of gy · b | gy · a, added up
weighted_scatter | a · b, added up at the indices | Σ over channels of b · gy | Σ gy · a
where | b where a holds, else c | none | gy where a holds, else 0 | gy where a does not hold, else 0
"""

_TABLE = {line.split(" | ")[0]: line.split(" | ")[1:] for line in _FORMULAS.strip().splitlines()}
_PLUMBING = "saved edges needs_input_grad input_shapes input_dtypes input_arrays output_arrays retained name".split()


def formula(node: Any) -> str:
    """What the node computes: from the table, or for a Function of one's own from its docstring."""
    row = _row(node)
    if row:
        return row[0].removesuffix(" + c") if len(node.edges) == 2 else row[0]  # without bias
    lines = [line.strip() for line in (type(node).__doc__ or "").splitlines()]
    stated = next((line for line in lines if line.startswith("Math:")), None)
    if stated:
        return stated.removeprefix("Math:").strip().removeprefix("y = ")
    return lines[0] if lines and lines[0] else f"{node.name}({', '.join(letters(len(node.edges)))})"


def gradient_formula(node: Any, i: int) -> str:
    """What its backward returns for input i; "" where the table has nothing."""
    parts = _row(node)[1:]
    return parts[i] if i < len(parts) else parts[-1] if len(parts) == 1 else ""


def _row(node: Any) -> list[str]:
    """The line of the table; convolutions have names of their own for each number of dimensions."""
    if not type(node).__module__.startswith("minidl."):
        return []
    row = _TABLE.get(node.name) or _TABLE.get(type(node).name) or []
    if node.name == "pow" and len(node.edges) == 1:
        power = "x" if node.exponent == 2 else f"x^{node.exponent - 1:g}"
        return [f"x^{node.exponent:g}", f"gy · {node.exponent:g} {power}"]
    if row and len(node.edges) == 1 and " · b + c" in row[0]:  # a norm without weight and bias
        return [row[0].replace(" · b + c", "").replace("(a −", "(x −"), row[1].replace("b/σ", "1/σ")]
    return row


def letters(count: int) -> list[str]:
    """The names of so many inputs in the formulas."""
    return ["x"] if count == 1 else [chr(ord("a") + i) if i < 26 else f"x{i}" for i in range(count)]


def settings(node: Any) -> str:
    """Its settings that are plain values, as "stride=(2, 2), padding=(1, 1)"."""
    plain = {
        name: value
        for name, value in vars(node).items()
        if not name.startswith("_") and name not in _PLUMBING and _is_plain(value)
    }
    return ", ".join(f"{name}={value!r}" for name, value in plain.items())


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return len(value) <= 8 and all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
