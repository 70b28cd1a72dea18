"""Each lesson's ``--fast`` run prints and draws the same twice: ``pytest tests/lessons --lessons-twice``.

The clock of both runs moves with each look at it (see ``_fixed_clock.py``), so that times, and what follows from them,
need not be left out. The two are processes of their own, in which sets and dicts of strings come in different orders.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import minidl as ml

ROOT = Path(__file__).parents[2]
LESSONS = sorted((ROOT / "lessons").glob("[0-9][0-9]_*.py"))


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The lessons in a folder of their own, where their pictures do not get in anybody's way."""
    folder = tmp_path_factory.mktemp("twice") / "lessons"
    shutil.copytree(ROOT / "lessons", folder, ignore=shutil.ignore_patterns("output", "__pycache__"))
    return folder


def results(script, seed):
    """(what it printed, {picture: bytes}) of a run of the lesson; `seed` is that of Python's hashes."""
    shutil.rmtree(script.parent / "output", ignore_errors=True)
    command = [sys.executable, str(Path(__file__).with_name("_fixed_clock.py")), str(script), "--fast"]
    environment = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), {path.name: path.read_bytes() for path in (script.parent / "output").glob("*")}


def test_there_are_lessons():
    assert [path.name[:2] for path in LESSONS] == [f"{number:02d}" for number in range(1, len(LESSONS) + 1)]
    assert ml.__file__ == str(ROOT / "minidl" / "__init__.py"), "another minidl is installed"


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_twice(lesson, copy):
    (printed, drawn), (printed2, drawn2) = (results(copy / lesson.name, seed) for seed in (1, 2))
    assert len(printed) > 5
    assert printed == printed2
    assert [name for name in drawn | drawn2 if drawn.get(name) != drawn2.get(name)] == []
