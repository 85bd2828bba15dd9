"""`bench doctor`: what this installation is."""

import os
import platform

from bench.cli.options import DataOption
from bench.cli.output import print_table
from bench.paths import VERSION


def show_installation(data: DataOption = None) -> None:
    """Show which Python, torch, GPU, data sets and bench are found."""
    import torch

    from bench import paths
    from bench.datasets import locate, sets
    from bench.engine import env
    from bench.suite import suites
    from bench.suite.schema import compact

    root = paths.data_root(data)
    rows: list[tuple[str, object]] = [
        ("bench", f"{VERSION} from {paths.PACKAGE}"),
        ("code", compact(env.git() or "not a checkout")),
        ("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("torch", f"{torch.__version__}, {torch.get_num_threads()} threads"),
        ("cpu", f"{env.cpu()}, {os.cpu_count()} cores, {env.memory_gib():.1f} GiB"),
    ]
    for i in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(i)
        rows.append(
            (f"cuda:{i}", f"{gpu.name}, {gpu.total_memory / 2**30:.1f} GiB, driver {env.driver()}")
        )
    if not torch.cuda.is_available():
        rows.append(("gpu", "none that torch can use: runs go to the CPU"))
    rows.append(("data", root))
    rows += [
        (f"  {name}", locate.find_folder(name, root) or f"not found: bench data get {name}")
        for name in sets.set_names()
    ]
    rows.append(("suites", ", ".join(suites.names())))
    print_table("bench doctor", ("", ""), rows)
