"""The mistakes that learners make, and what they are told.

Each names its error, the built-in exception that PyTorch raises for the same mistake, and what the message must say, in
this order: the offending values, the rule, the remedy, and inside a model the path of the layer.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import minidl as ml
import minidl.functional as F
from minidl import data, metrics, nn, optim, training
from minidl.errors import (
    ArgumentError,
    ArgumentTypeError,
    DeviceError,
    DtypeError,
    FileFormatError,
    GradientError,
    InPlaceError,
    MinidlError,
    MissingAttributeError,
    NameTakenError,
    OutOfRangeError,
    ShapeError,
    StateDictError,
)


class Mistake(NamedTuple):
    make: Callable[[], Any]
    error: type[MinidlError]
    builtin: type[Exception]
    parts: tuple[str, ...]


MISTAKES: list[Mistake] = []


def mistake(error: type[MinidlError], builtin: type[Exception], *parts: str) -> Callable[..., Any]:
    """Enter the decorated function, which makes a mistake, into the table."""

    def enter(make):
        MISTAKES.append(Mistake(make, error, builtin, parts))
        return make

    return enter


def within(layer):
    """`layer` as "features.3.conv" of a model."""
    block = nn.Module()
    block.conv = layer
    block.forward = lambda x: block.conv(x)
    model = nn.Module()
    model.features = nn.Sequential(nn.Identity(), nn.Identity(), nn.Identity(), block)
    model.forward = lambda x: model.features(x)
    return model


PATH = "[in layer features.3.conv]"
NOT_ARRAYS = "must be a Tensor, got"

# Shapes ---------------------------------------------------------------------------------------------------------------


@mistake(
    ShapeError,
    RuntimeError,
    "conv2d: x has 1 channels but weight expects 3 (x (2, 1, 8, 8), weight (4, 3, 3, 3))",
    "weight.shape[1] · groups = 3 · 1",
    "change one of them",
    PATH,
)
def wrong_channels():
    within(nn.Conv2d(3, 4, 3))(ml.ones(2, 1, 8, 8))


@mistake(ShapeError, RuntimeError, "x has 8 channels but weight expects 3", PATH)
def channels_last():
    within(nn.Conv2d(3, 4, 3))(ml.ones(2, 8, 8, 3))


@mistake(ShapeError, RuntimeError, "conv_transpose2d: x has 1 channels but weight expects 3", "(in_channels, ", PATH)
def wrong_channels_transposed():
    within(nn.ConvTranspose2d(3, 4, 3))(ml.ones(2, 1, 8, 8))


@mistake(ShapeError, RuntimeError, "x has 5 channels but num_features is 3", "make it BatchNorm2d(5)", PATH)
def wrong_channels_in_batch_norm():
    within(nn.BatchNorm2d(3))(ml.ones(2, 5, 4, 4))


@mistake(ShapeError, RuntimeError, "weight has shape (4,) but x (2, 6, 3) needs (6,)", PATH)
def wrong_channels_in_group_norm():
    within(nn.GroupNorm(2, 4))(ml.ones(2, 6, 3))


@mistake(ShapeError, RuntimeError, "must have the shape (N, C, H, W) or (C, H, W), got (8, 8)", "unsqueeze it", PATH)
def wrong_rank():
    within(nn.Conv2d(1, 4, 3))(ml.ones(8, 8))


@mistake(ShapeError, ValueError, "BatchNorm2d: expected 4D input, got 2D input (x (8, 3))", PATH)
def wrong_rank_in_batch_norm():
    within(nn.BatchNorm2d(3))(ml.ones(8, 3))


@mistake(ShapeError, RuntimeError, "max_pool2d: x must have the shape (N, C, H, W)", "got (2, 2)", PATH)
def wrong_rank_in_pooling():
    within(nn.MaxPool2d(2))(ml.ones(2, 2))


@mistake(
    ShapeError,
    RuntimeError,
    "the kernel spans 5 elements but the padded input has only 4",
    "padding (1, 1)",
    "size + 2·padding must be at least dilation·(kernel − 1) + 1",
    "smaller kernel",
    PATH,
)
def kernel_larger_than_the_padded_input():
    within(nn.Conv2d(3, 4, 5, padding=1))(ml.ones(2, 3, 2, 8))


@mistake(ShapeError, RuntimeError, "a window spans 4 elements", "padded input has only 2", "output size", PATH)
def window_larger_than_the_input():
    within(nn.MaxPool2d(4))(ml.ones(2, 3, 2, 8))


@mistake(
    ShapeError,
    RuntimeError,
    "linear: x has 12 features but weight (2, 10) expects 10 (x (5, 12))",
    "the last dimension of x holds the features",
    PATH,
)
def wrong_flatten_size():
    within(nn.Linear(10, 2))(ml.ones(5, 12))


@mistake(ShapeError, RuntimeError, "x has 2 features but weight (2, 12) expects 12", "flatten it", PATH)
def forgotten_flatten():
    within(nn.Linear(12, 2))(ml.ones(5, 3, 2, 2))


@mistake(ShapeError, RuntimeError, "layer_norm: normalized_shape (3,)", "got x (2, 4)", PATH)
def wrong_normalized_shape():
    within(nn.LayerNorm(3))(ml.ones(2, 4))


@mistake(ShapeError, ValueError, "more than 1 value per channel", "x (1, 3)", "variance is 0", "larger batch", PATH)
def batch_norm_on_one_value_per_channel():
    within(nn.BatchNorm1d(3))(ml.ones(1, 3))


@mistake(ShapeError, ValueError, "more than 1 spatial element", "x (2, 3, 1, 1)", "variance is 0", "larger image", PATH)
def instance_norm_on_one_value_per_channel():
    within(nn.InstanceNorm2d(3))(ml.ones(2, 3, 1, 1))


@mistake(ShapeError, RuntimeError, "add: shapes (2, 3) and (2,)", "aligned at the right, lengths must be equal or 1")
def shapes_that_do_not_broadcast():
    ml.ones(2, 3) + ml.ones(2)


@mistake(ShapeError, RuntimeError, "matmul: a has 3 columns but b has 2 rows (a (2, 3), b (2, 3))")
def forgotten_transpose():
    ml.ones(2, 3) @ ml.ones(2, 3)


@mistake(ShapeError, RuntimeError, "shape (4, 2) does not fit 6 elements (tensor of shape (2, 3))")
def view_of_another_size():
    ml.ones(2, 3).view(4, 2)


@mistake(OutOfRangeError, IndexError, "dim 2 is out of range for a tensor of 2 dimensions; expected -2 to 1")
def dim_out_of_range():
    ml.ones(2, 3).sum(2)


# Labels and losses ----------------------------------------------------------------------------------------------------


@mistake(
    ShapeError,
    ValueError,
    "cross_entropy: target has shape (2,) but input of shape (4, 3)",
    "class indices of shape (4,)",
    "give each sample one label",
)
def logits_and_labels_of_different_batches():
    nn.CrossEntropyLoss()(ml.ones(4, 3), ml.tensor([0, 1]))


@mistake(OutOfRangeError, IndexError, "holds the label 3 but there are 3 classes (input (4, 3))", "must be 0 to 2")
def labels_that_count_from_one():
    nn.CrossEntropyLoss()(ml.ones(4, 3), ml.tensor([1, 2, 3, 1]))


@mistake(OutOfRangeError, IndexError, "holds the label -1 but there are 3 classes", "must be 0 to 2")
def negative_label():
    F.nll_loss(ml.ones(4, 3), ml.tensor([0, 1, -1, 1]))


@mistake(DtypeError, RuntimeError, "class indices as integers, got float32", ".to(minidl.int64)")
def float_labels():
    nn.CrossEntropyLoss()(ml.ones(4, 3), ml.tensor([0.0, 1.0, 2.0, 0.0]))


@mistake(ShapeError, RuntimeError, "target has shape (4, 1)", "of shape (4,)", "use target.reshape((4,))")
def labels_of_a_column():
    nn.CrossEntropyLoss()(ml.ones(4, 3), ml.zeros(4, 1, dtype=ml.int64))


@mistake(ShapeError, RuntimeError, "target has shape (4, 3)", "one-hot", "target.argmax(1)")
def one_hot_labels_of_integers():
    nn.CrossEntropyLoss()(ml.ones(4, 3), ml.zeros(4, 3, dtype=ml.int64))


@mistake(ShapeError, RuntimeError, "input has shape (4, 3) but target has shape (4, 2)", "must be equal")
def probabilities_of_another_number_of_classes():
    nn.CrossEntropyLoss()(ml.ones(4, 3), ml.ones(4, 2))


@mistake(ShapeError, RuntimeError, "weight has shape (2,) but there are 3 classes", "one weight for each class")
def class_weights_of_another_number():
    nn.CrossEntropyLoss(weight=ml.ones(2))(ml.ones(4, 3), ml.tensor([0, 1, 2, 0]))


@mistake(
    ShapeError,
    RuntimeError,
    "mse_loss: input has shape (4, 1) but target has shape (4,)",
    "must be equal (a loss does not broadcast)",
    "reshape",
)
def column_against_vector():
    """PyTorch warns, and compares each with each."""
    nn.MSELoss()(ml.ones(4, 1), ml.ones(4))


@mistake(ArgumentError, RuntimeError, "input must lie between 0 and 1, got 1.5", "apply sigmoid first")
def logits_as_probabilities():
    nn.BCELoss()(ml.tensor([0.5, 1.5]), ml.tensor([0.0, 1.0]))


@mistake(ArgumentError, RuntimeError, "target must lie between 0 and 1, got 2.0", "it holds probabilities")
def target_that_is_no_probability():
    nn.BCELoss()(ml.tensor([0.5, 0.5]), ml.tensor([0.0, 2.0]))


@mistake(ArgumentError, ValueError, "reduction must be 'mean', 'sum' or 'none', got 'avg'")
def unknown_reduction():
    nn.MSELoss(reduction="avg")(ml.ones(2), ml.ones(2))


# Settings of layers ---------------------------------------------------------------------------------------------------


@mistake(ArgumentError, ValueError, "Conv2d: groups 3 must divide both in_channels 4 and out_channels 6")
def groups_that_do_not_divide():
    nn.Conv2d(4, 6, 3, groups=3)


@mistake(ArgumentError, ValueError, "num_channels 4 must be divisible by num_groups 3")
def group_norm_groups_that_do_not_divide():
    nn.GroupNorm(3, 4)


@mistake(ArgumentError, ValueError, "Dropout: dropout probability has to be between 0 and 1, but got 1.5")
def probability_above_one():
    nn.Dropout(1.5)


@mistake(ArgumentError, ValueError, "dropout: dropout probability has to be between 0 and 1, but got -0.5")
def negative_probability():
    F.dropout(ml.ones(2), -0.5)


@mistake(ArgumentError, ValueError, "padding 'same' needs stride 1, got stride (2, 2)", "in numbers")
def same_padding_with_stride():
    nn.Conv2d(3, 4, 3, stride=2, padding="same")


@mistake(ArgumentError, RuntimeError, "stride must be at least 1, got 0")
def stride_of_zero():
    nn.MaxPool2d(2, 0)(ml.ones(1, 1, 4, 4))


@mistake(ArgumentTypeError, TypeError, "Linear: in_features must be an integer", "got 2.5")
def features_that_are_no_integer():
    nn.Linear(2.5, 2)


@mistake(ArgumentError, RuntimeError, "BatchNorm2d: num_features must be at least 0, got -1")
def negative_features():
    nn.BatchNorm2d(-1)


@mistake(OutOfRangeError, IndexError, "embedding: index 3 is out of range for a table of 3 rows", PATH)
def word_outside_the_vocabulary():
    within(nn.Embedding(3, 2))(ml.tensor([3]))


# Types, dtypes, devices -----------------------------------------------------------------------------------------------


@mistake(ArgumentTypeError, TypeError, f"linear: x {NOT_ARRAYS} list", "wrap it with minidl.tensor(...)", PATH)
def list_instead_of_a_tensor():
    within(nn.Linear(2, 2))([[1.0, 2.0]])


@mistake(ArgumentTypeError, TypeError, f"conv2d: x {NOT_ARRAYS} ndarray", "wrap it with minidl.tensor(...)", PATH)
def array_instead_of_a_tensor():
    within(nn.Conv2d(1, 1, 1))(np.ones((1, 1, 2, 2), np.float32))


@mistake(ArgumentTypeError, TypeError, f"cross_entropy: target {NOT_ARRAYS} list", "wrap it with minidl.tensor(...)")
def list_of_labels():
    nn.CrossEntropyLoss()(ml.ones(2, 3), [0, 1])


@mistake(ArgumentTypeError, TypeError, f"relu: x {NOT_ARRAYS} NoneType", PATH)
def forgotten_return():
    within(nn.ReLU())(None)


@mistake(DtypeError, RuntimeError, "different float dtypes (float64, float32, float32)", ".to(dtype)", PATH)
def float64_data_in_a_float32_layer():
    within(nn.Linear(2, 2))(ml.tensor(np.ones((1, 2))))


@mistake(DtypeError, RuntimeError, "add: inputs have different float dtypes (float32, float64)", "with .to(dtype)")
def mixed_float_dtypes():
    """PyTorch promotes without a word."""
    ml.ones(2) + ml.ones(2, dtype=ml.float64)


@mistake(DtypeError, RuntimeError, "floating-point tensor, got uint8", "x.to(minidl.float32)", PATH)
def bytes_of_an_image():
    within(nn.Conv2d(1, 2, 1))(ml.zeros(1, 1, 2, 2, dtype=ml.uint8))


@mistake(DtypeError, RuntimeError, "only floating-point tensors can require gradients, this one is int64")
def integers_that_require_grad():
    ml.tensor([1, 2], requires_grad=True)


@mistake(ArgumentError, ValueError, "the lists are ragged", "[[1, 2], [3]]")
def ragged_lists():
    ml.tensor([[1, 2], [3]])


def test_mixed_devices(stand_in):
    here, there = ml.ones(2), ml.Tensor(stand_in.asarray(np.ones(2, np.float32)))
    with pytest.raises(DeviceError, match=r"add: inputs are .* devices \(cpu, cuda:0\); .* .to\(device\)"):
        here + there
    with pytest.raises(DeviceError, match=r"numpy: the tensor is on cuda:0; call .cpu\(\) first"):
        there.numpy()


# Gradients ------------------------------------------------------------------------------------------------------------


@mistake(GradientError, RuntimeError, "was already freed by an earlier", "retain_graph=True", "run the forward")
def second_backward():
    x = ml.tensor([1.0, 2.0], requires_grad=True)
    loss = (x * x).sum()
    loss.backward()
    loss.backward()


@mistake(GradientError, RuntimeError, "tensor of one element, this one has shape (2,)", ".sum() or .mean()")
def backward_on_a_vector():
    (ml.ones(2, requires_grad=True) * 2).backward()


@mistake(GradientError, RuntimeError, "does not require a gradient", "set requires_grad=True")
def forgotten_requires_grad():
    (ml.ones(2) * 2).sum().backward()


@mistake(GradientError, RuntimeError, "does not require a gradient", "compute outside no_grad()")
def backward_of_no_grad():
    x = ml.ones(2, requires_grad=True)
    with ml.no_grad():
        loss = (x * 2).sum()
    loss.backward()


@mistake(GradientError, RuntimeError, "does not require a gradient", "set requires_grad=True")
def everything_is_frozen():
    nn.Linear(2, 2).requires_grad_(False)(ml.ones(1, 2)).sum().backward()


@mistake(GradientError, RuntimeError, "do not depend on input 0 (shape (2,))", "allow_unused=True")
def gradient_of_something_unused():
    ml.grad(ml.ones(2, requires_grad=True).sum(), ml.ones(2, requires_grad=True))


@mistake(ShapeError, RuntimeError, "the gradient has shape (3,) but the tensor has shape (2,)")
def gradient_of_another_shape():
    (ml.ones(2, requires_grad=True) * 2).backward(ml.ones(3))


@mistake(InPlaceError, RuntimeError, "cannot be assigned into", "where(mask, a, b)", "x.data[...]")
def assignment_into_a_tensor():
    ml.zeros(3, requires_grad=True)[0] = 1


@mistake(InPlaceError, RuntimeError, "x -= y: x, of shape (2,), is a leaf", "within no_grad()", "x = x - y")
def step_outside_no_grad():
    w = ml.ones(2, requires_grad=True)
    (w * w).sum().backward()
    w -= 0.1 * w.grad


@mistake(ArgumentTypeError, TypeError, "expected a NumPy or CuPy array, got Tensor", "x.data = y.data")
def tensor_as_data():
    w = ml.ones(2, requires_grad=True)
    (w * w).sum().backward()
    w.data = w.data - 0.1 * w.grad
    w * w  # noqa: B018


@mistake(MissingAttributeError, AttributeError, "no attribute 'zero_'", "without the underscore, or x.grad = None")
def method_in_place():
    ml.ones(2).zero_()


@mistake(InPlaceError, RuntimeError, "shape (2, 2) that", "was changed in place")
def step_before_backward():
    layer = nn.Linear(2, 2)
    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    layer.weight.grad = ml.ones(2, 2)
    loss = layer(ml.ones(1, 2, requires_grad=True)).sum()
    optimizer.step()
    loss.backward()


@mistake(GradientError, RuntimeError, "numpy: the tensor requires a gradient", "x.detach().numpy()")
def numpy_of_a_tensor_that_requires_grad():
    ml.ones(2, requires_grad=True).numpy()


@mistake(GradientError, RuntimeError, "numpy: the tensor requires a gradient", "x.detach().numpy()")
def plotting_a_tensor_that_requires_grad():
    np.asarray(ml.ones(2, requires_grad=True))


@mistake(ShapeError, RuntimeError, "item: needs a tensor of one element, this one has 2 (shape (2,))")
def item_of_many():
    ml.ones(2).item()


@mistake(ShapeError, RuntimeError, "the truth value of a tensor of shape (2,) is ambiguous")
def truth_of_many():
    bool(ml.ones(2) > 0)


def test_a_step_by_hand_within_no_grad_trains():
    w = ml.ones(2, requires_grad=True)
    (w * w).sum().backward()
    with ml.no_grad():
        for parameter in [w]:
            parameter -= 0.25 * parameter.grad
    assert w.requires_grad and w.tolist() == [0.5, 0.5]


# Modules --------------------------------------------------------------------------------------------------------------


class NoInit(nn.Module):
    def __init__(self, made):
        if made == "layer":
            self.layer = nn.Linear(1, 1)
        elif made == "weight":
            self.weight = nn.Parameter(ml.ones(1))

    def forward(self, x):
        return x


@pytest.mark.parametrize("use", ["layer", "weight", "call", "parameters", "state_dict"])
def test_forgotten_super_init(use):
    with pytest.raises(MissingAttributeError, match=r"NoInit: '\w+' was used before .* call super\(\)") as caught:
        module = NoInit(use)
        module(ml.ones(1)) if use == "call" else list(getattr(module, use)())
    assert isinstance(caught.value, AttributeError)


@mistake(ArgumentTypeError, TypeError, "Linear.weight is a registered Parameter", "become a Tensor", "weight.data")
def tensor_in_place_of_a_parameter():
    nn.Linear(2, 2).weight = ml.ones(2, 2)


@mistake(ArgumentTypeError, TypeError, "Sequential: expected a Module, got type")
def forgotten_parentheses():
    nn.Sequential(nn.ReLU)


@mistake(ArgumentTypeError, TypeError, "Sequential: expected a Module, got list")
def list_of_layers():
    nn.Sequential([nn.ReLU(), nn.ReLU()])


@mistake(OutOfRangeError, IndexError, "Sequential: index 2 is out of range for 1 items")
def layer_that_is_not_there():
    nn.Sequential(nn.ReLU())[2]


@mistake(NameTakenError, KeyError, "Linear already has an attribute 'weight'; choose another name")
def name_taken():
    nn.Linear(1, 1).register_buffer("weight", ml.ones(1))


@mistake(ArgumentTypeError, TypeError, "a hook is a function, got NoneType")
def hook_called_too_early():
    nn.Linear(1, 1).register_forward_hook(print())


# Weights --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("1.bias"), r"missing keys: '1.bias'\n.*strict=False"),
        (lambda state: state.update(extra=ml.ones(1)), r"unexpected keys: 'extra'\n.*strict=False"),
        (
            lambda state: state.update({"1.bias": ml.ones(3)}),
            r"different shapes: '1.bias' is \(2,\) in the model but \(3,\) in the state dict",
        ),
        (lambda state: state.update({"1.bias": [1]}), r"different shapes: '1.bias' is \(2,\) in the model but a list"),
    ],
)
def test_a_state_dict_that_does_not_fit_is_not_half_loaded(change, message):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    before = {name: tensor.tolist() for name, tensor in model.state_dict().items()}
    state = {name: ml.zeros_like(tensor) for name, tensor in model.state_dict().items()}
    change(state)
    with pytest.raises(StateDictError, match=f"does not fit Sequential; nothing was loaded\n  {message}") as caught:
        model.load_state_dict(state)
    assert isinstance(caught.value, RuntimeError)
    assert {name: tensor.tolist() for name, tensor in model.state_dict().items()} == before


@pytest.mark.parametrize("kept", [0, 100, -30])
def test_truncated_weights(tmp_path, kept):
    path = tmp_path / "weights.npz"
    ml.save(nn.Linear(2, 2).state_dict(), path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(FileFormatError, match="load: .*weights.npz: is not a whole zip archive, .*cut short") as caught:
        ml.load(path)
    assert isinstance(caught.value, RuntimeError)


@mistake(ArgumentTypeError, TypeError, "load_state_dict: expected a dict of tensors, got a str")
def path_as_state_dict():
    nn.Linear(2, 2).load_state_dict("weights.npz")


@mistake(ArgumentTypeError, TypeError, "a state is a dict, such as model.state_dict(), not a Linear")
def saving_the_model_itself():
    ml.save(nn.Linear(2, 2), "weights.npz")


@mistake(ArgumentError, ValueError, "'weights.pt' ends in '.pt'; minidl writes .safetensors and .npz")
def saving_as_a_pickle():
    ml.save(nn.Linear(2, 2).state_dict(), "weights.pt")


# Training -------------------------------------------------------------------------------------------------------------


@mistake(ArgumentError, ValueError, "SGD: got an empty parameter list", "has the model parameters at all?")
def optimizer_without_parameters():
    optim.SGD(nn.ReLU().parameters(), lr=0.1)


@mistake(ArgumentTypeError, TypeError, "SGD: params is a Linear", "give model.parameters()")
def optimizer_of_the_model():
    optim.SGD(nn.Linear(1, 1), lr=0.1)


@mistake(ArgumentTypeError, TypeError, "SGD: params is a method", "give model.parameters()")
def parameters_that_are_not_called():
    optim.SGD(nn.Linear(1, 1).parameters, lr=0.1)


@mistake(ArgumentTypeError, TypeError, "SGD: params[0] is a tuple, not a Tensor", "give model.parameters()")
def named_parameters_for_the_optimizer():
    optim.SGD(nn.Linear(1, 1).named_parameters(), lr=0.1)


@mistake(ArgumentError, ValueError, "params[0] of shape (2,) is the result of an operation", "only leaves")
def optimizer_of_a_result():
    optim.SGD([ml.ones(2, requires_grad=True) * 2], lr=0.1)


@mistake(ArgumentError, ValueError, "SGD: lr must be a number ≥ 0, got -0.1")
def negative_learning_rate():
    optim.SGD([ml.ones(2, requires_grad=True)], lr=-0.1)


@mistake(ArgumentError, ValueError, "Adam: betas must be two numbers, each ≥ 0 and < 1, got 0.9")
def one_beta():
    optim.Adam([ml.ones(2, requires_grad=True)], betas=0.9)


@mistake(ArgumentTypeError, TypeError, "StepLR: expected an Optimizer, got Linear")
def schedule_of_the_model():
    optim.lr_scheduler.StepLR(nn.Linear(1, 1), 2)


@mistake(ArgumentTypeError, TypeError, "clip_grad_norm_: parameters is a Linear", "give model.parameters()")
def clipping_the_model():
    nn.utils.clip_grad_norm_(nn.Linear(1, 1), 1.0)


def fit_line(**changes):
    model = changes.pop("model", nn.Linear(1, 1))
    parts = {
        "optimizer": optim.SGD(nn.Linear(1, 1).parameters() if changes.pop("other", False) else model.parameters()),
        "loss_fn": nn.MSELoss(),
        "train_loader": [(ml.ones(2, 1), ml.ones(2, 1))],
        **changes,
    }
    training.fit(model, **parts, epochs=1, progress=False)


@mistake(ArgumentError, ValueError, "the optimizer holds none of the model's parameters", "make it from this model's")
def optimizer_of_another_model():
    fit_line(other=True)


@mistake(ArgumentTypeError, TypeError, "loss_fn must be a function or a loss, as CrossEntropyLoss()", "MSELoss")
def loss_that_is_a_class():
    fit_line(loss_fn=nn.MSELoss)


@mistake(ShapeError, RuntimeError, "loss_fn returned shape (2, 1), not one number", "reduction='mean'")
def loss_that_is_not_reduced():
    fit_line(loss_fn=nn.MSELoss(reduction="none"))


@mistake(ArgumentTypeError, TypeError, "optimizer must be of type Optimizer, got float")
def learning_rate_for_the_optimizer():
    fit_line(optimizer=0.1)


@mistake(ArgumentTypeError, TypeError, "a batch must be (inputs…, targets), the loader gave a Tensor")
def batches_without_targets():
    fit_line(train_loader=[ml.ones(2, 1)])


# Data and metrics -----------------------------------------------------------------------------------------------------


@mistake(ArgumentError, ValueError, "DataLoader: batch_size=0 must be an integer ≥ 1")
def batch_size_of_zero():
    data.DataLoader([1, 2], batch_size=0)


@mistake(ArgumentError, ValueError, "shuffle=True and a sampler both decide the order")
def shuffle_and_sampler():
    data.DataLoader([1, 2], shuffle=True, sampler=[1, 0])


@mistake(ShapeError, RuntimeError, "samples have different shapes, (1,) and (2,)", "Resize", "collate_fn")
def images_of_different_sizes():
    list(data.DataLoader([ml.ones(1), ml.ones(2)], batch_size=2))


@mistake(ArgumentTypeError, TypeError, "cannot collate NoneType", "collate_fn")
def dataset_that_returns_none():
    list(data.DataLoader([None, None], batch_size=2))


@mistake(ShapeError, ValueError, "TensorDataset: the tensors must have equal first dimensions", "[(3,), (4,)]")
def unequal_lengths():
    data.TensorDataset(ml.ones(3), ml.ones(4))


@mistake(ArgumentError, ValueError, "lengths [7, 2] must be whole numbers that sum to 10", "fractions that sum to 1")
def split_that_leaves_samples_out():
    data.random_split(range(10), [7, 2])


@mistake(ShapeError, ValueError, "accuracy: 2 predictions but 3 targets; give one target to each")
def metric_of_mismatched_shapes():
    metrics.accuracy(ml.ones(2, 4), ml.tensor([0, 1, 2]))


@mistake(ShapeError, ValueError, "predictions must be class indices (N,) or scores (N, C), got shape (2, 3, 4, 4)")
def metric_of_maps():
    metrics.accuracy(ml.ones(2, 3, 4, 4), ml.zeros(2, dtype=ml.int64))


@mistake(OutOfRangeError, ValueError, "targets hold the class 5, but the scores have 4 classes")
def metric_of_unknown_classes():
    metrics.accuracy(ml.ones(2, 4), ml.tensor([0, 5]))


@mistake(ArgumentError, ValueError, "all 2 targets are 1; the curve needs both 0 and 1")
def curve_of_one_class():
    metrics.roc_auc([0.1, 0.2], [1, 1])


# ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case.make.__name__)
def test_what_a_learner_is_told(case):
    pattern = "(?s)" + ".*".join(map(re.escape, case.parts))
    with pytest.raises(case.error, match=pattern) as caught:
        case.make()
    assert isinstance(caught.value, case.builtin)
