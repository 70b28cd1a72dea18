"""Kill −9 at random moments: there is always one whole checkpoint, and the training ends with the same bits.

``MINIDL_KILLS=50 pytest tests/training/test_kill.py`` kills so many times; the usual number is small.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import minidl as ml

KILLS = int(os.environ.get("MINIDL_KILLS", 3))
WORKER = Path(__file__).with_name("kill_worker.py")
ROOT = WORKER.parents[2]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")


def start(run, result):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    return subprocess.Popen([sys.executable, WORKER, run, result], env=environment, stderr=subprocess.PIPE)


def wait_for_a_save(path, process):
    """Until this process has replaced the checkpoint, so that it is amid the training, or has ended."""
    before = path.stat().st_ino if path.exists() else None
    while process.poll() is None and (not path.exists() or path.stat().st_ino == before):
        time.sleep(0.001)


def finish(run, result):
    process = start(run, result)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors.decode()
    return ml.load(result)


@pytest.mark.timeout(1200)
def test_killed_at_random_moments(tmp_path):
    whole = finish(tmp_path / "whole.npz", tmp_path / "whole_result.npz")
    rng, kills, amid_a_write, trainings = random.Random(0), 0, 0, 0
    while kills < KILLS:
        folder = tmp_path / f"training{trainings}"
        folder.mkdir()
        run, result = folder / "run.npz", folder / "result.npz"
        for _ in range(3):  # several kills of one training, as long as it goes on
            process = start(run, result)
            wait_for_a_save(run, process)
            time.sleep(rng.uniform(0, 0.12))
            process.kill()
            process.communicate()
            if process.returncode != -signal.SIGKILL:
                assert process.returncode == 0
                break
            kills += 1
            amid_a_write += any(folder.glob(".run.npz.*.tmp"))
            assert 0 <= ml.load(run)["step"] <= 84, "the checkpoint is whole"
        resumed = finish(run, result)
        trainings += 1
        assert resumed["history"] == whole["history"]
        for name, tensor in whole["model"].items():
            np.testing.assert_array_equal(resumed["model"][name].data, tensor.data, err_msg=name)
        assert sorted(path.name for path in folder.iterdir()) == ["result.npz", "run.npz"], "no leftovers"
    print(f"{kills} kills in {trainings} trainings, {amid_a_write} of them amid a write")
