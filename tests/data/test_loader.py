from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from hpcli.data import loader as loader_module
from hpcli.data import pixels as pixels_module
from hpcli.data.augment import CropAndFlip
from hpcli.data.dataset import ImageData, Split
from hpcli.data.loader import EvalLoader, TrainLoader
from hpcli.data.pixels import Streamed
from hpcli.data.randomness import CROP_X, CROP_Y, FLIP, random_integers

CPU = torch.device("cpu")


def images(count: int = 50, height: int = 16, width: int = 24, channels: int = 3) -> Split:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (count, height, width, channels)).astype(np.uint8)
    return Split(pixels, np.arange(count) % 7)


def source(split: Split, *, flip: bool = True) -> ImageData:
    channels = split.images.shape[3]
    classes = tuple("abcdefg")
    return ImageData(split, split, classes, (0.5, 0.4, 0.3)[:channels], (0.2, 0.25, 0.3)[:channels], flip)


def loader(split: Split, *, augmentation: str = "standard", seed: int = 0, flip: bool = True) -> TrainLoader:
    return TrainLoader(split, source(split, flip=flip), batch_size=8, augmentation=augmentation, seed=seed, device=CPU)


def cropped(pixels: Tensor, index: Tensor, *, data_pass: int, seed: int) -> Tensor:
    """Images at `index`, cut and mirrored."""
    own = CropAndFlip(2, images().images.shape[1:3], flip=True)
    return own.change(pixels[index], own.draw(index, seed=seed, data_pass=data_pass))


def test_a_pass_shows_every_image_at_most_once_and_drops_the_odd_ones() -> None:
    split = images()
    train = loader(split)
    assert train.batches_per_pass == 6
    order = train.order(0).tolist()
    assert sorted(order) == list(range(50))
    labels = torch.cat([train.batch(step)[1] for step in range(6)])
    assert labels.tolist() == [split.labels[index] for index in order[:48]]


@pytest.mark.parametrize("augmentation", ["standard", "source"])
def test_a_batch_depends_on_seed_and_step_alone(augmentation: str) -> None:
    forwards, backwards = (loader(images(), augmentation=augmentation) for _ in range(2))
    batches = {step: backwards.batch(step)[0] for step in reversed(range(20))}
    for step in range(20):
        assert torch.equal(forwards.batch(step)[0], batches[step])
    other = loader(images(), augmentation=augmentation, seed=1)
    assert not torch.equal(forwards.batch(0)[0], other.batch(0)[0])
    assert not torch.equal(forwards.order(0), forwards.order(1))


@pytest.mark.parametrize("augmentation", ["standard", "source"])
def test_an_image_is_augmented_alike_in_whatever_batch_it_is(augmentation: str) -> None:
    split = images()
    small, large = (loader(split, augmentation=augmentation) for _ in range(2))
    assert not torch.equal(small.pictures(0)[0], loader(split, augmentation="none").pictures(0)[0])
    large.batch_size = 16
    one = torch.cat([small.pictures(step)[0] for step in range(2)])
    assert torch.equal(one, large.pictures(0)[0])


@pytest.mark.parametrize("channels", [1, 3])
def test_the_batched_crop_equals_slicing_image_by_image(channels: int) -> None:
    split = images(channels=channels)
    pixels = torch.from_numpy(split.images)
    index = torch.tensor([3, 3, 49, 0, 17, 21, 8])
    batch = cropped(pixels, index, seed=9, data_pass=4)
    top = random_integers(index, 5, 9, CROP_Y, 4).tolist()
    left = random_integers(index, 5, 9, CROP_X, 4).tolist()
    mirrored = random_integers(index, 2, 9, FLIP, 4).tolist()
    for n, image in enumerate(index.tolist()):
        cut = np.pad(split.images[image], ((2, 2), (2, 2), (0, 0)))[top[n] : top[n] + 16, left[n] : left[n] + 24]
        assert np.array_equal(batch[n].numpy(), cut[:, ::-1] if mirrored[n] else cut)


