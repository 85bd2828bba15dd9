"""What an evaluation says of each class."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, mean

from bench.runs.lines import Counts


@dataclass(frozen=True)
class ClassResult:
    """The predictions of the images of one class."""

    name: str
    images: int  # how many there are
    right: int  # how many of them are predicted right
    predicted: int  # how many images of any class are predicted to be of this one
    mistaken: tuple[tuple[str, int], ...]
    """Classes that its images are taken for, with how many, the most first; empty where the record
    holds no confusion matrix."""

    @property
    def accuracy(self) -> float | None:
        """Right predictions in %; None without an image."""
        return 100 * self.right / self.images if self.images else None


def split_by_class(counts: Counts, names: Sequence[str] = ()) -> list[ClassResult]:
    """One result for each class. names: of the classes; their numbers where there are none."""
    labels = list(names) or [str(k) for k in range(len(counts.total))]
    rows = counts.confusion or ((),) * len(counts.total)
    return [
        ClassResult(labels[k], counts.total[k], counts.correct[k], counts.predicted[k], mistaken)
        for k, row in enumerate(rows)
        for mistaken in [_mistaken(k, row, labels)]
    ]


def _mistaken(k: int, row: Sequence[int], labels: Sequence[str]) -> tuple[tuple[str, int], ...]:
    wrong = [(labels[j], n) for j, n in enumerate(row) if n and j != k]
    return tuple(sorted(wrong, key=lambda pair: -pair[1]))


def average_over_classes(results: Sequence[ClassResult]) -> float:
    """The mean of the accuracies of the classes, in %."""
    return mean(r.accuracy for r in results if r.accuracy is not None)


def mean_over_classes(correct: Sequence[int], total: Sequence[int]) -> float | None:
    """The same from the right predictions and the images of each class; None without an image."""
    shares = [100 * right / n for right, n in zip(correct, total, strict=True) if n]
    return fmean(shares) if shares else None
