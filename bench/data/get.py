"""Brings a published set to the data root: from its publishers, from the Hugging Face Hub, or made from photographs."""

import fnmatch
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bench.data.doctor import where
from bench.data.download import ANSWER, STALL, Progress, download, md5sum, within
from bench.data.files import by_hand, locate
from bench.data.natural import check, mark
from bench.data.readers import read
from bench.datasets import sets
from bench.datasets.sets import DataSet
from bench.errors import BenchError, UsageError

PATIENCE = 10.0  # seconds to wait for another process that gets the same set
GENERATED = "mnist-m/generated"


def get(
    name: str, root: Path, *, photos: Path | None = None, progress: Progress | None = None, mirror: str | None = None
) -> Path:
    """Sees to it that a set lies below root, whole and as published, and returns its folder; resumes what broke off.

    photos: make mnist-m from this folder of photographs and the MNIST below root. progress: told of what arrives.
    mirror: the only address to ask, which serves the layout as published and speaks like the Hub.
    Raises UsageError when the set is not one to download, BenchError when it cannot be had.
    """
    facts = sets.find(name)
    if facts is sets.FOLDER:
        raise UsageError(f"images of your own cannot be downloaded: {by_hand(facts, root)}")
    if photos is not None and facts is not sets.MNIST_M:
        raise UsageError(f"only mnist-m is made from photographs; leave the photographs out to download {name}")
    if not facts.embedded:
        with _alone(facts, root):
            if photos is not None:
                _make_mnist_m(root, photos)
            elif (found := locate(facts, root)) and facts.domains and mark(found.folder):
                raise BenchError(f"{found.folder} holds made-up images, which would be read before others: move it away first")
            elif not _intact(facts, root):
                _fetch(facts, root, progress, mirror)
                _verify(facts, root)  # refuses what is still not the published set: a damaged older copy in the way
    folder = where(name, root)
    if folder is None:
        raise BenchError(f"{name} comes with the package {facts.embedded}, which is not installed")
    return folder


@contextmanager
def _alone(facts: DataSet, root: Path) -> Iterator[None]:
    """One process at a time works on a set."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{facts.name}.lock", timeout=PATIENCE):
            yield
    except Timeout as e:
        raise BenchError(f"another process is at work on {facts.name} in {root}; wait for it to end") from e
    except OSError as e:
        raise BenchError(f"cannot write below {root}: {e}; name another folder with --data") from e


def _verify(facts: DataSet, root: Path) -> None:
    """Raises BenchError unless the set is there as published."""
    if facts.domains:
        check(facts, root)
    else:
        read(facts, root)


def _intact(facts: DataSet, root: Path) -> bool:
    try:
        _verify(facts, root)
    except BenchError:  # whatever is wrong with it, it has to be fetched
        return False
    return True


def _fetch(facts: DataSet, root: Path, progress: Progress | None, mirror: str | None) -> None:
    """From the publishers, else from the Hub. Raises BenchError with what everybody said and what to do by hand."""
    failures = []
    for source, offered in ((_from_publishers, facts.downloads), (_from_hub, facts.hub)):
        if not offered:
            continue
        try:
            source(facts, root, progress, mirror)
            return
        except BenchError as e:
            failures.append(str(e))
    raise BenchError(
        f"{facts.name} could not be downloaded ({'; '.join(failures)}): run `bench data get {facts.name}` again when "
        f"there is a network (it goes on where it stopped), or {by_hand(facts, root)}"
    )


def _from_publishers(facts: DataSet, root: Path, progress: Progress | None, mirror: str | None) -> None:
    for remote in facts.downloads:
        path, md5 = root / remote.path, facts.md5s[remote.name]
        if not (path.is_file() and md5sum(path) == md5):
            urls = remote.urls if mirror is None else (f"{mirror}/{remote.path}",)
            download(urls, path, md5, progress)


def _from_hub(facts: DataSet, root: Path, _: Progress | None, mirror: str | None) -> None:
    """The Hub's own client resumes, checks and shows its progress; it only has to be kept from waiting for ever."""
    from huggingface_hub import HfApi, hf_hub_download

    repo = str(facts.hub)
    try:
        info = within(ANSWER, lambda: HfApi(endpoint=mirror).dataset_info(repo, timeout=STALL))
        for name in fnmatch.filter((file.rfilename for file in info.siblings or ()), facts.hub_files):
            hf_hub_download(repo, name, repo_type="dataset", revision=info.sha, local_dir=root / facts.name, endpoint=mirror)
    except Exception as e:  # those of whichever HTTP library this version of the client is built on
        raise BenchError(f"Hugging Face data set {repo}: {e or type(e).__name__}".splitlines()[0]) from e


def _make_mnist_m(root: Path, photos: Path) -> None:
    from bench.data.domain import load
    from bench.data.mnist_m import generate_mnist_m
    from bench.data.parquet import write
    from bench.suite.suites import DomainSpec

    if (copy := where("mnist-m", root)) and copy != root / GENERATED:
        raise BenchError(f"{copy} already holds an MNIST-M, which would be read before a new one: move it away first")
    mnist = load("mnist", DomainSpec(set="mnist"), root=root, size=28, resize="nearest", classes=10)
    made = generate_mnist_m(mnist, photos)
    write(root / GENERATED / "train-00000.parquet", made.train.x.numpy(), made.train.y.numpy())
    write(root / GENERATED / "test-00000.parquet", made.test.x.numpy(), made.test.y.numpy())
