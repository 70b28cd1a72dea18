"""Every operation of the table, through everything that an operation must do. The rows are in tests/op_cases."""

import numpy as np
import pytest

from minidl.autograd import Function, Tensor, grad, gradcheck, gradgradcheck
from minidl.backend import to_device, to_numpy
from minidl.errors import NotTwiceDifferentiable
from tests.op_cases import ALL_CASES
from tests.tolerances import BACKWARD, FORWARD, assert_close

cases = pytest.mark.parametrize("case", ALL_CASES, ids=lambda case: case.name)


def draw(case, dtype=np.float64):
    arrays = [np.asarray(array) for array in case.inputs(np.random.default_rng(0))]
    return [array.astype(dtype) if array.dtype.kind == "f" else array for array in arrays]


def differentiated(case, arrays):
    return [i for i, array in enumerate(arrays) if array.dtype.kind == "f" and (case.diff is None or i in case.diff)]


def tensors(case, arrays, device="cpu"):
    wanted = differentiated(case, arrays)
    return [Tensor(to_device(array, device), requires_grad=i in wanted) for i, array in enumerate(arrays)]


def as_tuple(result):
    return result if isinstance(result, tuple) else (result,)


def check_outputs(case, outputs, expected, kind=FORWARD):
    outputs, expected = as_tuple(outputs), as_tuple(expected)
    assert len(outputs) == len(expected)
    for y, reference in zip(outputs, expected, strict=True):
        y = y.data if isinstance(y, Tensor) else y
        assert_close(to_numpy(y), reference, kind | case.tolerances, err_msg=case.name)


def gradients(case, inputs, create_graph=False):
    """Gradients of a random projection of the outputs, by input; None where an output does not depend on it."""
    rng = np.random.default_rng(5)
    outputs = [y for y in as_tuple(case.fn(*inputs)) if y.requires_grad]
    cotangents = [Tensor(to_device(rng.standard_normal(y.shape).astype(y.dtype), y.device)) for y in outputs]
    wanted = [x for x in inputs if x.requires_grad]
    return grad(outputs, wanted, cotangents, create_graph=create_graph, allow_unused=True)


def is_differentiable(case):
    return bool(differentiated(case, draw(case)))


def test_names_are_unique():
    names = [case.name for case in ALL_CASES]
    assert len(names) == len(set(names)), sorted({name for name in names if names.count(name) > 1})


@cases
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_forward_agrees_with_the_reference(case, dtype, device):
    arrays = draw(case, dtype)
    drawn = {"device": device} if case.draws else {}
    expected = as_tuple(case.reference(*[a.astype(np.float64) if a.dtype.kind == "f" else a for a in arrays], **drawn))
    outputs = as_tuple(case.fn(*tensors(case, arrays, device)))
    check_outputs(case, outputs, expected)
    if any(array.dtype.kind == "f" for array in arrays):
        assert {str(y.dtype) for y in outputs if y.is_floating_point()} <= {dtype}


