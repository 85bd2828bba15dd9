"""How long a grid takes on several workers that pull cells, the longest first."""

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Trouble:
    """What happens to workers."""

    mean_life_s: float  # of a worker, until it dies; exponential
    restart_s: float = 60.0  # until another has taken its place
    checkpoint_every: float = 300.0  # what a cell loses at most with its worker, seconds
    seed: int = 0


@dataclass(frozen=True)
class Schedule:
    """What became of a grid."""

    wall_s: float  # until the last cell has ended
    work_s: float  # of all cells together, had nothing gone wrong
    workers: int
    deaths: int = 0  # of workers, each over a cell

    @property
    def ideal_s(self) -> float:
        """If work could be shared without remainder."""
        return self.work_s / self.workers

    @property
    def busy(self) -> float:
        """The share of the workers' time in which a cell came nearer to its end; 1 for no work."""
        return self.ideal_s / self.wall_s if self.wall_s else 1.0


def simulate(seconds: Sequence[float], workers: int, trouble: Trouble | None = None) -> Schedule:
    """Pack cells that take so long each. trouble: what goes wrong; a cell whose worker dies goes
    on at its checkpoint, before any that was not begun."""
    queue = sorted(seconds)  # popped from the end
    free = [0.0] * workers  # when each worker is free, as a heap
    rng, deaths, wall = random.Random(trouble.seed if trouble else 0), 0, 0.0
    while queue:
        begin, left = heapq.heappop(free), queue.pop()
        life = rng.expovariate(1 / trouble.mean_life_s) if trouble else float("inf")
        if trouble and life < left:
            saved = life - life % trouble.checkpoint_every
            queue.append(left - saved)
            deaths += 1
            heapq.heappush(free, begin + life + trouble.restart_s)
        else:
            wall = max(wall, begin + left)
            heapq.heappush(free, begin + left)
    return Schedule(wall, sum(seconds), workers, deaths)
