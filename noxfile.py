"""nox -s demo | tests | slow | mutants | attack | slurm | ray | latex | lint | perf | build.

Every session makes its own environment from the hashed constraints.
"""

import os
import shutil
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True

# compiled modules are kept, whatever the caller's shell says: the tests and the workers of a grid
# start hundreds of interpreters, and compiling torch's modules anew takes each of them 10 seconds
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

NO_TIMES = ("-p", "no:benchmark")
PINNED = ("--require-hashes", "-r", "constraints.txt")


def install(session: nox.Session) -> None:
    """The pinned dependencies, each checked against its hash, then this checkout."""
    session.install(*PINNED)
    session.install("--no-deps", "--no-build-isolation", "-e", ".")


@nox.session
def demo(session: nox.Session) -> None:
    """Train the embedded demo and print its table.

    Its records go to runs/, because results/ holds the reference runs.
    """
    install(session)
    own = ("--suite", "demo", "--results", "runs", "--workers", "2")
    session.run("bench", "run", *own, *session.posargs)
    session.run("bench", "tables", "--suite", "demo", "--results", "runs")


@nox.session
def tests(session: nox.Session) -> None:
    """The test suite on two cores; `nox -s tests -- -k name` passes arguments on."""
    install(session)
    session.run("pytest", "-n", "2", *NO_TIMES, *session.posargs)


@nox.session
def slow(session: nox.Session) -> None:
    """The tests of more than five seconds of a core each, which `nox -s tests` leaves out."""
    install(session)
    alone = ("--ignore", "tests/execute/test_cluster.py")  # nox -s ray
    session.run("pytest", "-n", "2", *NO_TIMES, "-m", "slow", *alone, *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Whether the tests find what is wrong: about 750 wrong programs, an hour or more.

    `nox -s mutants -- bench/runs` tries those of one room, `-- --sample 200` so many of all rooms,
    drawn by chance. Fails below 95 % found.
    """
    install(session)
    session.run("python", "tests/mutants/run.py", *session.posargs)


@nox.session
def attack(session: nox.Session) -> None:
    """Half an hour of harm, the counts of which are printed: records, suites, settings and data
    files with anything done to them; processes killed at random moments, eight on one grid among
    them; full disks, vanished folders, jumping clocks. Nothing may be lost, counted twice or false.

    The other sessions do a little of each. ATTACK_SEED=1000 nox -s attack: other harm.
    """
    install(session)
    every = ("tests/attack", "-m", "slow or not slow")
    session.run("pytest", "-n", "2", *NO_TIMES, *every, *session.posargs, env={"ATTACK": "whole"})
    session.run("python", "tests/attack/killed_workers.py")


@nox.session
def slurm(session: nox.Session) -> None:
    """Job arrays on a SLURM of this machine, which has to answer `sinfo` (minutes)."""
    if not shutil.which("sbatch"):
        session.error("there is no sbatch: install SLURM (Debian: slurm-wlm) and start it")
    install(session)
    session.run("pytest", "-q", "tests/execute/test_slurm.py", "-m", "slow or not slow")


@nox.session
def ray(session: nox.Session) -> None:
    """A Ray cluster on this machine, whose nodes come and go."""
    install(session)
    where = ("tests/execute/test_cluster.py", "-m", "slow")
    session.run("pytest", *NO_TIMES, *where, *session.posargs)


@nox.session
def latex(session: nox.Session) -> None:
    """Compile every page and table with pdflatex (Debian: texlive-latex-extra)."""
    if not shutil.which("pdflatex"):
        session.error("there is no pdflatex: install TeX Live")
    install(session)
    session.run("pytest", "-q", "tests/report", "-m", "slow or not slow", "-k", "latex_compiles")


@nox.session
def lint(session: nox.Session) -> None:
    """Style, types, the direction of imports, and that the rendered tables match the records."""
    install(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports")
    session.run("bench", "tables", "--check")
    session.run("bench", "tables", "--suite", "officehome", "--cost", "--check")


@nox.session
def perf(session: nox.Session) -> None:
    """What the harness costs beside a bare loop, as ratios within one run."""
    install(session)
    session.run("pytest", "tests/perf", "--benchmark-only", "-s", *session.posargs)
    session.run("python", "tests/perf/many_records.py")


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheel, then use it from another folder.

    Beside PyTables, whose name our folder `tables` must not shadow.
    """
    session.install(*PINNED)
    session.run("python", "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist")
    wheel = max(Path("dist").glob("*.whl"), key=lambda p: p.stat().st_mtime)
    session.install("--no-deps", "--force-reinstall", str(wheel))
    session.run("python", "-c", BESIDE_PYTABLES)
    session.chdir(session.create_tmp())
    session.run("bench", "--version")
    session.run("bench", "ls", "suites")
    session.run("bench", "run", "--suite", "digits", "--smoke", "--device", "cpu")
    session.run("bench", "tables", "--suite", "digits", silent=True)


BESIDE_PYTABLES = """
import tables, pandas, tempfile, pathlib
assert hasattr(tables, "open_file"), tables
path = pathlib.Path(tempfile.mkdtemp(), "x.h5")
pandas.DataFrame({"a": [1.0]}).to_hdf(path, key="x")
assert pandas.read_hdf(path).a[0] == 1.0
print("PyTables works beside the folder of claims:", tables.__version__)
"""