def test_crops_and_flips_differ_between_images_and_passes() -> None:
    same = images(count=1)
    pixels = torch.from_numpy(np.repeat(same.images, 400, axis=0))
    batch = cropped(pixels, torch.arange(400), seed=0, data_pass=0)
    different = {image.numpy().tobytes() for image in batch}
    assert len(different) == 5 * 5 * 2
    later = cropped(pixels, torch.arange(400), seed=0, data_pass=1)
    assert not torch.equal(batch, later)


def test_no_flip_where_a_mirror_image_is_another_class() -> None:
    split = images(count=1, height=8, width=8, channels=1)
    whole = Split(np.repeat(split.images, 200, axis=0), np.zeros(200, np.int64))
    train = TrainLoader(whole, source(whole, flip=False), batch_size=200, augmentation="standard", seed=0, device=CPU)
    assert len({image.numpy().tobytes() for image in train.pictures(0)[0]}) == 9


def test_normalised_like_the_textbook_and_channels_last() -> None:
    split = images()
    train = loader(split, augmentation="none")
    batch, _ = train.batch(0)
    picked = split.images[train.order(0)[:8].numpy()]
    expected = (picked / 255 - [0.5, 0.4, 0.3]) / [0.2, 0.25, 0.3]
    assert np.allclose(batch.permute(0, 2, 3, 1).numpy(), expected, atol=1e-5)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert batch.dtype == torch.float32


def test_evaluation_goes_through_everything_in_order() -> None:
    split = images()
    batches = list(EvalLoader.of(split, source(split), batch_size=16, device=CPU))
    assert [len(labels) for _, labels in batches] == [16, 16, 16, 2]
    assert torch.cat([labels for _, labels in batches]).tolist() == split.labels.tolist()


@pytest.mark.parametrize("augmentation", ["standard", "source"])
def test_how_many_are_drawn_at_once_changes_nothing(augmentation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, drawn = loader(images(), augmentation=augmentation), list[int]()
    batches = [whole.batch(step)[0] for step in range(14)]
    monkeypatch.setattr(loader_module, "DRAWN_AT_ONCE", 20)
    monkeypatch.setattr(loader_module, "MADE_AT_ONCE", 1)
    few = loader(images(), augmentation=augmentation)
    assert few.augmentation is not None
    draw = few.augmentation.draw

    def counted(index: Tensor, *, seed: int, data_pass: int) -> tuple[Tensor, ...]:
        drawn.append(len(index))
        return draw(index, seed=seed, data_pass=data_pass)  # type: ignore[no-any-return]

    monkeypatch.setattr(few.augmentation, "draw", counted)
    assert all(torch.equal(few.batch(step)[0], batches[step]) for step in range(14))
    assert drawn == [16] * 7  # two batches of eight at once, three times a pass of six
    assert all(torch.equal(few.batch(step)[0], batches[step]) for step in (7, 3, 13, 12))


@pytest.mark.parametrize("augmentation", ["none", "standard", "source"])
def test_images_that_stay_on_the_host_give_the_same_batches(augmentation: str) -> None:
    split = images()
    here, sent = (
        TrainLoader(
            split, source(split), batch_size=8, augmentation=augmentation, seed=3, device=CPU, resident=resident
        )
        for resident in (None, 100)
    )
    assert isinstance(sent.pixels, Streamed)
    for step in (0, 1, 2, 5, 6, 3, 19, 0):  # in order, across a pass, back and forth
        assert all(map(torch.equal, here.batch(step), sent.batch(step)))
    which = np.array([4, 4, 30, 1])
    for loaders in (
        [EvalLoader.sample(each, which, batch_size=3) for each in (here, sent)],
        [EvalLoader.of(split, source(split), batch_size=16, device=CPU, resident=each) for each in (None, 0)],
    ):
        for one, other in zip(*loaders, strict=True):
            assert all(map(torch.equal, one, other))


def test_what_a_file_has_in_memory_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[int] = []
    monkeypatch.setattr(pixels_module, "release_pages", lambda *arrays: released.append(len(arrays)))
    split = images()
    monkeypatch.setattr(pixels_module, "AT_ONCE", 20 * split.images[0].nbytes)
    store = Streamed(split.images, CPU)
    for start in range(0, 48, 8):
        assert torch.equal(
            store.pick(torch.arange(start, start + 8)), torch.from_numpy(split.images[start : start + 8])
        )
    assert len(released) == 2  # after 24 and 48 images
