"""Batches are a pure function of seed, name and step; pixels are normalized as by torchvision."""

import threading
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2.functional import normalize, to_dtype

from bench.data.images import Images
from bench.data.stream import Ahead, Stream
from bench.data.views import Pixels
from bench.errors import BenchError


def images(n: int) -> Images:
    """Image i is filled with i and labelled i."""
    i = torch.arange(n)
    return Images(i.to(torch.uint8).view(n, 1, 1, 1).expand(n, 1, 2, 2), i)


def stream(n: int = 20, batch: int = 6, seed: int = 0, name: str = "source") -> Stream:
    return Stream(images(n), batch, seed=seed, name=name)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=20), st.integers(0, 5))
def test_steps_asked_in_any_order_give_the_batches_of_a_straight_run(
    asked: list[int], seed: int
) -> None:
    straight = stream(seed=seed)
    batches = [straight(k).y.tolist() for k in range(41)]
    wandering = stream(seed=seed)
    assert [wandering(k).y.tolist() for k in asked] == [batches[k] for k in asked]


@given(st.integers(2, 50), st.integers(1, 50), st.integers(0, 3), st.integers(0, 4))
def test_every_pass_is_a_permutation_with_the_incomplete_batch_dropped(
    n: int, batch: int, seed: int, k: int
) -> None:
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
    def order(step: int = 0, **options: object) -> list[int]:
        return stream(50, 50, **options).indices(step).tolist()  # type: ignore[arg-type]

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
    with pytest.raises(
        BenchError, match="a batch of 21 does not fit source's 20 training images; lower the batch"
    ):
        stream(20, 21)


# batches gathered ahead, by another thread


@pytest.fixture
def no_thread_stays() -> Iterator[None]:
    before = threading.enumerate()
    yield
    assert threading.enumerate() == before


@pytest.mark.usefixtures("no_thread_stays")
@pytest.mark.parametrize("asked", [range(12), range(30, 45), [0, 1, 2, 9, 10, 3, 4, 4, 0], [5]])
def test_batches_gathered_ahead_are_those_of_the_stream(asked: list[int]) -> None:
    plain = stream()
    with Ahead(stream()) as ahead:
        for k in asked:
            ours, theirs = ahead(k), plain(k)
            assert torch.equal(ours.x, theirs.x) and torch.equal(ours.y, theirs.y)


class Watched(Stream):
    """A stream that notes which steps were gathered and by which thread, and fails at step 3."""

    def __init__(self) -> None:
        super().__init__(images(20), 6, seed=0, name="source")
        self.steps_done: list[int] = []
        self.threads: set[str] = set()
        self.news = threading.Condition()

    def gather(self, step: int) -> Images:
        if step == 3:
            raise OSError("the disk is gone")
        batch = super().gather(step)
        with self.news:
            self.steps_done.append(step)
            self.threads.add(threading.current_thread().name)
            self.news.notify()
        return batch


@pytest.mark.usefixtures("no_thread_stays")
def test_the_next_batch_is_gathered_while_this_one_is_used() -> None:
    watched = Watched()
    with Ahead(watched) as ahead:
        ahead(0)
        with watched.news:
            assert watched.news.wait_for(lambda: 1 in watched.steps_done, timeout=30)
    assert watched.steps_done == [0, 1]
    assert (
        all(name.startswith("gathers source") for name in watched.threads)
        and len(watched.threads) == 1
    )


@pytest.mark.usefixtures("no_thread_stays")
def test_what_goes_wrong_in_the_thread_is_raised_when_its_batch_is_asked_for() -> None:
    with Ahead(Watched()) as ahead:
        for k in range(3):
            ahead(k)
        with pytest.raises(OSError, match="the disk is gone"):
            ahead(3)
        assert torch.equal(ahead(4).y, stream()(4).y)


@pytest.mark.usefixtures("no_thread_stays")
@pytest.mark.parametrize("end", [ValueError, KeyboardInterrupt])
def test_the_thread_ends_however_the_training_does(end: type[BaseException]) -> None:
    with pytest.raises(end), Ahead(stream()) as ahead:
        ahead(0)
        raise end


def test_only_images_that_are_copied_to_a_gpu_are_gathered_ahead() -> None:
    here = images(20)
    there = {
        name: Stream(here, 6, seed=0, name="source", device=torch.device(name))
        for name in ("cpu", "cuda", "meta")
    }
    assert {name: s.away for name, s in there.items()} == {
        "cpu": False,
        "cuda": True,
        "meta": False,
    }
    resident = Images(here.x.to("meta"), here.y.to("meta"))
    assert not Stream(resident, 6, seed=0, name="source", device=torch.device("cuda")).away


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
    theirs = normalize(
        to_dtype(x.expand(2, 3, 8, 16).contiguous(), torch.float32, scale=True), mean, std
    )
    assert ours.shape == (2, 3, 8, 16) and ours.dtype == torch.float32
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_every_grey_level_stays_apart() -> None:
    x = torch.arange(256).to(torch.uint8).view(1, 1, 16, 16)
    for normalise in MEAN_STD:
        levels = Pixels(normalise, torch.device("cpu"))(x)[0, 0].flatten()
        assert (levels.diff() > 0).all()
