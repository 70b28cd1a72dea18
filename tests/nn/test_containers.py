"""Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict, Identity."""

import pytest

from minidl import nn
from minidl.autograd import Tensor
from minidl.errors import ArgumentError, ArgumentTypeError, MissingAttributeError, MissingMethodError, OutOfRangeError
from tests.nn._layers import Affine, array


def names(module):
    return [name for name, _ in module.named_children()]


def test_identity_ignores_its_arguments():
    x = Tensor(array(2))
    assert nn.Identity(54, unused=True)(x) is x


class TestSequential:
    def test_applies_in_order(self):
        net = nn.Sequential(Affine(), Affine())
        assert net(Tensor(array(3))).tolist() == [1, 8, 27]
        assert nn.Sequential()(7) == 7

    def test_names(self):
        net = nn.Sequential({"first": Affine(), "second": Affine()})
        assert names(net) == ["first", "second"] and net.first is net[0]
        assert list(net.state_dict()) == ["first.weight", "first.bias", "second.weight", "second.bias"]

    def test_index_and_slice(self):
        layers = [Affine(), nn.Identity(), Affine()]
        net = nn.Sequential(*layers)
        assert net[0] is layers[0] and net[-1] is layers[2] and len(net) == 3 and list(net) == layers
        part = net[1:]
        assert isinstance(part, nn.Sequential) and list(part) == layers[1:] and names(part) == ["1", "2"]

    def test_change(self):
        net = nn.Sequential(Affine(), Affine())
        net[1] = nn.Identity()
        net.append(Affine()).extend([nn.Identity()])
        net.insert(0, nn.Identity())
        kinds = [type(layer).__name__ for layer in net]
        assert kinds == ["Identity", "Affine", "Identity", "Affine", "Identity"]
        assert isinstance(net.pop(1), Affine)
        del net[1:3]
        assert names(net) == ["0", "1"] and list(map(type, net)) == [nn.Identity, nn.Identity]

    def test_insert_returns_the_container_and_checks_the_index(self):
        net = nn.Sequential(Affine())
        assert net.insert(-1, nn.Identity()).insert(2, nn.Identity()) is net
        assert list(map(type, net)) == [nn.Identity, Affine, nn.Identity]
        for index in (4, -4):
            with pytest.raises(IndexError, match=f"Sequential: cannot insert at {index}, there are 3 items"):
                net.insert(index, Affine())

    def test_sum(self):
        first, second = nn.Sequential(Affine()), nn.Sequential({"named": nn.Identity()})
        both = first + second
        assert list(both) == [first[0], second[0]] and names(both) == ["0", "1"] and len(first) == 1
        with pytest.raises(ArgumentTypeError, match=r"Sequential: \+ joins two Sequentials, got list; use extend"):
            first + [Affine()]

    def test_deleting_keeps_names_that_are_no_numbers(self):
        net = nn.Sequential({"a": Affine(), "b": Affine(), "c": Affine()})
        del net[1]
        assert names(net) == ["a", "c"]

    def test_errors(self):
        with pytest.raises(ArgumentTypeError, match="Sequential: expected a Module, got function"):
            nn.Sequential(Affine(), lambda x: x)
        with pytest.raises(OutOfRangeError, match="Sequential: index 2 is out of range for 1 items"):
            nn.Sequential(Affine())[2]
        with pytest.raises(ArgumentTypeError, match="expected an integer or a slice, got 'a'"):
            nn.Sequential(Affine())["a"]
        with pytest.raises(ArgumentTypeError, match="Sequential: expected a Module, got int"):
            nn.Sequential(Affine())[0] = 1


