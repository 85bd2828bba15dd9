"""The lines of a record: one model for each kind, the same for the writer and the reader.

    run -> train windows and evals, and a resume wherever the run was interrupted -> end

A line is one JSON object. Unknown fields, missing fields and values of another type are refused.
"""

import json
import math
import time
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator, with_config
from typing_extensions import TypedDict

SCHEMA: Literal[2] = 2
Status = Literal["ok", "diverged", "failed"]
ArtefactName = Literal["logits", "features", "maps", "samples", "weights"]
Count = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Number = Annotated[float, Field(allow_inf_nan=False)]


def plain(x: Any) -> Any:
    """The value as strict JSON can hold it: an infinity by its name, NaN as null, -0.0 as 0.0."""
    if isinstance(x, float):
        if math.isfinite(x):
            return x + 0.0  # -0.0 equals 0.0 and trains alike, so that it must not be another key
        return None if math.isnan(x) else str(x)
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    return [plain(v) for v in x] if isinstance(x, list | tuple) else x


class LinePart(BaseModel):
    """A part of a line."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class LoadedImages(LinePart):
    """One split of a domain as it was loaded."""

    images: Count  # how many
    fingerprint: str  # sha256 over shape, pixels and labels, 16 hex digits


class LoadedDomain(LinePart):
    """One domain as it was loaded."""

    origin: str  # where its images came from, without a path of this machine
    generated: bool  # whether the program made them up: that shows that things run, never how well
    train: LoadedImages
    test: LoadedImages
    classes: tuple[str, ...] = ()  # the names of the labels, where they have names


class Weights(LinePart):
    """The pretrained weights of the backbone."""

    asked: str  # "none", or the published weights that the recipe names
    file: str | None = None  # the file that they were read from
    sha256: str | None = None  # of that file
    tensors: str | None = None  # sha256 of the tensors themselves, of those that were downloaded
    dtypes: tuple[str, ...] = ()  # in which types it stores its tensors
    head: Literal["random"] | None = (
        None  # "random": it lacks the fully connected layers that the recipe asks for
    )


class Normalization(LinePart):
    """How pixels from 0 to 1 become the network's input: (x - mean) / std, for each channel."""

    mean: tuple[Number, ...]
    std: tuple[Number, ...]


class Probe(LinePart):
    """What the code does, whatever its spelling: losses of a few canonical steps."""

    subject: str  # 12 hex digits for the method, hyper-parameters and optimizer that were probed
    losses: tuple[Number, ...]  # one for each step


class Code(LinePart):
    """The program that ran."""

    bench: str  # its version
    commit: str | None = None  # 12 hex digits; None: not a checkout
    dirty: bool = False  # whether the checkout had changes that were not committed
    probe: Probe | None = (
        None  # None: a record converted from an older schema whose code was not at hand
    )


class Env(LinePart):
    """The machine and the libraries. Names no host, no user and no path."""

    torch: str
    device: str  # cpu or cuda
    cpu: str = ""  # model name
    threads: int = 1
    python: str = ""
    system: str = ""
    cores: int | None = None
    load: Number | None = (
        None  # load average of the machine when the run began: a busy one measures no speed
    )
    shared: Annotated[int, Field(ge=1)] = 1
    """How many cells trained at once on the device, as the command asked: times of more than one
    are no measure of a method."""
    keeps_freed: bool | None = None
    """Whether the C library was told to keep freed memory, which is faster; None: not recorded."""
    torchvision: str | None = None
    numpy: str | None = None
    gpu: str | None = None
    cuda: str | None = None
    cudnn: int | None = None
    driver: str | None = None


class Converted(LinePart):
    """Where a record came from that an older program wrote."""

    schema_: Annotated[int, Field(alias="schema")]  # its schema
    key: str  # its key there
    sha256: str  # of the old file
    renamed_from: dict[str, str] = {}  # names that it had before rows were renamed


class Run(LinePart):
    """The first line: what is run, on what, by what."""

    kind: Literal["run"] = "run"
    schema_: Annotated[Literal[2], Field(alias="schema")] = SCHEMA
    key: str  # 12 hex digits of what decides the outcome: see `bench.runs.cell.Cell.key`
    suite: str  # the suite that asked for it
    row: str  # the row's id there
    task: str  # the task's name there
    budget: str  # the budget's name there
    seed: Seed
    method: str
    hyper: dict[str, Any]  # those that differ from the method's defaults as they were released
    hyper_all: dict[str, Any]  # every hyper-parameter
    classes: Count
    source: dict[str, Any]  # the source domain as the suite states it
    target: dict[str, Any]  # the target domain
    recipe: dict[str, Any]  # every knob
    metric: str | None = None  # the value that is measured; None: accuracies
    data: dict[str, LoadedDomain]  # the domains as loaded, by the suite's names
    weights: Weights
    normalization: Normalization | None = None  # what `normalize = "model"` stands for
    code: Code
    env: Env
    started: str  # UTC, 2026-11-26T10:49:40Z
    converted: Converted | None = None


