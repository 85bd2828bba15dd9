"""Ten thousand records of 230 lines: how long tables and plans take over them, and with how much memory.

    python tests/perf/many_records.py [RECORDS]

Makes the records of `officehome` in a temporary folder, then times `bench tables --format md` and
`bench run -n` as whole processes: with no index, then with one.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from itertools import islice, product
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]

import fakes

from bench.runs import plan
from bench.runs.cell import Cell
from bench.runs.files import encode
from bench.runs.lines import Train
from bench.suite import suites

LINES, EVALS = 230, 16


def write(root: Path, cell: Cell) -> None:
    accuracies = [60.0 + (cell.seed * 7 + k) % 20 for k in range(EVALS)]
    run, train, *rest = fakes.lines(cell, accuracies)
    assert isinstance(train, Train)
    n = LINES - len(rest) - 1
    size, left = divmod(cell.recipe.iterations, n)
    steps = [size + (k < left) for k in range(n)]
    windows = [
        train.model_copy(update={"n": m, "step": sum(steps[: k + 1])}) for k, m in enumerate(steps)
    ]
    before = sha256()
    path = root / cell.folder / f"{cell.stem}-1.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(encode(line, before) for line in (run, *windows, *rest)))


def timed(*command: str) -> None:
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "bench", *command], capture_output=True, text=True)
    # 1: the plan is printed, and that Office-Home is missing here
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr, done.stderr
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(
        f"{time.perf_counter() - began:6.2f} s, {peak:.2f} GiB at most so far: {' '.join(command[:5])}",
        flush=True,
    )


def main(records: int) -> None:
    suite = suites.find("officehome")
    seeds = -(-records // (len(suite.rows) * len(suite.tasks)))
    cells = plan.cells(suite, seeds=range(seeds))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        root = Path(folder, "results")
        for cell in islice(cells, records):
            write(root, cell)
        size = sum(p.stat().st_size for p in root.rglob("*.jsonl"))
        print(f"{records:,} records of {LINES} lines, {size / 2**20:,.0f} MiB")
        again = product(("no index", "index"), ("tables", "run"))
        for state, what in again:
            if state == "no index":
                subprocess.run(["rm", "-rf", f"{folder}/cache"], check=True)
            print(f"{state:8}", end=" ")
            if what == "tables":
                timed(
                    "tables",
                    "--suite",
                    "officehome",
                    "--format",
                    "md",
                    "--results",
                    str(root),
                    "--out",
                    f"{folder}/out",
                )
            else:
                timed(
                    "run",
                    "--suite",
                    "officehome",
                    "-n",
                    "--seeds",
                    f"0-{seeds - 1}",
                    "--results",
                    str(root),
                )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
