"""A short run of `tests.persistence.fuzzing`."""

import subprocess
import sys

import pytest

KINDS = ("folder", "zip", "astroNN, Keras 2", "astroNN, Keras 3", "SDSS-V")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="each damaged model is loaded in a fork")
def test_nothing_is_found_in_half_a_minute(root):
    command = [sys.executable, "-m", "tests.persistence.fuzzing", "--minutes", "0.5", "--seed", "77000000"]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert all(f"{kind}: " in ended.stdout for kind in KINDS)