class TestModuleList:
    def test_registers(self):
        layers = nn.ModuleList([Affine(), Affine()])
        assert names(layers) == ["0", "1"] and len(list(layers.parameters())) == 4
        layers += [nn.Identity()]
        both = layers + [Affine()]
        assert len(layers) == 3 and len(both) == 4 and isinstance(both, nn.ModuleList)
        assert isinstance(layers[1:], nn.ModuleList) and names(layers[1:]) == ["0", "1"]
        assert len(nn.ModuleList()) == 0

    def test_extend_by_something_else(self):
        with pytest.raises(ArgumentTypeError, match="ModuleList: expected a list or another iterable, got Affine"):
            nn.ModuleList().extend(Affine())

    def test_names_of_arguments_as_pytorch(self):
        assert len(nn.ModuleList(modules=[Affine()])) == len(nn.ModuleDict(modules={"a": Affine()})) == 1
        weight = Tensor(array(2))
        assert len(nn.ParameterList(values=[weight])) == len(nn.ParameterDict(parameters={"a": weight})) == 1

    def test_has_no_forward(self):
        with pytest.raises(MissingMethodError, match="ModuleList defines no forward"):
            nn.ModuleList()(1)

    def test_repr_gathers_equal_neighbors(self):
        layers = nn.ModuleList([Affine(), Affine(), nn.Identity()])
        assert repr(layers) == "ModuleList(\n  (0-1): 2 x Affine(3)\n  (2): Identity()\n)"
        assert repr(nn.ModuleList()) == "ModuleList()"


class TestModuleDict:
    def test_is_a_dict(self):
        layers = nn.ModuleDict({"a": Affine(), "b": nn.Identity()})
        assert "a" in layers and "c" not in layers and len(layers) == 2
        assert list(layers) == list(layers.keys()) == ["a", "b"]
        assert list(layers.values()) == [layers["a"], layers["b"]] and list(layers.items())[0] == ("a", layers.a)
        layers.update([("c", Affine())])
        layers["a"] = nn.Identity()
        assert isinstance(layers.pop("c"), Affine) and isinstance(layers["a"], nn.Identity)
        del layers["a"]
        assert list(layers) == ["b"] and names(layers) == ["b"]
        layers.clear()
        assert len(layers) == 0

    def test_errors(self):
        with pytest.raises(MissingAttributeError, match=r"ModuleDict: there is no 'b', only \['a'\]"):
            nn.ModuleDict({"a": Affine()})["b"]
        with pytest.raises(KeyError, match="there is no 'b'"):
            del nn.ModuleDict({"a": Affine()})["b"]
        with pytest.raises(ArgumentError, match="already has an attribute 'keys'"):
            nn.ModuleDict({"keys": Affine()})
        with pytest.raises(ArgumentTypeError, match="expected a dict or pairs of name and item, got int"):
            nn.ModuleDict(7)
        with pytest.raises(ArgumentTypeError, match="ModuleDict: expected a Module, got int"):
            nn.ModuleDict({"a": 1})


class TestParameters:
    def test_list(self):
        weights = nn.ParameterList([nn.Parameter(array(2)), Tensor(array(3))])
        assert [p.shape for p in weights] == [(2,), (3,)] and all(p.requires_grad for p in weights)
        assert list(weights.state_dict()) == ["0", "1"] and len(list(weights.parameters())) == 2
        weights[0] = Tensor(array(4))
        weights += [Tensor(array(5))]
        assert [p.shape for p in weights[::2]] == [(4,), (5,)] and isinstance(weights[::2], nn.ParameterList)
        assert len(nn.ParameterList()) == 0
        with pytest.raises(ArgumentTypeError, match="ParameterList: expected a Parameter, got ndarray"):
            weights.append(array(2))

    def test_dict(self):
        weights = nn.ParameterDict({"a": Tensor(array(2))})
        weights["b"] = nn.Parameter(array(3))
        assert isinstance(weights["a"], nn.Parameter) and list(weights) == ["a", "b"] and "b" in weights
        assert list(weights.state_dict()) == ["a", "b"] and weights.pop("b").shape == (3,)
        with pytest.raises(KeyError, match="there is no 'b'"):
            weights["b"]

    def test_repr(self):
        text = "ParameterDict(\n  (a): Parameter of shape (2,), float32\n)"
        assert repr(nn.ParameterDict({"a": Tensor(array(2))})) == text
        assert repr(nn.ParameterList()) == "ParameterList()"
