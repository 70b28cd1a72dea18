"""Module: registration, walking the tree, state dicts, hooks, errors."""

import copy
from collections import namedtuple

import numpy as np
import pytest

from minidl import nn
from minidl.autograd import Tensor, no_grad
from minidl.errors import (
    ArgumentError,
    ArgumentTypeError,
    DeviceError,
    GradientError,
    MissingAttributeError,
    MissingMethodError,
    ShapeError,
    StateDictError,
)
from tests.nn._layers import Affine, Counter, Net, array

NET_PARAMETERS = ["features.0.weight", "features.0.bias", "features.2.weight", "head.bias"]
NET_STATE = ["features.0.weight", "features.0.bias", "features.1.calls", "features.1.running", "features.2.weight"]
NET_STATE += ["head.weight", "head.bias"]


class TestParameter:
    def test_requires_grad_and_is_a_leaf(self):
        p = nn.Parameter(array(2))
        assert p.requires_grad and p.is_leaf and isinstance(p, Tensor)
        assert not nn.Parameter(array(2), requires_grad=False).requires_grad

    def test_shares_memory_with_the_tensor_it_is_made_of(self):
        x = Tensor(array(2))
        assert nn.Parameter(x).data is x.data

    def test_deepcopy_stays_a_parameter(self):
        p = nn.Parameter(array(2))
        q = copy.deepcopy(p)
        assert type(q) is nn.Parameter and q.requires_grad and q.data is not p.data


