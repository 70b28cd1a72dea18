"""Products of vectors, matrices and stacks of matrices."""

from __future__ import annotations

import math
import string
from typing import Any

from .. import kernels
from ..autograd import Function, Tensor, check_tensor, is_grad_enabled
from ..backend import array_module
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ._shared import operands
from .broadcast import broadcast_shapes, expand, sum_to
from .indexing import GetItem
from .shape import Permute, Reshape, transpose


class MatMul(Function):
    """Stacks of matrices, with broadcasting over the stack."""

    saves_inputs = (0, 1)
    saves_outputs = ()

    def forward(self, a: Any, b: Any) -> Any:
        return kernels.of(a).matmul(a, b)

    def backward(self, gy: Tensor) -> tuple[Tensor | None, ...]:
        needs = self.needs_input_grad
        if is_grad_enabled():
            a, b = self.inputs
            ga = MatMul()(gy, transpose(b, -2, -1)) if needs[0] else None
            gb = MatMul()(transpose(a, -2, -1), gy) if needs[1] else None
        else:  # the same without a graph
            left, right = self.input_arrays
            product = kernels.of(left).matmul
            ga = Tensor(product(gy.data, right.swapaxes(-2, -1))) if needs[0] else None
            gb = Tensor(product(left.swapaxes(-2, -1), gy.data)) if needs[1] else None
        gradients = zip((ga, gb), self.input_shapes, strict=True)
        return tuple([None if g is None else sum_to(g, shape) for g, shape in gradients])


