"""Brings a published set to the data root: from its publishers, from the Hugging Face Hub, or made
from photographs."""

import fnmatch
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bench.data.decode import encode_png
from bench.data.digits import read_digits
from bench.data.download import ANSWER, STALL, DownloadProgress, call_within, download, md5sum
from bench.data.generate import blend_mnist_m
from bench.data.listing import list_domain
from bench.data.parquet import write_parquet
from bench.datasets import sets
from bench.datasets.facts import DataSet
from bench.datasets.generated import read_mark
from bench.datasets.locate import explain_layout, explain_remedy, find_folder, locate
from bench.errors import BenchError, UsageError

PATIENCE = 10.0  # seconds to wait for another process that gets the same set
MADE_MNIST_M = "mnist-m/generated"  # where MNIST-M is put when it is made, below the data root


def get(
    name: str,
    root: Path,
    *,
    photos: Path | None = None,
    progress: DownloadProgress | None = None,
    mirror: str | None = None,
) -> Path:
    """Makes sure that a set lies below root, whole and as published, and returns its folder.

    What was begun earlier is resumed. photos: make mnist-m from this folder of photographs and the
    MNIST below root. progress: called as bytes arrive. mirror: the only address to ask, which
    serves the layout as published and answers as the Hub does.

    Raises UsageError when the set is not one to download, BenchError when it cannot be had.
    """
    facts = sets.find_set(name)
    if facts is sets.FOLDER:
        raise UsageError(f"images of your own cannot be downloaded: {explain_layout(facts, root)}")
    if photos is not None and facts is not sets.MNIST_M:
        raise UsageError(
            f"only mnist-m is made from photographs; leave the photographs out to download {name}"
        )
    if not facts.embedded:
        with _lock(facts, root):
            if photos is not None:
                _make_mnist_m(root, photos)
            else:
                _complete(facts, root, progress, mirror)
    folder = find_folder(name, root)
    if folder is None:
        raise BenchError(
            f"{name} comes with the package {facts.embedded}, which is not installed: install it"
        )
    return folder


def _complete(
    facts: DataSet, root: Path, progress: DownloadProgress | None, mirror: str | None
) -> None:
    """Downloads what is missing of a set. Raises BenchError unless it is then as published."""
    found = locate(facts, root)
    if found and facts.domains and read_mark(found.folder):
        raise BenchError(
            f"{found.folder} holds made-up images, which would be read before others: "
            "move it away first"
        )
    if not _is_intact(facts, root):
        _fetch(facts, root, progress, mirror)
        # a damaged older copy may be in the way of the one that was downloaded
        _verify(facts, root)


@contextmanager
def _lock(facts: DataSet, root: Path) -> Iterator[None]:
    """Lets one process at a time work on a set."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{facts.name}.lock", timeout=PATIENCE):
            yield
    except Timeout as e:
        raise BenchError(
            f"another process is at work on {facts.name} in {root}; wait for it to end"
        ) from e
    except OSError as e:
        raise BenchError(f"cannot write below {root}: {e}; name another folder with --data") from e


def _verify(facts: DataSet, root: Path) -> None:
    """Raises BenchError unless the set is there as published."""
    if facts.domains:
        for domain in facts.domains:
            list_domain(facts, root, domain)
    else:
        read_digits(facts, root)


def _is_intact(facts: DataSet, root: Path) -> bool:
    """Whether the set is there as published."""
    try:
        _verify(facts, root)
    except BenchError:  # whatever is wrong with it, it has to be downloaded
        return False
    return True


def _fetch(
    facts: DataSet, root: Path, progress: DownloadProgress | None, mirror: str | None
) -> None:
    """Downloads a set from its publishers, else from the Hub.

    Raises BenchError saying why neither could give it and what to do by hand.
    """
    if facts.source:
        raise BenchError(f"bench does not download {facts.name}: {explain_remedy(facts, root)}")
    failures = []
    for source, offered in (
        (_download_from_publishers, facts.downloads),
        (_download_from_hub, facts.hub),
    ):
        if not offered:
            continue
        try:
            source(facts, root, progress, mirror)
            return
        except BenchError as e:
            failures.append(str(e))
    raise BenchError(
        f"{facts.name} could not be downloaded ({'; '.join(failures)}): "
        f"run `bench data get {facts.name}` again when there is a network (it goes on where it "
        f"stopped), or {explain_layout(facts, root)}"
    )


def _download_from_publishers(
    facts: DataSet, root: Path, progress: DownloadProgress | None, mirror: str | None
) -> None:
    """Downloads those of the publishers' files that are not there with the published md5."""
    for remote in facts.downloads:
        path, md5 = root / remote.path, facts.md5s[remote.name]
        if not (path.is_file() and md5sum(path) == md5):
            urls = remote.urls if mirror is None else (f"{mirror}/{remote.path}",)
            download(urls, path, md5, progress)


def _download_from_hub(
    facts: DataSet, root: Path, _: DownloadProgress | None, mirror: str | None
) -> None:
    """Downloads the Hub's files. Its client resumes, checks and shows progress by itself, but may
    wait for ever for an answer."""
    from huggingface_hub import HfApi, hf_hub_download

    repo = str(facts.hub)
    try:
        info = call_within(ANSWER, lambda: HfApi(endpoint=mirror).dataset_info(repo, timeout=STALL))
        for name in fnmatch.filter(
            (file.rfilename for file in info.siblings or ()), facts.hub_files
        ):
            hf_hub_download(
                repo,
                name,
                repo_type="dataset",
                revision=info.sha,
                local_dir=root / facts.name,
                endpoint=mirror,
            )
    except Exception as e:  # of whichever HTTP library the client is built on
        raise BenchError(
            f"Hugging Face data set {repo}: {e or type(e).__name__}".splitlines()[0]
        ) from e


def _make_mnist_m(root: Path, photos: Path) -> None:
    """MNIST-M from the MNIST below root and a folder of photographs, as Parquet files."""
    place = root / MADE_MNIST_M
    if (folder := find_folder("mnist-m", root)) and folder != place:
        raise BenchError(
            f"{folder} already holds an MNIST-M, which would be read before a new one: "
            "move it away first"
        )
    mnist, _ = read_digits(sets.find_set("mnist"), root)
    for name, split in blend_mnist_m(mnist, photos)._asdict().items():
        pictures = [encode_png(pixels) for pixels in split.x]
        write_parquet(place / f"{name}-00000.parquet", pictures, split.y)
