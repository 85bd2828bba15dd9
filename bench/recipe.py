"""How a run is trained: every knob of a protocol but the method's own."""

from typing import Literal

from pydantic import Field

from bench.schema import Strict


class Parts(Strict):
    """One number for each part of the network: F backbone, C classifier, D whatever the method adds."""

    F: float
    C: float
    D: float


class Head(Strict):
    """A stack of fully connected layers: their widths, the dropout after each, batch norm before the ReLU or not."""

    hidden: tuple[int, ...] = ()
    dropout: float = 0.0
    batch_norm: bool = False


class Recipe(Strict):
    """Every knob of a protocol but the method's own.

    A default, once released, is never edited: records hold only what a suite says otherwise (`Cell.key`).
    """

    backbone: str
    weights: Literal["none", "imagenet"] = "none"
    classifier: Head = Head()
    discriminator: Head = Head(hidden=(1024, 1024), dropout=0.5)

    size: int
    resize: Literal["nearest", "bilinear"] = "bilinear"
    normalise: Literal["unit", "half", "imagenet"] = "unit"
    train_limit: int | None = Field(None, gt=0)
    test_limit: int | None = Field(None, gt=0)

    iterations: int = Field(gt=0)
    batch: int = Field(gt=1)
    forward: Literal["separate", "joint"] = "separate"
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"

    optimiser: Literal["sgd", "adam"] = "sgd"
    lr: float = Field(gt=0)
    lr_mult: Parts = Parts(F=1, C=1, D=1)
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: Parts = Parts(F=0, C=0, D=0)
    decay: Literal["all", "kernels"] = "all"
    schedule: Literal["constant", "inv", "step"] = "constant"
    schedule_gamma: float = 10.0
    schedule_power: float = 0.75
    schedule_steps: int = 1

    eval_every: int | None = Field(None, gt=0)

    def lr_at(self, p: float) -> float:
        """Learning rate at progress p in [0, 1] before the parts' multipliers.

        inv: lr (1 + gamma p)^-power (Ganin et al., JMLR 2016, section 5.2.2);
        step: lr x gamma after each of `schedule_steps` equal stretches.
        """
        match self.schedule:
            case "inv":
                return float(self.lr * (1 + self.schedule_gamma * p) ** -self.schedule_power)
            case "step":
                return self.lr * self.schedule_gamma ** min(int(p * self.schedule_steps), self.schedule_steps - 1)
            case _:
                return self.lr