@with_config(ConfigDict(extra="forbid", strict=True))
class Spread(TypedDict):
    """Median, 5th and 95th percentile of milliseconds. A dict: it is the part that is read most."""

    p50: Number | None
    p5: Number | None
    p95: Number | None


class YieldedLoss(LinePart):
    """One of the losses that a method yields in each iteration of a window."""

    mean: Number | None = None  # None: not finite
    sd: Number | None = None  # sample deviation over the iterations; None: not finite, or of one


class Train(LinePart):
    """A window of iterations between two stops."""

    kind: Literal["train"] = "train"
    step: Count  # iterations done by its end
    n: Count  # iterations in it
    warmup: bool  # whether it is left out of the times in `end`
    loss: Number | None = None  # mean over its iterations; None: not finite
    losses: tuple[YieldedLoss, ...] = ()  # of a method that yields several, in their order
    lr: Number  # at its last iteration, before the parts' multipliers
    ms: Spread  # per iteration
    wait_ms: Spread  # until the batch was ready
    memory: dict[str, Number]  # MiB: rss_mib, or allocated_mib and reserved_mib


class Counts(LinePart):
    """Predictions on a test set, per class."""

    total: tuple[Count, ...]  # images of the class
    correct: tuple[Count, ...]  # of them predicted right
    predicted: tuple[Count, ...]  # images predicted to be of the class
    confusion: tuple[tuple[Count, ...], ...] | None = (
        None  # [true][predicted], at the last evaluation
    )

    @model_validator(mode="after")
    def _check_classes(self) -> Self:
        if not len(self.total) == len(self.correct) == len(self.predicted):
            raise ValueError("the counts are of different numbers of classes")
        return self


class Eval(LinePart):
    """An evaluation: counts on both test sets, or whatever a task measures in their place."""

    kind: Literal["eval"] = "eval"
    step: Count  # iterations done
    source: Counts | None = None
    target: Counts | None = None
    values: dict[str, Number] = {}  # what a task measures that counts no predictions
    scores: dict[str, Number] | None = None
    """How good the predictions on the target look without its labels; None: not looked at.

    entropy and dev: the smaller the better; im, snd and bnm: the larger. What they are, and of how
    many images, stands in bench/engine/scores.py.
    """


class Resume(LinePart):
    """The run was interrupted here and went on, later or elsewhere, from a checkpoint."""

    kind: Literal["resume"] = "resume"
    step: Count  # iterations that the checkpoint has
    wall_s: Number  # how long the run had taken up to the checkpoint
    env: Env  # the machine that goes on
    resumed: str  # UTC


class Artefact(LinePart):
    """A file beside a record, which holds more of what the run made."""

    file: Annotated[str, Field(pattern=r"^[a-z]+\.[a-z]+$")]
    """The end of its name: before it stand the record's own name without .jsonl, and a dot."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]  # of its bytes
    bytes: Count  # how many these are


class End(LinePart):
    """The last line, whose seal covers every byte of the file before the seal's own digits."""

    kind: Literal["end"] = "end"
    status: Status
    step: Count | None = None  # iterations done, when all went well
    reason: str = ""  # why it diverged or failed, or what could not be kept of it
    trace: str = ""  # the traceback of a failure, without paths of this machine
    out_of_memory: bool = False
    ms: Spread | None = None  # per iteration on the machine of the first line, warm-up left out
    wait_ms: Spread | None = None  # until the batch was ready
    images_per_s: Number | None = None  # of both domains
    memory: dict[str, Number] = {}  # peak in MiB after the warm-up
    data_mib: Number | None = None  # images that lie on the device
    placement: dict[str, str] = {}  # where each side's training images lie, such as "cuda:0"
    parameters: str | None = None  # sha256 of the final parameters and buffers, 16 hex digits
    artefacts: dict[ArtefactName, Artefact] = {}  # what was kept of it, as --keep asked
    wall_s: Number  # of the whole run; of one that was resumed, of its parts together
    finished: str  # UTC
    seal: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""


Line = Run | Train | Eval | Resume | End


def text(line: Line) -> str:
    """A line as strict JSON without its newline. Values that equal a default are left out."""
    head = {"kind": line.kind} | ({"schema": SCHEMA} if isinstance(line, Run) else {})
    rest = line.model_dump(by_alias=True, exclude_defaults=True)
    return json.dumps(head | plain(rest), separators=(",", ":"), allow_nan=False)


BodyLine = Annotated[Train | Eval | Resume | End, Field(discriminator="kind")]
RUN: TypeAdapter[Run] = TypeAdapter(Run)
LINE: TypeAdapter[Train | Eval | Resume | End] = TypeAdapter(BodyLine)


def now() -> str:
    """The time in UTC as records write it: 2026-11-26T10:49:40Z"""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
