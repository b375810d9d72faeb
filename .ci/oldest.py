"""Print the lower bounds of all dependencies, each with its newest patch release, as constraints for pip."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = project["optional-dependencies"]
for requirement in project["dependencies"] + [
    line for name in ("plot", "report", "cli", "dask", "pandas", "parquet", "sdss", "test") for line in extras[name]
]:
    if bound := re.fullmatch(r"([\w-]+)(?:\[[\w,]+\])?>=([\d.]+)", requirement):
        print(f"{bound[1]}=={bound[2]}.*")
    elif not requirement.startswith("skbcnn["):
        raise SystemExit(f"pyproject.toml has {requirement!r}, expected a lower bound: name>=version.")