class TestRegistration:
    def test_parameters_are_found_by_name_and_counted_once(self):
        net = Net()
        assert [name for name, _ in net.named_parameters()] == NET_PARAMETERS
        assert len(list(net.parameters())) == 4
        assert len(list(net.named_parameters(remove_duplicate=False))) == 5
        assert list(net.parameters(recurse=False)) == []

    def test_prefix(self):
        assert next(Net().named_parameters(prefix="net"))[0] == "net.features.0.weight"
        assert [name for name, _ in Affine().named_parameters("a", recurse=False)] == ["a.weight", "a.bias"]
        assert [name for name, _ in Net().named_modules("net")][:2] == ["net", "net.features"]

    def test_modules(self):
        net = Net()
        names = ["", "features", "features.0", "features.1", "features.2", "head"]
        assert [name for name, _ in net.named_modules()] == names
        assert list(net.modules())[0] is net
        assert [name for name, _ in net.named_children()] == ["features", "head"]
        assert list(net.children()) == [net.features, net.head]

    def test_a_shared_module_is_listed_once(self):
        layer = Affine()
        net = nn.Sequential(layer, layer)
        assert len(list(net.modules())) == 2 and len(list(net.children())) == 1
        assert [name for name, _ in net.named_modules(remove_duplicate=False)] == ["", "0", "1"]

    def test_buffers(self):
        net = Net()
        names = ["features.1.calls", "features.1.running", "features.1.cache"]
        assert [name for name, _ in net.named_buffers()] == names
        assert len(list(net.buffers())) == 3

    def test_absent_children_are_skipped(self):
        net = Affine(bias=False)
        net.add_module("child", None)
        assert net.bias is None and net.child is None
        assert list(net.children()) == [] and len(list(net.modules())) == 1 and list(net.state_dict()) == ["weight"]

    def test_assigning_replaces_in_place(self):
        layer = Affine()
        layer.weight = nn.Parameter(array(3))
        assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
        layer.bias = None
        assert layer.bias is None and [name for name, _ in layer.named_parameters()] == ["weight"]
        layer.bias = nn.Parameter(array(3))
        assert len(list(layer.parameters())) == 2

    def test_a_name_changes_its_kind(self):
        layer = Counter()
        layer.note = "text"
        layer.note = nn.Identity()
        layer.cache = nn.Parameter(array(2))
        assert "note" not in vars(layer) and list(layer._modules) == ["note"]
        assert "cache" in layer.state_dict() and "cache" not in layer._buffers

    def test_buffer_is_replaced_by_a_tensor(self):
        layer = Counter()
        layer.running = Tensor(array(2))
        assert layer.state_dict()["running"].tolist() == [1, 2]
        layer.running = None
        assert layer.running is None and "running" not in layer.state_dict()

    def test_registering_a_buffer_again_can_make_it_persistent(self):
        layer = Counter()
        layer.register_buffer("cache", Tensor(array(2)))
        assert "cache" in layer.state_dict()

    def test_plain_tensors_are_plain_attributes(self):
        layer = Affine()
        layer.scale = Tensor(array(1))
        assert "scale" in vars(layer) and "scale" not in layer.state_dict()

    def test_delete(self):
        layer = Counter()
        layer.note = 1
        layer.child = nn.Identity()
        for name in ("note", "child", "cache", "calls"):
            delattr(layer, name)
            assert not hasattr(layer, name)
        with pytest.raises(AttributeError, match="note"):
            del layer.note

    def test_dir_lists_what_is_registered(self):
        assert {"features", "head", "forward"} <= set(dir(Net()))
        assert "0" not in dir(Net().features)

    def test_register_parameter_and_module(self):
        layer = nn.Module()
        layer.register_parameter("weight", nn.Parameter(array(1)))
        layer.register_module("child", nn.Identity())
        assert layer.weight.tolist() == [1] and isinstance(layer.child, nn.Identity)

    @pytest.mark.parametrize(
        "register, value, message",
        [
            ("register_parameter", Tensor(array(1)), "'x' is a Tensor; wrap it in nn.Parameter"),
            ("register_buffer", array(1), "'x' is a ndarray; pass a Tensor"),
            ("add_module", 3, "'x' is a int; pass a Module"),
        ],
    )
    def test_refuses_other_kinds(self, register, value, message):
        with pytest.raises(ArgumentTypeError, match=message):
            getattr(nn.Module(), register)("x", value)

    def test_refuses_bad_names(self):
        for name in ("", "a.b"):
            with pytest.raises(ArgumentError, match="non-empty name without '.'"):
                nn.Module().add_module(name, nn.Identity())
        with pytest.raises(ArgumentTypeError, match="is a string, got 1"):
            nn.Module().add_module(1, nn.Identity())
        with pytest.raises(ArgumentError, match="Affine already has an attribute 'size'"):
            Affine().register_buffer("size", None)
        with pytest.raises(KeyError, match="Affine already has an attribute 'size'"):  # as in PyTorch
            Affine().register_parameter("size", None)

    def test_a_layer_cannot_be_replaced_by_something_else(self):
        with pytest.raises(ArgumentTypeError, match="Net.head is a registered Module .*; assign a Module or None$"):
            Net().head = 3

    def test_hooks_are_functions(self):
        with pytest.raises(ArgumentTypeError, match="a hook is a function, got int"):
            Affine().register_forward_pre_hook(3)

    def test_modules_of_all_names(self):
        shared = Affine()
        net = nn.Sequential(shared, shared)
        assert len(list(net.modules())) == 2 and len(list(net.modules(remove_duplicate=False))) == 3

    def test_what_loading_returns(self):
        layer = Affine()
        assert repr(layer.load_state_dict(layer.state_dict())) == "<All keys matched successfully>"
        keys = layer.load_state_dict({"extra": layer.bias}, strict=False)
        assert repr(keys) == "IncompatibleKeys(missing_keys=['weight', 'bias'], unexpected_keys=['extra'])"

    @pytest.mark.parametrize(
        "layer, name, message",
        [
            (Affine(), "weight", "Affine.weight is a registered Parameter and cannot become a Tensor"),
            (Counter(), "running", "Counter.running is a registered Tensor"),
            (Net(), "head", "Net.head is a registered Module"),
        ],
    )
    def test_refuses_to_assign_another_kind(self, layer, name, message):
        value = array(1) if name == "running" else Tensor(array(1))
        with pytest.raises(ArgumentTypeError, match=message):
            setattr(layer, name, value)

    @pytest.mark.parametrize("value", [nn.Parameter(array(1)), nn.Identity()])
    def test_forgotten_super_init(self, value):
        class Forgetful(nn.Module):
            def __init__(self):
                self.size = 3  # a plain attribute is no problem
                self.part = value

        with pytest.raises(MissingAttributeError, match=r"call super\(\).__init__\(\) first in Forgetful.__init__"):
            Forgetful()

    def test_forgotten_super_init_is_found_when_the_module_is_used(self):
        class Forgetful(nn.Module):
            def __init__(self):
                self.size = 3

        with pytest.raises(AttributeError, match=r"call super\(\).__init__\(\) first"):
            Forgetful()(Tensor(array(1)))
        with pytest.raises(MissingAttributeError, match=r"'x' was used before"):
            Forgetful().register_buffer("x", None)

    def test_missing_attribute(self):
        with pytest.raises(AttributeError, match="'Net' object has no attribute 'heed'"):
            _ = Net().heed

    def test_a_failing_property_tells_its_own_error(self):
        class Broken(nn.Module):
            @property
            def depth(self):
                return self.not_there

        with pytest.raises(AttributeError, match="not_there"):
            _ = Broken().depth

    def test_get_by_path(self):
        net = Net()
        assert net.get_submodule("") is net
        assert net.get_submodule("features.2") is net.features[2]
        assert net.get_parameter("features.0.bias") is net.features[0].bias
        assert net.get_buffer("features.1.calls") is net.features[1].calls

    def test_get_by_wrong_path(self):
        net = Net()
        with pytest.raises(MissingAttributeError, match=r"'features.7.conv': features has no child '7', only \['0'"):
            net.get_submodule("features.7.conv")
        with pytest.raises(AttributeError, match="no module 'neck': Net has no child 'neck'"):
            net.get_submodule("neck")
        with pytest.raises(AttributeError, match=r"no parameter 'head.scale': head has only \['weight', 'bias'\]"):
            net.get_parameter("head.scale")
        with pytest.raises(AttributeError, match="no buffer 'mean': Net has only"):
            net.get_buffer("mean")


