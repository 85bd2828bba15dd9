"""What a training writes to its record while it goes on."""

from collections.abc import Mapping, Sequence

from bench.engine import lines
from bench.engine.lines import Costs, Spell
from bench.engine.loop import Window
from bench.engine.training import Stops
from bench.runs.files import Writer
from bench.runs.lines import Eval


class Log:
    """What a training has written to its record, and what its end will say."""

    def __init__(self, out: Writer, stops: Stops) -> None:
        self.out, self.stops = out, stops
        self.costs = Costs()
        self.peak: dict[str, float] = {}  # memory of the window that is under way, MiB
        self.measured = 0  # the iteration count at the last measurement

    def add_window(
        self, window: Window, memory: Mapping[str, float], spells: Sequence[Spell]
    ) -> None:
        """A whole window is written; of a part only its memory is kept."""
        peak = {k: max(v, self.peak.get(k, v)) for k, v in memory.items()}
        self.peak = {} if window.whole else peak
        if window.whole:
            warmup = window.step <= self.stops.warmup
            self.out.line(lines.make_train_line(window, peak, warmup=warmup))
            self.costs.add(window, peak, spells, warmup=warmup)

    def add_eval(self, found: Eval) -> None:
        self.out.line(found)
        self.measured = found.step
