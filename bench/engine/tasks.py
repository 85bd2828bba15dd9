"""Which task a cell is: what its method learns says what is measured."""

from collections.abc import Callable, Iterable

from bench.engine import gan, uda
from bench.engine.lab import Lab
from bench.engine.task import Task
from bench.nets.backbones import find_backbone
from bench.nets.dcgan import find_width
from bench.runs.cell import Cell
from bench.suite import catalog


def generates(cell: Cell) -> bool:
    """Whether a cell trains a generator of images, and no classifier."""
    return catalog.find_method(cell.method).generates != "nothing"


def make_task(cell: Cell, lab: Lab) -> Task:
    """The task of a cell. Raises BenchError when something that it needs is missing."""
    return gan.GAN(cell, lab) if generates(cell) else uda.UDA(cell, lab)


def check_kept(cell: Cell, lab: Lab) -> None:
    """Raise UsageError when a run of the cell makes none of what is to be kept of it."""
    (gan.GAN if generates(cell) else uda.UDA).check_kept(lab.keep)


def find_checks(cell: Cell) -> tuple[Callable[[Cell, Lab], object], ...]:
    """What can be found out about a cell before it is run: each raises BenchError."""
    return (check_kept, *(gan.CHECKS if generates(cell) else uda.CHECKS))


def check_backbones(cells: Iterable[Cell]) -> None:
    """Raise UsageError when nobody has the network that a recipe names."""
    for cell in {cell.recipe.backbone: cell for cell in cells}.values():
        if generates(cell):
            find_width(cell.recipe)
        else:
            find_backbone(cell.recipe)