class TestAllAtOnce:
    def test_train_and_eval(self):
        net = Net()
        assert net.eval() is net and not any(module.training for module in net.modules())
        assert net.train() is net and all(module.training for module in net.modules())
        with pytest.raises(ArgumentError, match="mode must be True or False, got 'yes'"):
            net.train("yes")

    def test_apply_visits_children_first(self):
        seen = []
        net = Net()
        assert net.apply(lambda module: seen.append(type(module).__name__)) is net
        assert seen == ["Affine", "Counter", "Affine", "Sequential", "Affine", "Net"]

    def test_requires_grad_(self):
        net = Net()
        assert net.requires_grad_(False) is net and not any(p.requires_grad for p in net.parameters())

    def test_zero_grad(self):
        net = Net()
        net(Tensor(array(3))).sum().backward()
        gradient = net.head.bias.grad
        net.zero_grad(set_to_none=False)
        assert net.head.bias.grad.tolist() == [0, 0, 0] and gradient.tolist() == [0, 0, 0]
        net.zero_grad()
        assert all(p.grad is None for p in net.parameters())
        net.zero_grad(set_to_none=False)
        assert all(p.grad is None for p in net.parameters())

    def test_zero_grad_leaves_alone_what_a_graph_has_saved(self):
        layer = Affine()
        (layer(Tensor(array(3))) ** 2).sum().backward(create_graph=True)
        gradient = layer.weight.grad
        layer.zero_grad(set_to_none=False)
        assert layer.weight.grad.grad_fn is None and layer.weight.grad.tolist() == [0, 0, 0]
        assert gradient.tolist() == [2, 16, 54]

    def test_dtypes(self):
        net = Net()
        net(Tensor(array(3))).sum().backward()
        before = list(net.parameters())
        assert net.double() is net
        assert all(p.dtype == np.float64 and p.grad.dtype == np.float64 for p in net.parameters())
        assert net.features[1].running.dtype == np.float64 and net.features[1].calls.dtype == np.int64
        assert list(map(id, net.parameters())) == list(map(id, before))
        assert net.half().head.bias.dtype == np.float16
        assert net.float().head.bias.dtype == np.float32
        assert net.to(np.float64).to(Tensor(array(1))).head.bias.dtype == np.float32
        assert net.to("cpu", dtype="float64").head.bias.dtype == np.float64

    def test_device(self):
        net = Net()
        data = net.head.bias.data
        assert net.cpu() is net and net.to(device="cpu").head.bias.data is data

    def test_refuses_integer_dtypes_and_absent_devices(self):
        with pytest.raises(ArgumentTypeError, match="a float dtype, got int64"):
            Net().to(np.int64)
        with pytest.raises(DeviceError, match="unknown device"):
            Net().to(device="tpu")
        with pytest.raises(DeviceError, match="cuda"):
            Net().cuda(99)


