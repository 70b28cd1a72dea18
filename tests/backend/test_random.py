"""Named random streams: independent, restartable, saved and restored exactly."""

import json

import numpy as np
import pytest

import minidl as ml
from minidl import backend
from minidl.backend import STREAM_NAMES, Generator, stream
from minidl.errors import ArgumentError, ArgumentTypeError


def test_a_seed_determines_everything():
    ml.manual_seed(3)
    first = [ml.rand(4), ml.randn(2, 2), ml.randint(10, (3,)), ml.randperm(5), stream("dropout").numpy.random(3)]
    assert ml.manual_seed(3) is stream("default")
    second = [ml.rand(4), ml.randn(2, 2), ml.randint(10, (3,)), ml.randperm(5), stream("dropout").numpy.random(3)]
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    ml.manual_seed(4)
    assert not np.array_equal(ml.rand(4).data, first[0].data)


def test_streams_differ_and_do_not_disturb_each_other():
    ml.manual_seed(0)
    draws = {name: stream(name).numpy.random(8).tolist() for name in STREAM_NAMES}
    assert len({tuple(d) for d in draws.values()}) == len(STREAM_NAMES)
    ml.manual_seed(0)
    stream("augment").numpy.random(1000)
    for name in STREAM_NAMES:
        if name != "augment":
            assert stream(name).numpy.random(8).tolist() == draws[name]


def test_streams_keep_their_identity():
    before = stream("data")
    ml.manual_seed(1)
    assert stream("data") is before


def test_unknown_streams():
    with pytest.raises(ArgumentError, match="no random stream 'datas'; there are default, init, data"):
        stream("datas")


def test_generators():
    a, b = Generator(5), ml.Generator().manual_seed(5)
    np.testing.assert_array_equal(ml.randn(4, generator=a).data, ml.randn(4, generator=b).data)
    assert not np.array_equal(Generator().numpy.random(4), Generator().numpy.random(4))
    assert Generator(np.int64(5)).numpy.random() == Generator(5).numpy.random()
    assert a.device == "cpu"


@pytest.mark.parametrize("seed", [1.0, "1", None, True])
def test_what_is_no_seed(seed):
    with pytest.raises(ArgumentTypeError, match="a seed is an integer, got"):
        ml.manual_seed(seed)
    if seed is not None:
        with pytest.raises(ArgumentTypeError, match="a seed is an integer"):
            Generator(seed)


def test_negative_seeds():
    with pytest.raises(ArgumentError, match="a seed is not negative, got -1"):
        Generator(-1)


def test_states_survive_json():
    generator = Generator(0)
    generator.numpy.random(3)
    generator.numpy.integers(10, dtype=np.uint32)  # leaves half a word behind
    state = json.loads(json.dumps(generator.get_state()))
    expected = generator.numpy.integers(1 << 30, size=5, dtype=np.uint32), generator.numpy.random(4)
    other = Generator(99)
    other.set_state(state)
    np.testing.assert_array_equal(other.numpy.integers(1 << 30, size=5, dtype=np.uint32), expected[0])
    np.testing.assert_array_equal(other.numpy.random(4), expected[1])


def test_the_state_of_all_streams():
    ml.manual_seed(0)
    state = json.loads(json.dumps(ml.get_random_state()))
    assert set(state) == set(STREAM_NAMES)
    first = [stream(name).numpy.random() for name in STREAM_NAMES]
    ml.set_random_state(state)
    assert [stream(name).numpy.random() for name in STREAM_NAMES] == first


def test_the_part_for_gpus_is_part_of_the_state():
    generator = Generator(7)
    before = generator.get_state()
    assert "cuda" not in before
    key, position = generator.reserve(5)
    assert position == 0 and generator.reserve(2) == (key, 5)
    state = json.loads(json.dumps(generator.get_state()))
    assert state == before | {"cuda": [key, 7]}
    other = Generator(1)
    other.set_state(state)
    assert other.reserve(1) == (key, 7) == generator.reserve(1)
    other.set_state(before)  # of a time when no GPU had drawn, or of a version without this part
    assert other.get_state() == before and other.reserve(1) == (key, 0)
    assert Generator(7).reserve(1) == (key, 0) and Generator(8).reserve(1)[0] != key
    assert generator.manual_seed(7).reserve(1) == (key, 0)


def test_streams_have_parts_for_gpus_of_their_own():
    ml.manual_seed(0)
    parts = [stream(name).reserve(3) for name in STREAM_NAMES]
    assert len({key for key, _ in parts}) == len(STREAM_NAMES)
    state = json.loads(json.dumps(ml.get_random_state()))
    ml.manual_seed(1)
    assert "cuda" not in stream("noise").get_state()
    ml.set_random_state(state)
    assert [stream(name).reserve(1) for name in STREAM_NAMES] == [(key, 3) for key, _ in parts]


def test_positions_come_round():
    generator = Generator(0)
    generator.set_state(generator.get_state() | {"cuda": [1, 2**128 - 1]})
    assert generator.reserve(2) == (1, 2**128 - 1) and generator.reserve(0) == (1, 1)


GOOD = {"bit_generator": "SFC64", "state": [1, 2, 3, 4], "has_uint32": 0, "uinteger": 0}


@pytest.mark.parametrize(
    "bad",
    [
        {},
        None,
        {"bit_generator": "PCG64", "state": [1, 2, 3, 4], "has_uint32": 0, "uinteger": 0},
        {"bit_generator": "SFC64", "state": [1, 2, 3], "has_uint32": 0, "uinteger": 0},
        {"bit_generator": "SFC64", "state": [1, 2, 3, -4], "has_uint32": 0, "uinteger": 0},
        {"bit_generator": "SFC64", "state": "abcd", "has_uint32": 0, "uinteger": 0},
        {"bit_generator": "SFC64", "state": [1, 2, 3, 4]},
        GOOD | {"cuda": [2**64, 0]},
        GOOD | {"cuda": [0, 2**128]},
        GOOD | {"cuda": [0, -1]},
        GOOD | {"cuda": [0]},
        GOOD | {"cuda": None},
        GOOD | {"cuda": "ab"},
    ],
)
def test_bad_states_change_nothing(bad):
    generator = Generator(0)
    before = generator.get_state()
    with pytest.raises(ArgumentError, match="Generator.set_state: not a state made by Generator.get_state"):
        generator.set_state(bad)
    assert generator.get_state() == before
    state = backend.get_random_state()
    with pytest.raises(ArgumentError, match="not a state"):
        backend.set_random_state({**Restart(state), "noise": bad})
    assert backend.get_random_state() == state


class Restart(dict):
    """The states of other streams: what must not be left behind when one of them fails."""

    def __init__(self, state):
        other = Generator(1234).get_state()
        super().__init__({name: other for name in state})


def test_states_of_other_streams():
    state = ml.get_random_state()
    with pytest.raises(ArgumentError, match="streams .* were given, but .* are needed"):
        ml.set_random_state({name: s for name, s in state.items() if name != "init"})
    with pytest.raises(ArgumentTypeError, match="expected a state of get_random_state, got NoneType"):
        ml.set_random_state(None)
    assert ml.get_random_state() == state


def test_distributions():
    ml.manual_seed(0)
    u, n = ml.rand(20000).data, ml.randn(20000).data
    assert 0 <= u.min() and u.max() < 1 and abs(u.mean() - 0.5) < 0.01
    assert abs(n.mean()) < 0.03 and abs(n.std() - 1) < 0.03
    i = ml.randint(2, 5, (1000,)).data
    assert set(i.tolist()) == {2, 3, 4}
    assert sorted(ml.randperm(50).tolist()) == list(range(50))
