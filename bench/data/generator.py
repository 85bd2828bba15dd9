"""Made-up pictures in the layout of a published set, for tests, smoke runs and timing where the set itself is not."""

import hashlib
import json
import math
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from bench.data.natural import MARK, scaled
from bench.data.pictures import WORKERS
from bench.datasets import sets
from bench.errors import BenchError, UsageError, unknown

SIDES = 120, 640  # shortest and longest side where the published pictures have many sizes, in pixels


def generate(kind: str, root: Path, *, scale: float = 0.01, seed: int = 0) -> Path:
    """Writes a pacs- or officehome-shaped folder below root and returns it: it is there whole, or not at all.

    scale: images per published image, at least one of each class; the same pictures for the same seed. The folder is
    marked as made up, which `load` and `bench data doctor` then say. Raises UsageError for another kind or scale,
    BenchError when the folder exists already or cannot be written.
    """
    kinds = [name for name, facts in sets.ALL.items() if facts.domains]
    if kind not in kinds:
        raise unknown("kind of set to generate", kind, kinds)
    if not 0 < scale < math.inf:
        raise UsageError(f"a scale of {scale:g} makes no sense: give images per published image, such as 0.01")
    facts = sets.find(kind)
    folder = root / facts.forms[0].folders[0]
    if folder.exists():
        raise BenchError(f"{folder} exists already: name another folder, or delete it if its images were made up")
    aside = root / f".{folder.name}.part"
    counts = scaled(sets.per_class(kind), scale)
    classes = [(domain, name, n) for domain, of in counts.items() for name, n in of.items()]

    def draw(domain: str, name: str, n: int) -> None:
        (aside / domain / name).mkdir(parents=True)
        suffix = "png" if domain == "sketch" else "jpg"
        for i in range(1, n + 1):
            file = f"{i:05}.jpg" if facts.numbered else f"pic_{i:03}.{suffix}"
            _picture(f"{seed}/{name}", f"{domain}/{i}", facts.size).save(aside / domain / name / file)

    try:
        shutil.rmtree(aside, ignore_errors=True)
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(lambda of: draw(*of), classes))
        (aside / MARK).write_text(json.dumps({"kind": kind, "scale": scale, "seed": seed}), encoding="utf-8")
        os.replace(aside, folder)
    except OSError as e:
        raise BenchError(f"cannot write {folder} ({e.strerror}): free space or choose another folder") from e
    return folder


def _picture(of_class: str, of_its_own: str, side: int | None) -> Image.Image:
    """Four by four patches of colour that are the class, under noise that is the picture's own."""
    pattern, own = _random(of_class), _random(f"{of_class}/{of_its_own}")
    width, height = (side, side) if side else own.integers(*SIDES, 2, endpoint=True).tolist()
    patches = pattern.integers(0, 160, (4, 4, 3)) + own.integers(0, 96, (4, 4, 3))
    picture = Image.fromarray(patches.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    grain = Image.fromarray(own.integers(0, 256, (32, 32, 3), dtype=np.uint8)).resize((width, height), Image.Resampling.NEAREST)
    return Image.blend(picture, grain, 0.15)


def _random(key: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]))