class TestStateDict:
    def test_names_and_memory(self):
        net = Net()
        state = net.state_dict()
        assert list(state) == NET_STATE
        assert state["head.weight"].data is net.head.weight.data and not state["head.weight"].requires_grad
        assert next(iter(net.state_dict(prefix="net."))) == "net.features.0.weight"
        assert net.state_dict(keep_vars=True)["head.bias"] is net.head.bias

    def test_round_trip_copies_values(self):
        source, target = Net(), Net()
        source.features[1].calls.data[...] = 7
        source.head.bias.data[...] = 3
        data = target.head.bias.data
        result = target.load_state_dict(source.state_dict())
        assert result == ([], []) and result.missing_keys == []
        assert target.head.bias.data is data and target.head.bias.tolist() == [3, 3, 3]
        assert target.features[1].calls.item() == 7
        source.head.bias.data[...] = 4
        assert target.head.bias.tolist() == [3, 3, 3]

    def test_takes_arrays_and_casts(self):
        layer = Affine()
        layer.load_state_dict({"weight": np.array([1.5, 2, 3]), "bias": np.zeros(3, np.int64)})
        assert layer.weight.dtype == np.float32 and layer.weight.tolist() == [1.5, 2, 3]

    def test_lists_everything_that_does_not_fit_and_loads_nothing(self):
        layer = Affine()
        before = layer.weight.data.copy()
        with pytest.raises(StateDictError) as caught:
            layer.load_state_dict({"weight": array(4), "scale": array(1), "shift": array(1)})
        message = str(caught.value)
        assert "missing keys: 'bias'" in message and "unexpected keys: 'scale', 'shift'" in message
        assert "'weight' is (3,) in the model but (4,) in the state dict" in message and "nothing was loaded" in message
        np.testing.assert_array_equal(layer.weight.data, before)

    def test_nothing_is_half_loaded(self):
        layer = Affine()
        with pytest.raises(StateDictError, match="strict=False loads the keys that match"):
            layer.load_state_dict({"weight": -array(3)})
        assert layer.weight.tolist() == [1, 2, 3]

    def test_not_strict(self):
        layer = Affine()
        result = layer.load_state_dict({"weight": -array(3), "scale": array(1)}, strict=False)
        assert result.missing_keys == ["bias"] and result.unexpected_keys == ["scale"]
        assert layer.weight.tolist() == [-1, -2, -3]
        with pytest.raises(StateDictError, match="different shapes") as caught:
            layer.load_state_dict({"weight": array(4)}, strict=False)
        assert "missing" not in str(caught.value)

    def test_optional_state_is_not_missed(self):
        class Old(Counter):
            optional_state = ("calls",)

        net = nn.Sequential(Old())
        assert net.load_state_dict({"0.running": array(2)}).missing_keys == []
        with pytest.raises(StateDictError, match="missing keys: '0.running'"):
            net.load_state_dict({})

    def test_batch_norm_of_an_old_checkpoint(self):
        layer = nn.BatchNorm2d(2)
        state = {name: tensor for name, tensor in layer.state_dict().items() if name != "num_batches_tracked"}
        assert layer.load_state_dict(state) == ([], [])

    def test_refuses_what_is_no_state_dict(self):
        with pytest.raises(ArgumentTypeError, match="expected a dict of tensors, got a list"):
            Affine().load_state_dict([])
        with pytest.raises(StateDictError, match="'weight' is .* but a list in the state dict"):
            Affine().load_state_dict({"weight": [1, 2, 3], "bias": array(3)})

    def test_loading_is_seen_by_a_graph_that_saved_the_parameter(self):
        layer = Affine(bias=False)
        y = layer(Tensor(array(3), requires_grad=True)).sum()
        layer.load_state_dict({"weight": array(3)})
        with pytest.raises(RuntimeError, match="changed in place"):
            y.backward()

    def test_deepcopy(self):
        net = Net()
        twin = copy.deepcopy(net)
        assert twin.head.weight is twin.features[0].weight and twin.head.weight is not net.head.weight
        twin.head.bias.data[...] = 9
        assert net.head.bias.tolist() == [0, 0, 0]


