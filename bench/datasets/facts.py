"""The form in which the facts about a data set are stated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

_T = TypeVar("_T")


class Both(NamedTuple, Generic[_T]):
    """The same thing for each of the two splits of a data set."""

    train: _T
    test: _T


NO_COUNTS: Both[tuple[int, ...]] = Both((), ())


@dataclass(frozen=True)
class Form:
    """One of the forms in which a set is published."""

    reader: str
    """The file format: `image` for one folder of pictures per domain, `lists` for one list file per
    domain that says which pictures of a larger set belong to it, `parquet` for the Hub's files;
    else a key of `bench.data.digits.FORMATS`."""
    folders: tuple[str, ...]
    """Where to look for it, relative to the data root, the preferred place first."""
    files: Both[tuple[str, ...]]
    """The files of each split as glob patterns, in the order in which the reader takes them."""


@dataclass(frozen=True)
class Remote:
    """A file to download."""

    path: str  # where it is put, relative to the data root
    urls: tuple[str, ...]  # the addresses that serve it, in the order in which they are tried

    @property
    def name(self) -> str:
        """The file name without its folders."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class DataSet:
    """A published set of labelled images, or `folder`, which stands for the user's own images."""

    name: str  # as users type it
    title: str  # one line that says what it is
    channels: int  # 1 for grey images, 3 for RGB
    size: int | None = None  # native height and width in pixels; None when they vary
    counts: Both[tuple[int, ...]] = NO_COUNTS
    """Images per class in each split; () for a set of several domains and for the user's own."""
    layout: str = ""  # how the files should lie below the data root, as shown to users
    forms: tuple[Form, ...] = ()  # the same for the program, the preferred form first
    downloads: tuple[Remote, ...] = ()  # the publishers' own files
    md5s: Mapping[str, str] = field(default_factory=dict)  # file name -> published md5
    hub: str | None = None  # the data set's name on the Hugging Face Hub
    hub_files: str = "*.parquet"  # which of the Hub's files to download, as a glob pattern
    embedded: str | None = None  # the installed package that contains the images, if one does
    domains: Mapping[str, str] = field(default_factory=dict)
    """For a set of several domains: name -> its folder as a glob pattern. `sets.class_counts`
    has the number of images of each."""
    inner: str = (
        ""  # a folder between that of a domain and those of its classes; copies may lack it
    )
    lists: Mapping[str, str] = field(default_factory=dict)
    """For a set that is published with list files, of lines `path label`: domain -> its list. The
    paths are relative to the folder of the list, in which each picture lies in one of its class."""
    numbering: str = ""
    """How the pictures of each class are called, as the format of their numbers from 1 on."""
    licence: str = ""
    notes: str = ""  # what a user should know beyond the title
    source: str = ""  # of a set that the program cannot download: where to get it, a clause
