"""The batch of a step: a pure function of seed, name and step; and pixels as torchvision normalises them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2.functional import normalize, to_dtype

from bench.data import Images
from bench.data.stream import Pixels, Stream
from bench.errors import BenchError


def images(n: int) -> Images:
    """Image i is filled with i and labelled i."""
    i = torch.arange(n)
    return Images(i.to(torch.uint8).view(n, 1, 1, 1).expand(n, 1, 2, 2), i)


def stream(n: int = 20, batch: int = 6, seed: int = 0, name: str = "source") -> Stream:
    return Stream(images(n), batch, seed=seed, name=name)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=20), st.integers(0, 5))
def test_steps_asked_in_any_order_give_the_batches_of_a_straight_run(asked: list[int], seed: int) -> None:
    straight = stream(seed=seed)
    batches = [straight(k).y.tolist() for k in range(41)]
    wandering = stream(seed=seed)
    assert [wandering(k).y.tolist() for k in asked] == [batches[k] for k in asked]


@given(st.integers(2, 50), st.integers(1, 50), st.integers(0, 3), st.integers(0, 4))
def test_every_pass_is_a_permutation_with_the_incomplete_batch_dropped(n: int, batch: int, seed: int, k: int) -> None:
    batch = min(n, batch)
    s = stream(n, batch, seed)
    assert s.steps == n // batch
    seen = torch.cat([s.indices(k * s.steps + i) for i in range(s.steps)])
    assert len(seen) == s.steps * batch == len(seen.unique())
    assert seen.min() >= 0 and seen.max() < n


def test_every_image_is_seen_when_the_batch_divides_the_set() -> None:
    s = stream(20, 5)
    assert sorted(torch.cat([s.indices(i) for i in range(4)]).tolist()) == list(range(20))


def test_passes_seeds_and_domains_are_shuffled_differently() -> None:
    def order(step: int = 0, **how: object) -> list[int]:
        return stream(50, 50, **how).indices(step).tolist()  # type: ignore[arg-type]

    orders = [order(), order(1), order(2), order(seed=1), order(name="target")]
    assert len({tuple(x) for x in orders}) == len(orders)
    assert list(range(50)) not in orders


def test_the_shuffle_does_not_touch_the_global_generator() -> None:
    before = torch.get_rng_state()
    stream()(7)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_order_is_pinned() -> None:
    """Records of a seed stay comparable from version to version."""
    assert stream(10, 5).indices(0).tolist() == [2, 4, 7, 6, 0]


def test_labels_stay_with_their_images() -> None:
    batch = stream()(3)
    assert batch.x[:, 0, 0, 0].tolist() == batch.y.tolist()


def test_a_batch_larger_than_the_domain_is_one_sentence() -> None:
    with pytest.raises(BenchError, match="a batch of 21 does not fit source's 20 training images; lower the batch"):
        stream(20, 21)


MEAN_STD = {
    "unit": ([0.0] * 3, [1.0] * 3),
    "half": ([0.5] * 3, [0.5] * 3),
    "imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
}


@pytest.mark.parametrize("normalise", MEAN_STD)
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_those_of_torchvision(normalise: str, channels: int) -> None:
    x = torch.arange(2 * channels * 128, dtype=torch.int64).to(torch.uint8).view(2, channels, 8, 16)
    ours = Pixels(normalise, torch.device("cpu"))(x)
    mean, std = MEAN_STD[normalise]
    theirs = normalize(to_dtype(x.expand(2, 3, 8, 16).contiguous(), torch.float32, scale=True), mean, std)
    assert ours.shape == (2, 3, 8, 16) and ours.dtype == torch.float32
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_every_grey_level_stays_apart() -> None:
    x = torch.arange(256).to(torch.uint8).view(1, 1, 16, 16)
    for normalise in MEAN_STD:
        levels = Pixels(normalise, torch.device("cpu"))(x)[0, 0].flatten()
        assert (levels.diff() > 0).all()