class TestForwardHooks:
    def test_see_and_replace(self):
        layer = Affine()
        seen = []
        pre = layer.register_forward_pre_hook(lambda module, args: seen.append((module, args)))
        post = layer.register_forward_hook(lambda module, args, output: seen.append(output))
        x = Tensor(array(3))
        y = layer(x)
        assert seen[0] == (layer, (x,)) and seen[1] is y
        pre.remove()
        post.remove()
        post.remove()
        layer(x)
        assert len(seen) == 2

    def test_returned_values_replace(self):
        layer = Affine()
        with layer.register_forward_pre_hook(lambda module, args: args[0] * 2):
            assert layer(Tensor(array(3))).tolist() == [2, 8, 18]
            with layer.register_forward_pre_hook(lambda module, args: (args[0] * 2,)):
                assert layer(Tensor(array(3))).tolist() == [4, 16, 36]
        with layer.register_forward_hook(lambda module, args, output: output * 0):
            assert layer(Tensor(array(3))).tolist() == [0, 0, 0]
        assert layer(Tensor(array(3))).tolist() == [1, 4, 9]

    def test_keywords(self):
        layer, seen = Affine(), []
        layer.register_forward_pre_hook(lambda m, args, kwargs: (args, {"x": kwargs["x"] * 2}), with_kwargs=True)
        layer.register_forward_pre_hook(lambda m, args, kwargs: None, with_kwargs=True)
        layer.register_forward_hook(lambda m, args, kwargs, y: seen.append(kwargs["x"].tolist()), with_kwargs=True)
        assert layer(x=Tensor(array(3))).tolist() == [2, 8, 18] and seen == [[2, 4, 6]]

    def test_order(self):
        layer, seen = Affine(), []
        layer.register_forward_hook(lambda *_: seen.append("second"))
        layer.register_forward_hook(lambda *_: seen.append("first"), prepend=True)
        layer(Tensor(array(3)))
        assert seen == ["first", "second"]


class TestBackwardHooks:
    def test_see_gradients_of_inputs_and_outputs(self):
        layer, seen = Affine(), []
        layer.register_full_backward_hook(lambda module, gx, gy: seen.append((module, gx, gy)))
        x = Tensor(array(3), requires_grad=True)
        (layer(x) * Tensor(10 * array(3))).sum().backward()
        ((module, (gx,), (gy,)),) = seen
        assert module is layer and gy.tolist() == [10, 20, 30] and gx.tolist() == [10, 40, 90]
        assert x.grad.tolist() == [10, 40, 90] and layer.weight.grad.tolist() == [10, 40, 90]

    def test_returned_gradient_replaces(self):
        layer = Affine()
        x = Tensor(array(3), requires_grad=True)
        handle = layer.register_full_backward_hook(lambda module, gx, gy: (gx[0] * 2,))
        layer.register_full_backward_hook(lambda module, gx, gy: gx[0] + 1)
        layer(x).sum().backward()
        assert x.grad.tolist() == [3, 5, 7] and layer.weight.grad.tolist() == [1, 2, 3]
        handle.remove()
        x.grad = None
        layer(x).sum().backward()
        assert x.grad.tolist() == [2, 3, 4]

    def test_first_layer_whose_input_needs_no_gradient(self):
        layer, seen = Affine(), []
        layer.register_full_backward_hook(lambda module, gx, gy: seen.append((gx, gy[0].tolist())))
        layer(Tensor(array(3))).sum().backward()
        assert seen == [((None,), [1, 1, 1])]

    def test_several_inputs_and_outputs(self):
        class Two(nn.Module):
            def forward(self, x, flag, y):
                return x * y, flag, x + y

        layer, seen = Two(), []
        layer.register_full_backward_hook(lambda module, gx, gy: seen.append((gx, gy)))
        x, y = Tensor(array(2), requires_grad=True), Tensor(array(2), requires_grad=True)
        product, flag, total = layer(x, "flag", y)
        (product.sum() + 5 * total.sum()).backward()
        ((gx, gy),) = seen
        assert flag == "flag" and gx[1] is None and gy[1] is None
        assert gx[0].tolist() == [6, 7] and gx[2].tolist() == [6, 7]
        assert gy[0].tolist() == [1, 1] and gy[2].tolist() == [5, 5]

    @pytest.mark.parametrize("make", [list, namedtuple("Pair", "a b")._make])
    def test_keeps_the_type_of_the_output(self, make):
        class Pair(nn.Module):
            def forward(self, x):
                return make([x, x * 2])

        layer = Pair()
        layer.register_full_backward_hook(lambda module, gx, gy: None)
        result = layer(Tensor(array(2), requires_grad=True))
        assert type(result) is type(make([0, 0])) and result[1].tolist() == [2, 4]

    def test_two_calls_before_backward_are_kept_apart(self):
        layer, seen = Affine(), []
        layer.register_full_backward_hook(lambda module, gx, gy: seen.append(gy[0].tolist()))
        x = Tensor(array(3), requires_grad=True)
        (layer(x).sum() + 2 * layer(x).sum()).backward()
        assert sorted(seen) == [[1, 1, 1], [2, 2, 2]]

    def test_second_derivative_goes_through(self):
        layer, seen = Affine(), []
        layer.register_full_backward_hook(lambda module, gx, gy: seen.append(gx[0]))
        x = Tensor(array(3), requires_grad=True)
        (layer(x) ** 2).sum().backward(create_graph=True)
        seen[0].sum().backward()
        np.testing.assert_allclose(x.grad.data, 2 * array(3) ** 3 + 2 * array(3) ** 2)

    def test_not_recorded_without_grad_mode(self):
        layer = Affine()
        layer.register_full_backward_hook(lambda module, gx, gy: pytest.fail("no backward here"))
        with no_grad():
            assert layer(Tensor(array(3))).tolist() == [1, 4, 9]

    @pytest.mark.parametrize("requires_grad", [True, False])
    def test_wrong_returns(self, requires_grad):
        layer = Affine()
        layer.register_full_backward_hook(lambda module, gx, gy: gx * 2)
        y = layer(Tensor(array(3), requires_grad=requires_grad)).sum()
        with pytest.raises(GradientError, match=r"backward hook of Affine returned 2 gradient\(s\)"):
            y.backward()

    def test_wrong_output(self):
        class Lookup(nn.Module):
            def forward(self, x):
                return {"x": x}

        layer = Lookup()
        layer.register_full_backward_hook(lambda *_: None)
        with pytest.raises(ArgumentTypeError, match="forward of Lookup returned a dict"):
            layer(Tensor(array(3)))


