"""The harness of the kill tests finds what it looks for: it must not pass for a command that loses work."""

import sys

import pytest

from tests.kills import kill_and_resume

RESUMES = """
import sys, time
from pathlib import Path
from skbcnn._resumable import resumable_job
import numpy as np
with resumable_job(Path(sys.argv[1]), settings={}, inputs=[], n_chunks=20) as job:
    for number in job.remaining:
        time.sleep(0.03)
        job.save(number, {"number": np.array(number)})
    with job.output() as temporary:
        temporary.write_text(str([int(job.load(number).arrays["number"]) for number in range(20)]))
"""
LEAVES_HALF = "import sys, time; file = open(sys.argv[1], 'w'); print('half', file=file, flush=True); time.sleep(1)"


def test_work_in_chunks_survives_kills(tmp_path):
    out = tmp_path / "numbers.txt"
    assert kill_and_resume([sys.executable, "-c", RESUMES, str(out)], out, n_kills=5, seed=1) >= 1


def test_half_an_output_is_found(tmp_path):
    out = tmp_path / "half.txt"
    command = [sys.executable, "-c", LEAVES_HALF + "; print('done', file=file)", str(out)]
    with pytest.raises(AssertionError, match="is not whole after a kill"):
        kill_and_resume(command, out, n_kills=20, seed=1)
