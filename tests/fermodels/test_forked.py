"""A server that makes its `Predictor` first and forks its workers then (gunicorn --preload)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_nets import tiny_checkpoint

SERVER = """
import os, signal, sys
import numpy as np, torch
from fermodels.predict.predictor import Predictor
torch.set_num_threads(2)
predictor = Predictor(sys.argv[1], "mtcnn" if sys.argv[2] == "mtcnn" else None)
picture = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
def answers():
    return np.array([list(face.probabilities.values()) for faces in predictor.predict([picture] * 4) for face in faces])
alone = answers()
if not os.fork():
    signal.alarm(100)  # it would wait for threads that are not there
    os._exit(0 if np.allclose(answers(), alone, atol=1e-5) else 1)
print(os.wait()[1])
"""


@pytest.mark.parametrize("detector", ["mtcnn", "none"])
def test_a_forked_worker_gives_the_same_answers_and_does_not_wait_for_ever(detector: str, tmp_path: Path):
    model = tiny_checkpoint("mrf", tmp_path / "net")
    settings = os.environ | {"OMP_NUM_THREADS": "2", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-W", "ignore", "-c", SERVER, str(model), detector]
    ended = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=300, check=True)
    assert ended.stdout.split() == ["0"], ended.stderr