class TestLayerPath:
    def test_is_composed_on_the_way_up(self):
        net = nn.Sequential(nn.Identity(), Net())
        with pytest.raises(ShapeError, match=r"x has 4 features but weight has 3 \[in layer 1.features.0\]") as caught:
            net(Tensor(array(4)))
        assert caught.value.layer_path == "1.features.0"

    def test_a_layer_alone_has_no_path(self):
        with pytest.raises(ShapeError, match="weight has 3$"):
            Affine()(Tensor(array(4)))

    def test_goes_over_levels_whose_call_is_skipped(self):
        class Direct(nn.Module):
            def __init__(self):
                super().__init__()
                self.net = Net()

            def forward(self, x):
                return self.net.forward(x)

        with pytest.raises(ShapeError, match=r"\[in layer net.features.0\]"):
            Direct()(Tensor(array(4)))

    def test_a_module_that_is_no_child_leaves_it_alone(self):
        net = Net()

        class Outside(nn.Module):
            def forward(self, x):
                return net(x)

        with pytest.raises(ShapeError, match=r"\[in layer features.0\]"):
            Outside()(Tensor(array(4)))

    def test_recursion_through_itself(self):
        class Again(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = Affine()

            def forward(self, x, depth=2):
                return self(x, depth - 1) if depth else self.layer(x)

        with pytest.raises(ShapeError, match=r"\[in layer layer\]"):
            Again()(Tensor(array(4)))

    def test_other_errors_are_left_alone(self):
        class Broken(nn.Module):
            def forward(self, x):
                raise ValueError("mine")

        with pytest.raises(ValueError, match="^mine$") as caught:
            nn.Sequential(Broken())(Tensor(array(1)))
        assert not hasattr(caught.value, "layer_path")

    def test_no_forward(self):
        class Empty(nn.Module):
            pass

        with pytest.raises(MissingMethodError, match="Empty defines no forward"):
            Empty()(1)


class TestRepr:
    def test_tree(self):
        lines = [
            "Net(",
            "  (features): Sequential(",
            "    (0): Affine(3)",
            "    (1): Counter()",
            "    (2): Affine(3)",
            "  )",
            "  (head): Affine(3)",
            ")",
        ]
        assert repr(Net()) == "\n".join(lines)

    def test_settings_over_several_lines(self):
        class Long(nn.Module):
            def extra_repr(self):
                return "a=1\nb=2"

        assert repr(Long()) == "Long(\n  a=1\n  b=2\n)"

    def test_as_pytorch(self):
        torch = pytest.importorskip("torch")
        ours = nn.Sequential(nn.Identity(), nn.ModuleList([nn.Identity(), nn.Identity(), nn.Sequential()]))
        theirs = torch.nn.Sequential(
            torch.nn.Identity(),
            torch.nn.ModuleList([torch.nn.Identity(), torch.nn.Identity(), torch.nn.Sequential()]),
        )
        assert repr(ours) == repr(theirs)