class Einsum(Function):
    """Sums of products by subscripts. Each letter stands at most once in an operand."""

    saves_outputs = ()

    def __init__(self, *, terms: tuple[str, ...], output: str):
        self.terms, self.output_term = terms, output

    def forward(self, *arrays: Any) -> Any:
        equation = f"{','.join(self.terms)}->{self.output_term}"
        return array_module(arrays[0]).einsum(equation, *arrays, optimize=len(arrays) > 1)

    def backward(self, gy: Tensor) -> tuple[Tensor | None, ...]:
        inputs = self.inputs
        return tuple([self._gradient(i, gy, inputs) if need else None for i, need in enumerate(self.needs_input_grad)])

    def _gradient(self, i: int, gy: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        """gy and the other operands, summed to the letters of operand i; letters that only it has are repeated."""
        others = [j for j in range(len(inputs)) if j != i]
        terms = (self.output_term, *(self.terms[j] for j in others))
        letters = [letter for letter in self.terms[i] if any(letter in term for term in terms)]
        gx = Einsum(terms=terms, output="".join(letters))(gy, *(inputs[j] for j in others))
        lengths = iter(gx.shape)
        spread = tuple(next(lengths) if letter in letters else 1 for letter in self.terms[i])
        own = self.input_shapes[i]
        wide = tuple(m if n == 1 else n for n, m in zip(spread, own, strict=True))
        return sum_to(expand(Reshape(shape=spread)(gx), wide), own)


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """The matrix product a @ b.

    Math:      y[…, i, j] = Σ_k a[…, i, k] · b[…, k, j]
    Backward:  ga = gy bᵀ, gb = aᵀ gy, each summed over the stack where it was broadcast
    Args:      a, b: vectors, matrices, or stacks of matrices; a vector is a row on the left and a column on the right
    Returns:   without the dimension that a vector was lent
    Raises:    ShapeError: "matmul: a has 3 columns but b has 4 rows (a (2, 3), b (4, 5))"
    """
    a, b = operands(a, b, "matmul")
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(f"matmul: needs at least 1 dimension in each operand (a {a.shape}, b {b.shape}); use a * b")
    inner = b.shape[0] if b.ndim == 1 else b.shape[-2]
    if a.shape[-1] != inner:
        raise ShapeError(f"matmul: a has {a.shape[-1]} columns but b has {inner} rows (a {a.shape}, b {b.shape})")
    if a.ndim == b.ndim == 2:
        return MatMul()(a, b)
    left = Reshape(shape=(1, *a.shape))(a) if a.ndim == 1 else a
    right = Reshape(shape=(*b.shape, 1))(b) if b.ndim == 1 else b
    stack = broadcast_shapes("matmul", left.shape[:-2], right.shape[:-2])
    if right.ndim == 2 and left.ndim > 2:  # one large product instead of a stack of small ones
        left = Reshape(shape=(math.prod(left.shape[:-1]), inner))(left)
    y = MatMul()(left, right)
    shape = stack + a.shape[-2:-1] * (a.ndim > 1) + right.shape[-1:] * (b.ndim > 1)
    return y if y.shape == shape else Reshape(shape=shape)(y)


def _check_rank(op: str, rank: int, **tensors: Any) -> None:
    for name, x in tensors.items():
        if check_tensor(x, op, name).ndim != rank:
            raise ShapeError(
                f"{op}: {name} must have {rank} dimension{'s' * (rank > 1)}, got shape {x.shape}; see matmul"
            )


def mm(a: Tensor, b: Tensor) -> Tensor:
    """The product of two matrices; see :func:`matmul`."""
    _check_rank("mm", 2, a=a, b=b)
    return matmul(a, b)


def bmm(a: Tensor, b: Tensor) -> Tensor:
    """The products of two stacks (N, I, K) and (N, K, J) of as many matrices; see :func:`matmul`."""
    _check_rank("bmm", 3, a=a, b=b)
    if a.shape[0] != b.shape[0]:
        raise ShapeError(f"bmm: {a.shape[0]} matrices in a but {b.shape[0]} in b (a {a.shape}, b {b.shape})")
    return matmul(a, b)


def mv(a: Tensor, b: Tensor) -> Tensor:
    """The product of a matrix and a vector; see :func:`matmul`."""
    _check_rank("mv", 2, a=a)
    _check_rank("mv", 1, b=b)
    return matmul(a, b)


def addmm(x: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · x + alpha · (a @ b) of two matrices; x is broadcast to the shape of their product."""
    product = mm(a, b)
    if broadcast_shapes("addmm", check_tensor(x, "addmm", "x").shape, product.shape) != product.shape:
        raise ShapeError(f"addmm: x of shape {x.shape} does not fit into the product's shape {product.shape}")
    return (x if beta == 1 else x * beta) + (product if alpha == 1 else product * alpha)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Σᵢ aᵢ bᵢ of two vectors."""
    _check_rank("dot", 1, a=a, b=b)
    return matmul(a, b)


def outer(a: Tensor, b: Tensor) -> Tensor:
    """aᵢ · bⱼ of two vectors, a matrix."""
    _check_rank("outer", 1, a=a, b=b)
    return Reshape(shape=(a.shape[0], 1))(a) * b


def einsum(equation: str, *tensors: Tensor) -> Tensor:
    """Sums of products in Einstein's notation: ``einsum("bij,bjk->bik", a, b)``.

    Math:      letters that the output lacks are summed over; a letter twice in one operand is its diagonal; without
               "->" the output has the letters that stand once, in alphabetical order; "..." stands for the leading
               dimensions
    Backward:  for each operand the einsum of gy with the other operands
    Raises:    ArgumentError: an equation that does not fit the operands. ShapeError: one letter with two lengths
    """
    if len(tensors) == 1 and isinstance(tensors[0], list | tuple):
        tensors = tuple(tensors[0])
    if not isinstance(equation, str):
        raise ArgumentTypeError(f"einsum: the equation must be a string, got {type(equation).__name__}")
    terms, output = _parse(equation, tensors)
    floats = [x for x in tensors if x.is_floating_point()]
    if floats:  # integers take the dtype of the floating-point operands
        tensors = tuple([operands(x, floats[0], "einsum")[0] for x in tensors])
    inputs, plain = [], []
    for term, x in zip(terms, tensors, strict=True):
        term, x = _take_diagonals(term, x)
        inputs.append(x)
        plain.append(term)
    lengths: dict[str, int] = {}
    for term, x in zip(plain, inputs, strict=True):
        for letter, length in zip(term, x.shape, strict=True):
            if lengths.setdefault(letter, length) not in (1, length) and length != 1:
                raise ShapeError(f"einsum: {letter!r} of {equation!r} has lengths {lengths[letter]} and {length}")
            lengths[letter] = max(lengths[letter], length)
    return Einsum(terms=tuple(plain), output=output)(*inputs)


def _parse(equation: str, tensors: tuple[Any, ...]) -> tuple[list[str], str]:
    """The letters of each operand and of the output, with "..." spelled out."""
    left, arrow, output = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(tensors):
        raise ArgumentError(f"einsum: {equation!r} has {len(terms)} operands but {len(tensors)} tensors were given")
    spare = [letter for letter in string.ascii_letters if letter not in equation]
    spelled, widest = [], ""
    for i, (term, x) in enumerate(zip(terms, tensors, strict=True)):
        x = check_tensor(x, "einsum", f"operand {i}")
        named = term.replace("...", "", 1)
        extra = x.ndim - len(named)
        if (named and not (named.isascii() and named.isalpha())) or extra < 0 or (extra > 0 and "..." not in term):
            raise ArgumentError(f"einsum: {term!r} of {equation!r} does not fit operand {i} of shape {x.shape}")
        dots = "".join(spare[len(spare) - extra :])
        widest = max(widest, dots, key=len)
        spelled.append(term.replace("...", dots))
    if not arrow:
        joined = "".join(spelled)
        output = "..." * bool(widest) + "".join(
            sorted(letter for letter in set(joined) - set(widest) if joined.count(letter) == 1)
        )
    output = output.replace("...", widest)
    unknown = [letter for letter in output if not any(letter in term for term in spelled)]
    if unknown or len(set(output)) != len(output):
        raise ArgumentError(f"einsum: the output of {equation!r} must name letters of the operands, each once")
    return spelled, output


def _take_diagonals(term: str, x: Tensor) -> tuple[str, Tensor]:
    """Replace each letter that stands twice in an operand by the diagonal of its two dimensions."""
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            i = term.index(letter)
            j = term.index(letter, i + 1)
            if x.shape[i] != x.shape[j]:
                raise ShapeError(
                    f"einsum: {letter!r} has lengths {x.shape[i]} and {x.shape[j]} in one operand {x.shape}"
                )
            rest = [d for d in range(x.ndim) if d not in (i, j)]
            places = array_module(x.data).arange(x.shape[i])
            x = GetItem(index=(places, places))(Permute(dims=(i, j, *rest))(x))
            term = letter + "".join(term[d] for d in rest)
    return term, x
