"""Mixed batches: timm's and torchvision's numbers, the papers' distributions, and nothing but seed and step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchvision.transforms import v2

from hpcli.config import Config, load_config, with_overrides
from hpcli.config.idle import why_idle
from hpcli.data.dataset import load_splits
from hpcli.data.loader import TrainLoader
from hpcli.data.mixing import Mix, Mixing, cut
from hpcli.data.on_device import DeviceData
from hpcli.training.step import CrossEntropy

CPU, CLASSES = torch.device("cpu"), 5


def batch(count: int, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, 3, *size, generator=generator), torch.arange(count) % CLASSES


def mixed(mix: Mix, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    mixing = Mixing(1.0, 1.0, classes=CLASSES, device=CPU)
    return mixing.images(images.clone(), mix), mixing.targets(labels, mix)


@pytest.mark.parametrize("size", [(8, 8), (7, 11), (32, 32)])
@pytest.mark.parametrize("share", [0.0, 0.03, 0.3, 0.5, 0.77, 0.999])
@pytest.mark.parametrize("cuts", [False, True])
def test_a_batch_is_mixed_as_timm_mixes_it(
    size: tuple[int, int], share: float, cuts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same share, and the same middle of the box, at an edge too."""
    timm_data = pytest.importorskip("timm.data", reason="timm is not installed")
    theirs = timm_data.Mixup(mixup_alpha=1.0, cutmix_alpha=1.0, label_smoothing=0.0, num_classes=CLASSES)
    monkeypatch.setattr(theirs, "_params_per_batch", lambda: (share, cuts))
    for middle in ((0.5, 0.5), (0.0, 0.99), (0.9, 0.2)):
        places = iter(middle)
        monkeypatch.setattr(np.random, "randint", lambda low, high, size=None, places=places: int(next(places) * high))
        images, labels = batch(6, size)
        mix = cut(share, middle, size) if cuts else Mix(share)
        found, shares = mixed(mix, images, labels)
        expected, targets = theirs(images.clone(), labels)
        assert torch.allclose(found, expected, atol=1e-6)
        assert torch.allclose(shares, targets, atol=1e-6)
        assert torch.allclose(shares.sum(1), torch.ones(6))


@pytest.mark.parametrize("kind", [v2.MixUp, v2.CutMix])
def test_a_pair_is_mixed_as_torchvision_mixes_it(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the next image for a partner: of two that is the other one."""
    theirs, cuts = kind(num_classes=CLASSES), kind is v2.CutMix
    monkeypatch.setattr(theirs, "_dist", type("Always", (), {"sample": lambda self, shape: torch.tensor(0.75)})())
    monkeypatch.setattr(torch, "randint", lambda high, size: torch.tensor([high // 4]))
    images, labels = batch(2, (8, 16))
    found, shares = mixed(cut(0.75, (0.25, 0.25), (8, 16)) if cuts else Mix(0.75), images, labels)
    expected, targets = theirs(images.clone(), labels)
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.allclose(shares, targets, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_are_of_the_papers_distribution(alpha: float) -> None:
    mixing = Mixing(alpha, 0.0, classes=2, device=CPU)
    shares = np.array([mixing.draw(3, step, (8, 8)).share for step in range(4000)])
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.08)


def test_boxes_leave_about_the_share_and_lie_anywhere() -> None:
    mixing = Mixing(0.0, 1.0, classes=2, device=CPU)
    mixes = [mixing.draw(0, step, (32, 32)) for step in range(2000)]
    assert {mix.box is None for mix in mixes} == {False}
    starts = {mix.box[0].start for mix in mixes if mix.box is not None}
    assert len(starts) > 25
    assert np.mean([mix.share for mix in mixes]) > 0.55  # what is cut off at the edges stays
    assert all(0 <= mix.share <= 1 for mix in mixes)


def test_with_both_a_coin_says_which() -> None:
    mixing = Mixing(0.4, 1.0, classes=2, device=CPU)
    cuts = [mixing.draw(0, step, (8, 8)).box is not None for step in range(2000)]
    assert np.mean(cuts) == pytest.approx(0.5, abs=0.04)


def loader_of(config: Config, **keys: object) -> TrainLoader:
    config = with_overrides(config, keys)
    return DeviceData.from_config(load_splits(config), config, device=CPU).loader


def test_a_mixed_batch_depends_on_seed_and_step_alone(config: Config) -> None:
    keys = {"train.mixup": 0.4, "train.cutmix": 1.0}
    one, other = (loader_of(config, **keys) for _ in range(2))
    before = {step: other.batch(step) for step in reversed(range(20))}
    for step in range(20):
        images, targets = one.batch(step)
        assert torch.equal(images, before[step][0])
        assert torch.equal(targets, before[step][1])
    again = loader_of(config, **keys, seed=1)
    assert not torch.equal(one.batch(0)[1], again.batch(0)[1])
    one.seed = 1
    assert torch.equal(one.batch(0)[1], again.batch(0)[1])


def test_what_is_mixed_is_the_batch_as_it_would_be(config: Config) -> None:
    plain, mixes = loader_of(config), loader_of(config, **{"train.mixup": 0.4})
    assert plain.mix(3) is None
    images, labels = plain.batch(3)
    mix, (found, targets) = mixes.mix(3), mixes.batch(3)
    assert mix is not None
    assert torch.allclose(found, mix.share * images + (1 - mix.share) * images.flip(0), atol=1e-6)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert targets.dtype == torch.float32
    assert torch.equal(mixes.pictures(3)[1], labels)
    pixels = mixes.normalize(mixes.pictures(3)[0])
    assert (pixels - found).abs().max() < 0.6 / 255 / min(load_splits(config).source.std)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_two_labels_mixed(smoothing: float) -> None:
    images, labels = batch(6, (4, 4))
    logits, share = images.flatten(1)[:, :CLASSES], 0.3
    _, targets = mixed(Mix(share), images, labels)
    own, other = (F.cross_entropy(logits, each, label_smoothing=smoothing) for each in (labels, labels.flip(0)))
    assert CrossEntropy(smoothing)(logits, targets).item() == pytest.approx((share * own + (1 - share) * other).item())


def test_a_batch_of_one_has_no_other_image() -> None:
    config = load_config(overrides={"model.name": "shallow3", "data.batch_size": 1})
    for key in ("train.mixup", "train.cutmix"):
        assert why_idle(config, key) == "does nothing where data.batch_size is 1"
        assert why_idle(load_config(), key) is None
