"""What generated images are worth: pure functions of a judge's features and logits, and of pixels.

real_f, fake_f: features (N, dim) of real and of generated images, as `Judge.features` gives them;
logits (N, classes) as `Judge.logits` does; images (N, 1, H, W), bright on dark, of any range. All
numbers are computed in float64 on the CPU and draw no random numbers. Every function raises
Diverged for values that are nan or infinite, and BenchError for fewer samples than it needs.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from bench.errors import BenchError, Diverged

ROWS = 100  # of a matrix of pairs that are made at once: few enough for the processor's cache
CLEAR = 0.95  # the least probability of its class at which a digit is clear
PRESENT = 100  # a class is there when one of so many samples is taken for it
FLAT = 1e-9  # square pixels: strokes of less mean square height lie in one row and have no slant
FINER = 4  # by which images are enlarged before the width of their strokes is measured


# how near the distribution of generated images is to that of real ones


def frechet(real_f: Tensor, fake_f: Tensor) -> float:
    """‖μ_r − μ_f‖² + tr(Σ_r + Σ_f − 2(Σ_rΣ_f)^½) of means and covariances; 0 for the same.

    Heusel et al., NIPS 2017, eq. 6, with this judge in place of Inception: no such number compares
    with a published FID. Needs two of each.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    real, fake = _take_pair(real_f, fake_f, least=2)
    metric = FrechetInceptionDistance(feature=_Features(real.shape[1]))
    metric.update(real, real=True)
    metric.update(fake, real=False)
    return max(float(metric.compute()), 0.0)  # rounding can lead below


