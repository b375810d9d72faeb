"""Packages that loading a model does not import."""

import subprocess
import sys

from tests.persistence.fuzzing import models


def test_loading_imports_neither_tensorflow_nor_torch(root, tmp_path):
    paths = [path for _, path, _ in models(tmp_path)]
    code = (
        "import sys; from skbcnn import load_folder; [load_folder(path) for path in sys.argv[1:]]; "
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code, *paths], cwd=root, check=False).returncode == 0
