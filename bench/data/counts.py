"""How many images the domains of a plan have, without decoding one and without torch."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.data.listing import find_domain_set, has_pictures, list_pictures
from bench.datasets.locate import incomplete, require
from bench.errors import BenchError, UsageError
from bench.runs.cell import Cell
from bench.suite.suite import DomainSpec, Suite


@dataclass(frozen=True)
class ImageCount:
    """How many images of a domain are used, before unreadable ones are left out."""

    train: int  # how many are trained on
    test: int  # how many are tested on
    same: bool  # whether these are the same images


def count_plan(cells: Iterable[Cell], root: Path) -> list[tuple[str, ImageCount | str]]:
    """Each domain of the cells with its images or, where they cannot be counted, the reason.

    A domain that some cells limit otherwise than others is there once for each. Raises UsageError
    when a suite asks for what a set does not have.
    """
    asked = {
        (name, spec, cell.recipe.train_limit, cell.recipe.test_limit): None
        for cell in cells
        for name, spec in (cell.source, cell.target)
    }
    counts: list[tuple[str, ImageCount | str]] = []
    for name, spec, train_limit, test_limit in asked:
        try:
            whole = count_images(name, spec, root)
        except UsageError:
            raise
        except BenchError as e:
            counts.append((name, str(e)))
            continue
        train = min(whole.train, train_limit or whole.train)
        test = min(whole.test, test_limit or whole.test)
        same = whole.same and train == test
        counts.append((name, ImageCount(train, test, same)))
    return counts


def find_absent(suite: Suite, task: str, root: Path) -> str | None:
    """The first domain of a task whose images are not below root, or not all of them; None where
    both domains are whole. Raises UsageError as `count_images` does."""
    for name in suite.endpoints(task):
        try:
            count_images(name, suite.domains[name], root)
        except UsageError:
            raise
        except BenchError:
            return name
    return None


def count_images(name: str, spec: DomainSpec, root: Path) -> ImageCount:
    """The images of a suite's domain of that name.

    Raises UsageError when the suite asks for what the set does not have, BenchError when it is not
    below root or not the published one.
    """
    facts = find_domain_set(name, spec)
    if has_pictures(facts):
        parts, _ = list_pictures(name, spec, root)
        return ImageCount(len(parts.train.y), len(parts.test.y), parts.train is parts.test)
    if not facts.embedded and (found := require(facts, root)).missing:
        raise incomplete(facts, root, found)
    train, test = map(sum, facts.counts)
    both = train + test
    return ImageCount(both, both, True) if spec.transductive else ImageCount(train, test, False)
