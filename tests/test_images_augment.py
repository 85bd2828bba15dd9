"""Crops and flips are torchvision's for the same places, a pure function of the step; batches come from wherever images are."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as tv

from bench.data import Images
from bench.data.augment import Augment, centre, cut
from bench.data.place import place
from bench.data.stream import Pixels, Stream
from bench.errors import BenchError


def batch(n: int = 6, channels: int = 3, height: int = 12, width: int = 15) -> torch.Tensor:
    return torch.randint(0, 256, (n, channels, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(n))


@given(st.integers(1, 5), st.sampled_from([1, 3]), st.integers(1, 9), st.integers(9, 14), st.integers(9, 14), st.booleans())
def test_a_cut_is_torchvisions_crop_and_flip_bit_for_bit(n: int, channels: int, crop: int, h: int, w: int, flip: bool) -> None:
    x, augment = batch(n, channels, h, w), Augment(crop, flip, seed=n, name="source")
    ours = augment(x, 7)
    for image, out, top, left, mirrored in zip(x, ours, *augment.draw(n, h, w, 7).tolist(), strict=True):
        theirs = tv.crop(image, top, left, crop, crop)
        assert torch.equal(out, tv.horizontal_flip(theirs) if mirrored else theirs)
    assert ours.shape == (n, channels, crop, crop) and ours.dtype == torch.uint8


def test_after_normalisation_they_are_still_torchvisions() -> None:
    x, augment = batch(4, 3, 256, 256), Augment(224, True, seed=0, name="target")
    ours = Pixels("imagenet", torch.device("cpu"))(augment(x, 3))
    for image, out, top, left, mirrored in zip(x, ours, *augment.draw(4, 256, 256, 3).tolist(), strict=True):
        theirs = tv.crop(image, top, left, 224, 224)
        theirs = tv.horizontal_flip(theirs) if mirrored else theirs
        theirs = tv.normalize(tv.to_dtype(theirs, torch.float32, scale=True), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        torch.testing.assert_close(out, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("height", "width", "crop"), [(256, 256, 224), (9, 14, 4), (9, 14, 5), (7, 8, 4), (5, 5, 5)])
def test_the_centre_is_torchvisions(height: int, width: int, crop: int) -> None:
    x = batch(2, 3, height, width)
    assert torch.equal(centre(x, crop), tv.center_crop(x, [crop, crop]))


def test_a_step_has_its_own_crops_whatever_was_asked_before() -> None:
    x = batch()
    augment = Augment(6, True, seed=0, name="source")
    straight = [augment(x, k) for k in range(5)]
    assert all(torch.equal(Augment(6, True, seed=0, name="source")(x, k), straight[k]) for k in (4, 0, 2))
    others = [augment(x, 1), Augment(6, True, seed=1, name="source")(x, 0), Augment(6, True, seed=0, name="target")(x, 0)]
    assert not any(torch.equal(straight[0], other) for other in others)


def test_the_crops_are_pinned() -> None:
    """Records of a seed stay comparable from version to version."""
    drawn = Augment(224, True, seed=0, name="source").draw(4, 256, 256, 0)
    assert drawn.tolist() == [[0, 8, 11, 10], [1, 0, 11, 2], [0, 1, 0, 1]]


def test_drawing_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    Augment(6, True, seed=0, name="source")(batch(), 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_every_place_is_as_likely_and_half_are_mirrored() -> None:
    top, left, mirrored = Augment(8, True, seed=0, name="source").draw(20_000, 10, 13, 0)
    for places, drawn in ((3, top), (6, left), (2, mirrored)):
        share = drawn.bincount(minlength=places) / 20_000
        assert len(share) == places and (share - 1 / places).abs().max() < 0.02
    assert Augment(8, False, seed=0, name="source").draw(1000, 10, 13, 0)[2].sum() == 0


def test_a_crop_larger_than_the_images_is_one_sentence() -> None:
    for attempt in (lambda: Augment(13, True, seed=0, name="source")(batch(), 0), lambda: centre(batch(), 13)):
        with pytest.raises(BenchError, match="a crop of 13 does not fit images of 15x12 pixels"):
            attempt()


def test_each_image_is_cut_at_its_own_place() -> None:
    x = torch.arange(2 * 4 * 4, dtype=torch.uint8).view(2, 1, 4, 4)
    out = cut(x, 2, torch.tensor([0, 2]), torch.tensor([1, 2]), torch.tensor([0, 1]))
    assert out.tolist() == [[[[1, 2], [5, 6]]], [[[27, 26], [31, 30]]]]


# where images live


def images() -> Images:
    return Images(batch(20), torch.arange(20), known="abc")


def test_on_the_cpu_images_stay_where_they_are() -> None:
    here = images()
    there, note = place(here, torch.device("cpu"))
    assert there is here and note == "0 MiB of images stay in the computer's memory"


def test_images_too_large_for_the_device_stay_and_are_served_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (12_000, 24_000))
    here = images()  # 10,800 bytes
    there, note = place(here, torch.device("cuda", 0), budget_fraction=0.5)
    assert there is here and "more than 50% of the 0 MiB free on cuda:0" in note
    moved = []
    monkeypatch.setattr(Images, "to", lambda self, device: moved.append(device) or self)
    assert "resident on cuda:0" in place(here, torch.device("cuda", 0), budget_fraction=0.95)[1]
    assert moved == [torch.device("cuda", 0)]


def test_a_stream_serves_its_device_in_the_same_order() -> None:
    here = Stream(images(), 4, seed=0, name="source")
    away = Stream(images(), 4, seed=0, name="source", device=torch.device("meta"))
    assert here(0).x.device.type == "cpu" and torch.equal(here(0).x, here.images.x[here(0).y])
    assert away(0).x.device.type == away(0).y.device.type == "meta"
    assert torch.equal(away.indices(3), here.indices(3))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_what_the_cpu_gives() -> None:
    gpu = torch.device("cuda")
    resident, _ = place(images(), gpu)
    augment = Augment(6, True, seed=0, name="source")
    expected = [augment(Stream(images(), 4, seed=0, name="source")(k).x, k) for k in range(8)]
    for stream in (
        Stream(resident, 4, seed=0, name="source", device=gpu),
        Stream(images(), 4, seed=0, name="source", device=gpu),
    ):
        torch.cuda.set_sync_debug_mode("error")
        try:
            out = [augment(stream(k).x, k) for k in range(8)]
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert all(o.is_cuda and torch.equal(o.cpu(), e) for o, e in zip(out, expected, strict=True))
