"""Crops and flips are torchvision's at the same places and a pure function of the step; batches
come from wherever the images are."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as tv

from bench.data.augment import RandomCrop, ResizedCrop, centre, cut_boxes, resize_boxes
from bench.data.images import Images, place_images, send
from bench.data.stream import Stream
from bench.data.views import Pixels
from bench.errors import BenchError


def batch(n: int = 6, channels: int = 3, height: int = 12, width: int = 15) -> torch.Tensor:
    return torch.randint(
        0,
        256,
        (n, channels, height, width),
        dtype=torch.uint8,
        generator=torch.Generator().manual_seed(n),
    )


@given(
    st.integers(1, 5),
    st.sampled_from([1, 3]),
    st.integers(1, 9),
    st.integers(9, 14),
    st.integers(9, 14),
    st.booleans(),
)
def test_a_cut_is_torchvisions_crop_and_flip_bit_for_bit(
    n: int, channels: int, crop: int, h: int, w: int, flip: bool
) -> None:
    x, augment = batch(n, channels, h, w), RandomCrop(crop, flip, seed=n, name="source")
    ours = augment(x, 7)
    for image, out, top, left, mirrored in zip(
        x, ours, *augment.draw(n, h, w, 7).tolist(), strict=True
    ):
        theirs = tv.crop(image, top, left, crop, crop)
        assert torch.equal(out, tv.horizontal_flip(theirs) if mirrored else theirs)
    assert ours.shape == (n, channels, crop, crop) and ours.dtype == torch.uint8


def test_after_normalisation_they_are_still_torchvisions() -> None:
    x, augment = batch(4, 3, 256, 256), RandomCrop(224, True, seed=0, name="target")
    ours = Pixels("imagenet", torch.device("cpu"))(augment(x, 3))
    for image, out, top, left, mirrored in zip(
        x, ours, *augment.draw(4, 256, 256, 3).tolist(), strict=True
    ):
        theirs = tv.crop(image, top, left, 224, 224)
        theirs = tv.horizontal_flip(theirs) if mirrored else theirs
        theirs = tv.normalize(
            tv.to_dtype(theirs, torch.float32, scale=True),
            [0.485, 0.456, 0.406],
            [0.229, 0.224, 0.225],
        )
        torch.testing.assert_close(out, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("height", "width", "crop"), [(256, 256, 224), (9, 14, 4), (9, 14, 5), (7, 8, 4), (5, 5, 5)]
)
def test_the_centre_is_torchvisions(height: int, width: int, crop: int) -> None:
    x = batch(2, 3, height, width)
    assert torch.equal(centre(x, crop), tv.center_crop(x, [crop, crop]))


def test_a_step_has_its_own_crops_whatever_was_asked_before() -> None:
    x = batch()
    augment = RandomCrop(6, True, seed=0, name="source")
    straight = [augment(x, k) for k in range(5)]
    assert all(
        torch.equal(RandomCrop(6, True, seed=0, name="source")(x, k), straight[k])
        for k in (4, 0, 2)
    )
    others = [
        augment(x, 1),
        RandomCrop(6, True, seed=1, name="source")(x, 0),
        RandomCrop(6, True, seed=0, name="target")(x, 0),
    ]
    assert not any(torch.equal(straight[0], other) for other in others)


def test_the_crops_are_pinned() -> None:
    """Records of a seed stay comparable from version to version."""
    drawn = RandomCrop(224, True, seed=0, name="source").draw(4, 256, 256, 0)
    assert drawn.tolist() == [[0, 8, 11, 10], [1, 0, 11, 2], [0, 1, 0, 1]]


def test_drawing_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    RandomCrop(6, True, seed=0, name="source")(batch(), 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_every_place_is_as_likely_and_half_are_mirrored() -> None:
    top, left, mirrored = RandomCrop(8, True, seed=0, name="source").draw(20_000, 10, 13, 0)
    for places, drawn in ((3, top), (6, left), (2, mirrored)):
        share = drawn.bincount(minlength=places) / 20_000
        assert len(share) == places and (share - 1 / places).abs().max() < 0.02
    assert RandomCrop(8, False, seed=0, name="source").draw(1000, 10, 13, 0)[2].sum() == 0


def test_a_crop_larger_than_the_images_is_one_sentence() -> None:
    for attempt in (
        lambda: RandomCrop(13, True, seed=0, name="source")(batch(), 0),
        lambda: centre(batch(), 13),
    ):
        with pytest.raises(BenchError, match="a crop of 13 does not fit images of 15x12 pixels"):
            attempt()


def test_each_image_is_cut_at_its_own_place() -> None:
    x = torch.arange(2 * 4 * 4, dtype=torch.uint8).view(2, 1, 4, 4)
    out = cut_boxes(x, 2, torch.tensor([0, 2]), torch.tensor([1, 2]), torch.tensor([0, 1]))
    assert out.tolist() == [[[[1, 2], [5, 6]]], [[[27, 26], [31, 30]]]]


# resized crops

# without a kernel for uint8, torchvision rounds once, not after columns and rows
KERNEL = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")


def theirs(image: Tensor, box: list[int], crop: int, mirrored: int) -> Tensor:
    out = tv.resized_crop(image, *box, size=[crop, crop], antialias=True)
    return tv.horizontal_flip(out) if mirrored else out


def same(ours: Tensor, others: Tensor) -> bool:
    return int((ours.int() - others.int()).abs().max()) <= (0 if KERNEL else 1)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[int, int, int, list[list[int]]]:
    """Height and width of some images, a crop no smaller than a quarter of them, and for each image
    a box and whether it is mirrored."""
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    crop = draw(st.integers(-(-max(height, width) // 4), 50))

    def stretch(size: int) -> st.SearchStrategy[tuple[int, int]]:
        return st.integers(1, size).flatmap(
            lambda n: st.tuples(st.integers(0, size - n), st.just(n))
        )

    def box(rows: tuple[int, int], columns: tuple[int, int], mirrored: int) -> list[int]:
        return [rows[0], columns[0], rows[1], columns[1], mirrored]

    some = st.builds(box, stretch(height), stretch(width), st.integers(0, 1))
    return height, width, crop, draw(st.lists(some, min_size=1, max_size=4))


@given(boxes(), st.sampled_from([1, 3]))
def test_a_resized_box_is_torchvisions_bit_for_bit(
    made: tuple[int, int, int, list[list[int]]], channels: int
) -> None:
    height, width, crop, asked = made
    x = batch(len(asked), channels, height, width)
    ours = resize_boxes(x, crop, *torch.tensor(asked).T)
    assert (
        ours.shape == (len(asked), channels, crop, crop)
        and ours.dtype == torch.uint8
        and ours.is_contiguous()
    )
    for image, out, (*box, mirrored) in zip(x, ours, asked, strict=True):
        assert same(out, theirs(image, box, crop, mirrored))


@pytest.fixture
def tf32() -> Iterator[None]:
    """TF32 is on: a GPU may round the factors of matrix products."""
    kept, torch.backends.cuda.matmul.allow_tf32 = torch.backends.cuda.matmul.allow_tf32, True
    yield
    torch.backends.cuda.matmul.allow_tf32 = kept


@pytest.mark.usefixtures("tf32")
def test_resized_crops_at_full_size_are_torchvisions_whatever_the_precision() -> None:
    x, augment = batch(6, 3, 256, 256), ResizedCrop(224, True, seed=0, name="source")
    for image, out, (*box, mirrored) in zip(
        x, augment(x, 5), augment.draw(6, 256, 256, 5).T.tolist(), strict=True
    ):
        assert same(out, theirs(image, box, 224, mirrored))
    assert torch.backends.cuda.matmul.allow_tf32


def test_resized_crops_are_pillows_to_a_grey_level() -> None:
    """In images as smooth as photographs, for boxes that Pillow resizes in the same order, from its
    version 13.0 on."""
    smooth = tv.resize(batch(8, 3, 32, 32), [256, 256])
    asked = torch.tensor(
        [[0, 0, 224, 256, 0], [9, 3, 200, 150, 0], [100, 90, 80, 100, 0], [32, 0, 224, 224, 0]] * 2
    )
    for image, out, (top, left, h, w, _) in zip(
        smooth, resize_boxes(smooth, 224, *asked.T), asked.tolist(), strict=True
    ):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy()).crop(
            (left, top, left + w, top + h)
        )
        off = (
            np.asarray(picture.resize((224, 224), Image.Resampling.BILINEAR)).astype(int)
            - out.permute(1, 2, 0).numpy()
        )
        assert abs(off).max() <= 1 and (off != 0).mean() < 0.05


@pytest.mark.parametrize(("height", "width"), [(256, 256), (256, 200), (60, 180), (180, 60)])
def test_boxes_are_spread_as_torchvisions(height: int, width: int) -> None:
    """The last two sizes are so oblong that several of ten boxes do not fit."""
    ours = ResizedCrop(64, False, seed=0, name="source").draw(5000, height, width, 0)[:4].T.double()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        image = torch.empty(3, height, width)
        drawn = [
            RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(5000)
        ]
    others, at = torch.tensor(drawn).double(), torch.linspace(0.02, 0.98, 13).double()
    for what, within in (
        (lambda b: b[:, 2] * b[:, 3] / (height * width), 0.02),
        (lambda b: (b[:, 3] / b[:, 2]).log(), 0.02),
        (lambda b: b[:, 0] / height, 0.03),
        (lambda b: b[:, 1] / width, 0.03),
    ):
        torch.testing.assert_close(
            what(ours).quantile(at), what(others).quantile(at), rtol=0, atol=within
        )


def test_boxes_lie_within_their_images_and_the_last_resort_is_the_middle() -> None:
    for height, width in ((256, 256), (9, 9), (1, 1), (3, 40)):
        top, left, h, w, mirrored = ResizedCrop(8, True, seed=0, name="target").draw(
            2000, height, width, 1
        )
        assert top.min() >= 0 and left.min() >= 0 and h.min() > 0 and w.min() > 0
        assert (top + h).max() <= height and (left + w).max() <= width
        assert 800 < mirrored.sum() < 1200
    for height, width, box in ((10, 1000, [0, 493, 10, 13]), (1000, 10, [493, 0, 13, 10])):
        assert ResizedCrop(8, False, seed=0, name="target").draw(1, height, width, 1)[
            :, 0
        ].tolist() == [*box, 0]


def test_a_step_has_its_own_boxes_whatever_was_asked_before() -> None:
    before = torch.get_rng_state()
    x, augment = batch(), ResizedCrop(6, True, seed=0, name="source")
    straight = [augment(x, k) for k in range(5)]
    assert all(
        torch.equal(ResizedCrop(6, True, seed=0, name="source")(x, k), straight[k])
        for k in (4, 0, 2)
    )
    others = (
        ResizedCrop(6, True, seed=1, name="source"),
        ResizedCrop(6, True, seed=0, name="target"),
    )
    assert not any(
        torch.equal(straight[0], other) for other in (straight[1], *(o(x, 0) for o in others))
    )
    assert torch.equal(torch.get_rng_state(), before)


def test_the_boxes_are_pinned() -> None:
    """Records of a seed stay comparable from version to version."""
    drawn = ResizedCrop(224, True, seed=0, name="source").draw(3, 256, 256, 0)
    assert drawn.T.tolist() == [[143, 68, 79, 78, 0], [16, 77, 145, 139, 1], [43, 73, 186, 144, 1]]


# where images live


def images() -> Images:
    return Images(batch(20), torch.arange(20), known="abc")


def test_on_the_cpu_images_stay_where_they_are() -> None:
    here = images()
    assert place_images(here, torch.device("cpu")) is here


def test_images_too_large_for_the_device_stay_and_are_served_in_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (12_000, 24_000))
    here = images()  # 10,800 bytes
    moved = []
    monkeypatch.setattr(Images, "to", lambda self, device: moved.append(device) or images())
    gpu = torch.device("cuda", 0)
    assert place_images(here, gpu, budget_fraction=0.5) is here and moved == []
    assert place_images(here, gpu, budget_fraction=0.95) is not here and moved == [gpu]


def test_images_that_do_not_fit_after_all_stay_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (30 << 20, 40 << 20))
    monkeypatch.setattr(Images, "to", full)
    here = images()
    assert place_images(here, torch.device("cuda", 0)) is here


def test_a_stream_serves_its_device_in_the_same_order() -> None:
    here = Stream(images(), 4, seed=0, name="source")
    away = Stream(images(), 4, seed=0, name="source", device=torch.device("meta"))
    assert here(0).x.device.type == "cpu" and torch.equal(here(0).x, here.images.x[here(0).y])
    assert away(0).x.device.type == away(0).y.device.type == "meta"
    assert torch.equal(away.indices(3), here.indices(3))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_what_the_cpu_gives() -> None:
    gpu = torch.device("cuda")
    resident = place_images(images(), gpu)
    augment = RandomCrop(6, True, seed=0, name="source")
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
        assert all(
            o.is_cuda and torch.equal(o.cpu(), e) for o, e in zip(out, expected, strict=True)
        )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.usefixtures("tf32")
def test_a_gpu_resizes_bit_for_bit_as_the_cpu() -> None:
    gpu, x, augment = (
        torch.device("cuda"),
        batch(16, 3, 256, 256),
        ResizedCrop(224, True, seed=0, name="source"),
    )
    there = send(x, gpu)
    augment(there, 0)  # whatever cuBLAS does once
    torch.cuda.set_sync_debug_mode("error")
    try:
        out = [augment(there, k) for k in range(4)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(o.is_cuda and torch.equal(o.cpu(), augment(x, k)) for k, o in enumerate(out))
