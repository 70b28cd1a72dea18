"""BLAS at one thread inside kernels that split their work themselves, and back to what it was after."""

import os
import threading

import numpy as np
import pytest

from minidl.backend import blas, crew, one_blas_thread


class FakeBlas:
    def __init__(self):
        self.threads = 4
        self.calls = []

    def set(self, count):
        self.calls.append(count)
        self.threads = count


@pytest.fixture
def fake(monkeypatch):
    crew._dismiss()  # workers keep BLAS at one thread
    fake = FakeBlas()
    monkeypatch.setattr(blas, "_openblas", lambda: (lambda: fake.threads, fake.set))
    return fake


def test_one_thread_inside_and_the_old_number_afterwards(fake):
    with one_blas_thread():
        assert fake.threads == 1
        with one_blas_thread():
            assert fake.threads == 1
        assert fake.threads == 1  # the inner block does not end the outer one
    assert fake.threads == 4
    assert fake.calls == [1, 4]


def test_an_exception_restores_it_too(fake):
    with pytest.raises(ZeroDivisionError, match="division"), one_blas_thread():
        1 / 0  # noqa: B018
    assert fake.threads == 4


def test_overlapping_threads_restore_it_once_all_have_left(fake):
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with one_blas_thread():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    with one_blas_thread():
        thread.start()
        assert entered.wait(10)
    assert fake.threads == 1  # the other thread is still inside
    leave.set()
    thread.join(10)
    assert fake.threads == 4


def test_nothing_is_touched_where_it_is_one_already(fake):
    fake.threads = 1
    with one_blas_thread():
        pass
    assert fake.calls == []


def test_another_blas_is_left_alone(monkeypatch):
    monkeypatch.setattr(blas, "_openblas", lambda: None)
    with one_blas_thread():
        assert (np.ones((2, 2)) @ np.ones((2, 2)) == 2).all()


def test_the_blas_of_numpy_is_found_or_is_no_openblas():
    blas._openblas.cache_clear()
    found = blas._openblas()
    if found is not None:
        get, put = found
        before = get()
        put(1)
        assert get() == 1
        put(before)
        assert get() == before


@pytest.mark.parametrize("library", ["not a library", "no such function"])
def test_a_library_that_is_no_openblas_is_passed_over(monkeypatch, tmp_path, library):
    package = tmp_path / "numpy"
    (tmp_path / "numpy.libs").mkdir()
    package.mkdir()
    (tmp_path / "numpy.libs" / "libopenblas.so").write_bytes(b"junk")
    monkeypatch.setattr(blas.np, "__file__", str(package / "__init__.py"))
    if library == "no such function":
        monkeypatch.setattr(blas.ctypes, "CDLL", lambda path: object())
    blas._openblas.cache_clear()
    assert blas._openblas() is None
    blas._openblas.cache_clear()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_starts_outside(fake):
    with one_blas_thread():
        child = os.fork()
        if child == 0:
            os._exit(blas._inside)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert fake.threads == 4
