"""Facts are cheap: asking for one imports no library that handles pixels."""

import subprocess
import sys


def test_facts_need_neither_pixels_nor_tensors() -> None:
    code = """
import sys
import bench.datasets.facts, bench.datasets.generated, bench.datasets.locate, bench.datasets.sets
used = {"numpy", "torch", "PIL", "rich", "pydantic"} & set(sys.modules)
sys.exit(", ".join(used) or 0)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