class _Features(nn.Module):
    """Stands where torchmetrics expects a network: the images are features already."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.num_features = dim

    def forward(self, f: Tensor) -> Tensor:
        return f


def kernel(real_f: Tensor, fake_f: Tensor) -> float:
    """MMD² with k(a, b) = (a·b/dim + 1)³, without bias: it is about 0, or below, for the same.

    Bińkowski et al., ICLR 2018, section 4; of all pairs, where KID as it is mostly computed is the
    mean over 100 random subsets of 1,000. Needs two of each.
    """
    real, fake = _take_pair(real_f, fake_f, least=2)
    between = _sum_kernel(real, fake) / (len(real) * len(fake))
    return _mean_kernel(real) + _mean_kernel(fake) - 2 * between


def _sum_kernel(a: Tensor, b: Tensor) -> float:
    # torchmetrics' estimate of KID asks torch's own random numbers for subsets, and holds the
    # matrix of all pairs: of it, the kernel
    from torchmetrics.image.kid import poly_kernel

    return math.fsum(float(poly_kernel(part, b).sum()) for part in a.split(ROWS))


def _mean_kernel(f: Tensor) -> float:
    """The mean over all pairs of two different samples."""
    same = (f.square().mean(1) + 1).pow(3).sum()
    return (_sum_kernel(f, f) - float(same)) / (len(f) * (len(f) - 1))


def precision(real_f: Tensor, fake_f: Tensor, k: int = 3) -> float:
    """The share of generated samples that are as near to a real one as its k-th neighbour is.

    Kynkäänniemi et al., NeurIPS 2019, eq. 2. Needs k + 1 real ones.
    """
    real, fake = _take_pair(real_f, fake_f)
    return float((_count(real, fake, k)[1] > 0).double().mean())


def recall(real_f: Tensor, fake_f: Tensor, k: int = 3) -> float:
    """The share of real samples that are as near to a generated one as its k-th neighbour is.

    Kynkäänniemi et al., NeurIPS 2019, eq. 2. Needs k + 1 generated ones.
    """
    real, fake = _take_pair(real_f, fake_f)
    return float((_count(fake, real, k)[1] > 0).double().mean())


def density(real_f: Tensor, fake_f: Tensor, k: int = 5) -> float:
    """In how many balls a generated sample lies on average, divided by k; about 1 for the same.

    A ball lies around each real sample and reaches to its k-th neighbour. Naeem et al., ICML 2020.
    Needs k + 1 real ones.
    """
    real, fake = _take_pair(real_f, fake_f)
    return float(_count(real, fake, k)[1].double().mean()) / k


def coverage(real_f: Tensor, fake_f: Tensor, k: int = 5) -> float:
    """The share of the balls around real samples (see `density`) with a generated one inside.

    Naeem et al., ICML 2020. Needs k + 1 real ones.
    """
    real, fake = _take_pair(real_f, fake_f)
    return float((_count(real, fake, k)[0] > 0).double().mean())


def _count(centres: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """How many points lie in the ball around each centre, and in how many balls each point lies.

    A ball reaches to the k-th nearest of the other centres, and that distance is within it.
    """
    if len(centres) <= k:
        raise BenchError(
            f"{len(centres):,} samples are too few: of each, {k} neighbours are looked at"
        )
    # both by the same exact differences: sklearn's neighbours come from products, whose rounding
    # decides by chance whether a point at exactly that distance, or an equal one, is inside
    radii = [d.kthvalue(k + 1).values for d in _distances(centres, centres)]  # the first is its own
    inside, around = [], torch.zeros(len(points), dtype=torch.int64)
    for d, r in zip(_distances(centres, points), radii, strict=True):
        within = d <= r[:, None]
        inside.append(within.sum(1))
        around += within.sum(0)
    return torch.cat(inside), around


def _distances(a: Tensor, b: Tensor) -> Iterator[Tensor]:
    """Euclidean distances of ROWS of a at a time to all of b; exactly 0 of equal ones."""
    for part in a.split(ROWS):
        yield torch.cdist(part, b, compute_mode="donot_use_mm_for_euclid_dist")


# what the images show, by the judge's word


def consistency(logits: Tensor, y: Tensor) -> float:
    """The share of samples that the judge takes for the class y (N,) that was asked for."""
    u = _take(logits)
    if y.shape != (len(u),):
        raise BenchError(f"{len(u):,} samples do not fit {tuple(y.shape)} asked classes")
    return float((u.argmax(1) == y.cpu()).double().mean())


def recognizable(logits: Tensor) -> float:
    """The share of samples whose class has a probability of 0.95 or more: clear digits."""
    return float((_take(logits).softmax(1).amax(1) >= CLEAR).double().mean())


def modes(logits: Tensor, classes: int) -> int:
    """How many of the classes at least 1 % of the samples are taken for."""
    u = _take(logits)
    if u.shape[1] != classes:
        raise BenchError(f"the judge tells {u.shape[1]} classes, and not {classes}")
    return int((u.argmax(1).bincount(minlength=classes) * PRESENT >= len(u)).sum())


def diversity(f: Tensor, labels: Tensor) -> float:
    """The mean distance of the features of two samples of a class, averaged over the classes.

    labels (N,): the class of each. A class of fewer than two samples does not count; BenchError
    when all are.
    """
    apart = _apart(f, labels)
    return math.fsum(apart.values()) / len(apart)


def relative_diversity(
    fake_f: Tensor, fake_labels: Tensor, real_f: Tensor, real_labels: Tensor
) -> float:
    """`diversity` of generated samples divided by that of real ones of the same classes.

    1 when they differ as much as real ones; towards 0 when those of a class are all alike.
    """
    fake, real = _apart(fake_f, fake_labels), _apart(real_f, real_labels)
    if absent := sorted(fake.keys() - real.keys()):
        raise BenchError(f"there are no two real samples of class {absent[0]} to compare with")
    whole = math.fsum(real[label] for label in fake)
    if not whole:
        raise BenchError("the real samples of each class are all alike: nothing to compare with")
    return math.fsum(fake.values()) / whole


def _apart(f: Tensor, labels: Tensor) -> dict[int, float]:
    """Class -> the mean distance of two of its samples, of each class that has two."""
    f, y = _take(f), labels.cpu()
    if y.shape != (len(f),):
        raise BenchError(f"{len(f):,} samples do not fit {tuple(y.shape)} labels")
    groups = {int(label): f[y == label] for label in y.unique()}
    apart = {
        label: math.fsum(float(d.sum()) for d in _distances(g, g)) / (len(g) * (len(g) - 1))
        for label, g in groups.items()
        if len(g) > 1
    }
    if not apart:
        raise BenchError("no class has two samples: their diversity cannot be told")
    return apart


# what the noise decides, and what the class


class Shares(NamedTuple):
    """Parts of a variance; nan when nothing varies."""

    z: float  # what the noise vector alone decides
    y: float  # what the class alone decides


def explained(values: Tensor) -> Shares:
    """What decides a property of images made of each of K noise vectors with each of the classes.

    values (K, classes, …): of the image of noise z and class y; further dimensions, such as pixels,
    are summed over. ω² (Hays, 1963) of a two-way analysis of variance without replication:
    (SS − df·MS_rest)/(SS_total + MS_rest). A plain share SS/SS_total would give z more than y even
    where nothing is decided, because there are more noise vectors than classes; ω² is about 0 for
    both. Where they decide only together, z's may lie as low as −1/(classes − 1), y's −1/(K − 1).
    Needs K ≥ 2.
    """
    if values.ndim < 2 or min(values.shape[:2]) < 2:
        raise BenchError(f"a grid of {tuple(values.shape)} has no two noise vectors and classes")
    v = _take(values.flatten(1)).view(*values.shape[:2], -1)
    v = v - v[0, 0]  # all the same: exactly 0, whatever means are rounded to
    v = v - v.mean((0, 1))
    of_z, of_y = v.mean(1, keepdim=True), v.mean(0, keepdim=True)
    df_z, df_y = (n - 1 for n in v.shape[:2])
    ms_rest = (v - of_z - of_y).square().sum() / (df_z * df_y)
    whole = v.square().sum() + ms_rest

    def share(means: Tensor, df: int) -> float:
        return float((means.expand_as(v).square().sum() - df * ms_rest) / whole)

    return Shares(z=share(of_z, df_z), y=share(of_y, df_y))


def thickness(images: Tensor) -> Tensor:
    """The width of the strokes in pixels, float64 (N,), of images (N, 1, H, W); 0 without a stroke.

    Four times the mean distance from the ink to its edge, which is the width of a long bar: across
    it the distance rises from 0 to half the width. Of a bar of width w and length l it is
    w − w²/3l, and up to 6 % less when it is turned, as its edges are then steps. Ink is what is
    brighter than the middle between an image's darkest and brightest pixel, at four times the
    resolution, as in Morpho-MNIST (Castro et al., JMLR 2019), which takes twice the mean distance
    along the skeleton instead.
    """
    from scipy.ndimage import distance_transform_edt

    x = interpolate(_take_images(images), scale_factor=FINER, mode="bilinear")
    low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
    ink = nn.functional.pad(x > (low + high) / 2, (1, 1, 1, 1))[:, 0]  # beyond the border is none
    # from pixel centre to pixel centre: the edge lies half a pixel before the first that is no ink
    depths = (distance_transform_edt(one)[one] - 0.5 for one in ink.numpy())
    return torch.tensor([4 / FINER * d.mean() if d.size else 0.0 for d in depths]).double()


def slant(images: Tensor) -> Tensor:
    """How far the strokes lean to the right, in degrees, float64 (N,), of images (N, 1, H, W).

    The angle of the shear that makes upright strokes slanted, arctan(−μ_xy/μ_yy) with the second
    moments of the ink and y downwards, as in Morpho-MNIST (Castro et al., JMLR 2019). Ink is
    brightness above an image's darkest pixel; 0 when there is none, or all in one row.
    """
    x = _take_images(images)[:, 0]
    ink = x - x.amin((1, 2), keepdim=True)
    ink = ink / ink.sum((1, 2), keepdim=True).clamp_min(torch.finfo(ink.dtype).tiny)
    down, right = (torch.arange(n, dtype=ink.dtype) for n in ink.shape[1:])
    down = down - (ink.sum(2) @ down)[:, None]
    right = right - (ink.sum(1) @ right)[:, None]
    along = torch.einsum("nhw,nh,nw->n", ink, down, right)
    height = torch.einsum("nhw,nh->n", ink, down.square())
    return torch.where(height > FLAT, -along / height, 0.0).atan().rad2deg()


def _take_pair(real_f: Tensor, fake_f: Tensor, least: int = 1) -> tuple[Tensor, Tensor]:
    real, fake = _take(real_f, least), _take(fake_f, least)
    if real.shape[1] != fake.shape[1]:
        raise BenchError(
            f"real features of {real.shape[1]} dimensions do not compare with "
            f"generated ones of {fake.shape[1]}"
        )
    return real, fake


def _take(f: Tensor, least: int = 1) -> Tensor:
    """Rows (N, dim), float64 on the CPU. Raises BenchError when they are too few."""
    if f.ndim != 2 or len(f) < least:
        raise BenchError(f"rows are needed, at least {least}, and not {tuple(f.shape)}")
    return _take_finite(f)


def _take_images(images: Tensor) -> Tensor:
    """The same for grey images (N, 1, H, W)."""
    if images.ndim != 4 or images.shape[1] != 1:
        raise BenchError(f"grey images (N, 1, H, W) are needed, and not {tuple(images.shape)}")
    return _take_finite(images)


def _take_finite(x: Tensor) -> Tensor:
    x = x.detach().to("cpu", torch.float64)
    if not x.isfinite().all():
        raise Diverged("samples hold nan or infinite values")
    return x
