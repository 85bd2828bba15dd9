"""What a finished training leaves beside its record, and how large that will be."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor, nn

from bench import nets
from bench.engine import gan
from bench.engine.lab import Lab
from bench.engine.maps import estimate_bytes
from bench.engine.task import Task
from bench.engine.tasks import generates
from bench.engine.training import Training
from bench.errors import BenchError
from bench.runs import artefacts
from bench.runs.cell import Cell
from bench.runs.lines import Artefact, ArtefactName
from methods import Network, get

ROW = 25  # bytes of a row of arrays besides its values: three numbers of eight, and the side


def keep(
    names: Iterable[ArtefactName], training: Training, task: Task, record: Path
) -> tuple[dict[ArtefactName, Artefact], str]:
    """Write what is named beside the record; gives what was written and, in a sentence, why
    something was not ('' when all of it was).

    The hours of a training are not to be lost because the disk is full: its record counts without.
    """
    names = list(names)
    writers: dict[ArtefactName, Callable[[BinaryIO], object]] = {
        "weights": partial(write_weights, training.net, training.method)
    }
    kept: dict[ArtefactName, Artefact] = {}
    lost: dict[ArtefactName, str] = {}
    arrays = [name for name in names if name in ("logits", "features")]
    if arrays:
        try:
            made = training.measure(lambda net, method, step: task.keep(net, method, arrays))
            writers |= {name: made[name].write for name in made}
        except BenchError as e:
            lost = dict.fromkeys(arrays, str(e))
    if "maps" in names:
        try:
            maps = training.measure(lambda net, method, step: task.explain(net, method))
            writers["maps"] = maps.write
        except BenchError as e:
            lost["maps"] = str(e)
    if "samples" in names:
        writers["samples"] = task.show(training.net, training.method).write
    for name in names:
        try:
            if name in writers:
                kept[name] = artefacts.store(record, name, writers[name])
            else:
                lost.setdefault(name, "the method predicts without them")
        except BenchError as e:
            lost[name] = str(e)
    return kept, "; ".join(f"{name} could not be kept: {why}" for name, why in lost.items())


def write_weights(net: nn.Module, method: nn.Module, file: BinaryIO) -> None:
    """Write every parameter and buffer of a network ("net.…") and its method ("method.…")."""
    from safetensors.torch import save

    state = {
        # copies: a method may hold a part of the network, and the format takes no tensor twice
        f"{part}.{name}": tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for part, module in (("net", net), ("method", method))
        for name, tensor in module.state_dict().items()
    }
    file.write(save(state))


def read_weights(raw: bytes) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The states of network and method from the bytes that `write_weights` wrote."""
    from safetensors.torch import load

    state = load(raw)
    net, method = (
        {k.removeprefix(part): v for k, v in state.items() if k.startswith(part)}
        for part in ("net.", "method.")
    )
    return net, method


def estimate(
    cells: Iterable[Cell], lab: Lab, names: Iterable[ArtefactName]
) -> Iterator[dict[ArtefactName, int]]:
    """About how many bytes each cell will leave at most, by name: features can be packed.

    Labels are counted, parameters too, on torch's meta device: no picture is decoded. A cell whose
    data are missing is left out.
    """
    names = list(names)
    nets_of: dict[tuple[str, int], Network] = {}
    for cell in cells:
        if generates(cell):
            sizes = gan.estimate_bytes(cell)
            yield {name: sizes[name] for name in names if name in sizes}
            continue
        try:
            source, target = lab.domains(cell, pixels=False)
        except BenchError:  # whoever checks the cells says so
            continue
        key = cell.recipe.model_dump_json(), cell.classes
        with torch.device("meta"):
            if key not in nets_of:
                nets_of[key] = nets.build(cell.recipe, cell.classes)
            net = nets_of[key]
            net.n_t = len(target.train)
            method = get(cell.method)(net, **cell.hyper)
        images = len(source.test) + len(target.test)
        state = [*net.state_dict().values(), *method.state_dict().values()]
        sizes = {
            "logits": images * (4 * cell.classes + ROW),
            "features": images * (4 * net.dim + ROW),
            "maps": estimate_bytes(cell.recipe.pixels) if net.maps else 0,
            "weights": sum(t.nbytes for t in state),
        }
        yield {name: sizes[name] for name in names if name in sizes}
