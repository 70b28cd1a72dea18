"""no_grad, enable_grad, set_grad_enabled: blocks, decorators, generators, exceptions."""

import pytest

import minidl as ml
from minidl.errors import ArgumentTypeError


def enabled():
    return ml.is_grad_enabled()


@pytest.fixture(autouse=True)
def _restored():
    assert ml.is_grad_enabled()
    yield
    left = ml.is_grad_enabled()
    ml.set_grad_enabled(True)
    assert left


def test_blocks_nest_and_restore():
    with ml.no_grad():
        assert not enabled()
        with ml.enable_grad():
            assert enabled()
            with ml.no_grad():
                assert not enabled()
            assert enabled()
        assert not enabled()
        with ml.no_grad():
            assert not enabled()
        assert not enabled()
    assert enabled()


def test_one_object_may_be_entered_again():
    mode = ml.no_grad()
    with mode:
        with mode:
            assert not enabled()
        assert not enabled()
    assert enabled()
    with mode:
        assert not enabled()


def test_exceptions_restore():
    for mode in (ml.no_grad, lambda: ml.set_grad_enabled(False)):
        with pytest.raises(KeyError, match="planted"):
            with mode():
                raise KeyError("planted")
        assert enabled()

    @ml.no_grad
    def fails():
        raise KeyError("planted")

    with pytest.raises(KeyError, match="planted"):
        fails()
    assert enabled()


@pytest.mark.parametrize("decorate", [ml.no_grad, ml.no_grad(), ml.set_grad_enabled], ids=["bare", "called", "set"])
def test_decorators(decorate):
    decorate = ml.set_grad_enabled(False) if decorate is ml.set_grad_enabled else decorate

    @decorate
    def evaluate(a, *, b):
        """Doc."""
        return a, b, enabled()

    assert enabled()
    assert evaluate(1, b=2) == (1, 2, False)
    assert enabled()
    assert evaluate.__name__ == "evaluate" and evaluate.__doc__ == "Doc."

    @ml.enable_grad
    def train():
        return enabled(), evaluate(0, b=0)[2], enabled()

    with ml.no_grad():
        assert train() == (True, False, True)
        assert not enabled()


def test_decorated_methods_and_recursion():
    class Model:
        @ml.no_grad()
        def forward(self, depth):
            return (enabled() or self.forward(depth - 1)) if depth else "bottom"

    assert Model().forward(20) == "bottom"
    assert enabled()


def test_results_do_not_require_gradients():
    x = ml.ones(2, requires_grad=True)
    with ml.no_grad():
        y = x * 2
        assert not y.requires_grad and y.is_leaf
        made = ml.ones(2, requires_grad=True)  # asked for by name, it still does
    assert made.requires_grad and (made * 2).requires_grad


def test_generators_keep_the_mode_to_themselves():
    """Between two steps the consumer's own mode holds."""
    inside = []

    @ml.no_grad()
    def batches(count):
        for i in range(count):
            inside.append(enabled())
            answer = yield i
            inside.append(enabled())
            if answer:
                inside.append(answer)
        return "done"

    generator = batches(2)
    assert next(generator) == 0
    assert enabled()
    with ml.no_grad():
        assert generator.send("hello") == 1
        assert not enabled()
    with pytest.raises(StopIteration, match="done"):
        next(generator)
    assert enabled()
    assert inside == [False, False, "hello", False, False]
    assert list(batches(3)) == [0, 1, 2]


def test_generators_that_fail_or_are_closed():
    log = []

    @ml.no_grad
    def steps():
        try:
            while True:
                try:
                    yield enabled()
                except ValueError:
                    log.append(("caught", enabled()))
        finally:
            log.append(("closed", enabled()))

    generator = steps()
    assert next(generator) is False
    assert generator.throw(ValueError("planted")) is False
    generator.close()
    assert log[0] == ("caught", False) and log[1][0] == "closed"
    assert enabled()

    @ml.no_grad
    def fails():
        yield 1
        raise KeyError("planted")

    generator = fails()
    next(generator)
    with pytest.raises(KeyError, match="planted"):
        next(generator)
    assert enabled()


def test_set_grad_enabled_works_as_a_call():
    ml.set_grad_enabled(False)
    assert not enabled()
    ml.set_grad_enabled(True)
    assert enabled()


def test_set_grad_enabled_works_as_a_block():
    with ml.set_grad_enabled(False):
        assert not enabled()
        with ml.set_grad_enabled(True):
            assert enabled()
        assert not enabled()
    assert enabled()
    for flag in (1, 0, ""):
        with ml.set_grad_enabled(flag):
            assert enabled() is bool(flag)
    mode = ml.set_grad_enabled(False)
    for _ in range(2):
        with mode:
            assert not enabled()
        assert enabled()


def test_only_functions_can_be_decorated():
    for decorate in (ml.no_grad, ml.no_grad(), ml.enable_grad):
        with pytest.raises(ArgumentTypeError, match="grad: expected a function to decorate, got 5"):
            decorate(5)