@cases
def test_layout_and_writability_do_not_matter_and_inputs_stay_as_they_are(case, device):
    arrays = draw(case)
    strided = []
    for array in arrays:
        padded = np.zeros(tuple(2 * n for n in array.shape), array.dtype)
        view = padded[(..., *(slice(0, 2 * n, 2) for n in array.shape))]
        view[...] = array
        view.flags.writeable = False
        strided.append(view)
    plain, other = tensors(case, arrays, device), tensors(case, strided, device)
    check_outputs(case, case.fn(*other), tuple(to_numpy(y.data) for y in as_tuple(case.fn(*plain))))
    if is_differentiable(case):
        for a, b in zip(gradients(case, other), gradients(case, plain), strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                assert_close(to_numpy(a.data), to_numpy(b.data), BACKWARD, err_msg=case.name)
    for array, view in zip(arrays, strided, strict=True):
        np.testing.assert_array_equal(array, view)


@cases
def test_gradient_agrees_with_finite_differences(case, device):
    if is_differentiable(case):
        assert gradcheck(case.fn, tensors(case, draw(case), device))


@cases
def test_second_gradient_agrees_with_finite_differences(case, device):
    if not is_differentiable(case):
        return
    inputs = tensors(case, draw(case), device)
    if case.second:
        assert gradgradcheck(case.fn, inputs)
    else:
        with pytest.raises(NotTwiceDifferentiable):
            gradgradcheck(case.fn, inputs)


@cases
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_hand_written_gradient_agrees_with_the_differentiable_one(case, dtype, device):
    """Under create_graph a fused operation differentiates its composite: the same numbers must come out."""
    if not (is_differentiable(case) and case.second):
        return
    arrays = draw(case, dtype)
    fused = gradients(case, tensors(case, arrays, device))
    composite = gradients(case, tensors(case, arrays, device), create_graph=True)
    for a, b in zip(fused, composite, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.dtype == dtype and b.dtype == dtype
            assert_close(to_numpy(a.data), to_numpy(b.data), BACKWARD | case.tolerances, err_msg=case.name)


@cases
def test_each_input_alone_gets_the_same_gradient(case, device):
    """Only the gradients that are needed are computed, and leaving some out does not change the others."""
    arrays = draw(case)
    wanted = differentiated(case, arrays)
    if len(wanted) < 2:
        return
    together = dict(zip(wanted, gradients(case, tensors(case, arrays, device)), strict=True))
    for i in wanted:
        inputs = [Tensor(to_device(array, device), requires_grad=j == i) for j, array in enumerate(arrays)]
        if not any(y.requires_grad for y in as_tuple(case.fn(*inputs))):
            assert together[i] is None
            continue
        (alone,) = gradients(case, inputs)
        assert (alone is None) == (together[i] is None)
        if alone is not None:
            assert_close(to_numpy(alone.data), to_numpy(together[i].data), BACKWARD, err_msg=case.name)


@cases
def test_empty_batch(case, device):
    if case.batch_axis is None:
        return
    arrays = [
        array.take([], axis=case.batch_axis) if i in case.batched else array for i, array in enumerate(draw(case))
    ]
    inputs = tensors(case, arrays, device)
    outputs = as_tuple(case.fn(*inputs))
    full = as_tuple(case.fn(*tensors(case, draw(case), device)))
    for y, like in zip(outputs, full, strict=True):
        assert y.numel() == 0 or y.shape == like.shape  # a reduction of nothing, or the shape without a batch
        assert y.dtype == like.dtype
    if any(y.requires_grad for y in outputs):
        for x, gx in zip([x for x in inputs if x.requires_grad], gradients(case, inputs), strict=True):
            assert gx is None or gx.shape == x.shape


@cases
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_torch_agrees(case, dtype):
    torch = pytest.importorskip("torch")
    if case.torch is None:
        return
    arrays = draw(case, dtype)
    wanted = differentiated(case, arrays)
    theirs = [torch.tensor(a, requires_grad=i in wanted) for i, a in enumerate(arrays)]
    ours = tensors(case, arrays)
    expected, outputs = as_tuple(case.torch(torch, *theirs)), as_tuple(case.fn(*ours))
    check_outputs(case, outputs, tuple(y.detach().numpy() for y in expected))
    if not wanted:
        return
    rng = np.random.default_rng(5)
    pairs = [
        (y, torch.from_numpy(np.asarray(rng.standard_normal(y.shape)).astype(dtype)))
        for y in expected
        if isinstance(y, torch.Tensor) and y.requires_grad
    ]
    if not pairs:
        return
    roots, cotangents = [y for y, _ in pairs], [v for _, v in pairs]
    reference = torch.autograd.grad(roots, [theirs[i] for i in wanted], cotangents, allow_unused=True)
    for ours_g, theirs_g in zip(gradients(case, ours), reference, strict=True):
        if theirs_g is not None and ours_g is not None:
            assert_close(to_numpy(ours_g.data), theirs_g.numpy(), BACKWARD | case.tolerances, err_msg=case.name)


def concrete_functions(base=Function):
    """The operations of minidl.functional; a leading underscore marks what only subclasses use."""
    for function in base.__subclasses__():
        if function.__module__.startswith("minidl.functional") and not function.__name__.startswith("_"):
            yield function
        yield from concrete_functions(function)


def test_every_operation_of_the_engine_has_a_row(monkeypatch):
    """The table must reach each Function, or a new one could go unchecked."""
    applied = set()
    call = Function.__call__

    def recorded(self, *inputs):
        applied.add(type(self))
        return call(self, *inputs)

    monkeypatch.setattr(Function, "__call__", recorded)
    for case in ALL_CASES:
        inputs = tensors(case, draw(case))
        if is_differentiable(case):
            gradients(case, inputs, create_graph=case.second)
        else:
            case.fn(*inputs)
    missing = {function for function in concrete_functions() if function not in applied}
    assert {function.__name__ for function in missing} <= {"ToDevice"}  # which needs two devices
