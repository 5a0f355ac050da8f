from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpcli.data import source_augment as augment
from hpcli.data.source_augment import Draws, SourceAugment
from tests.gpu import no_waiting

# Both sides of every comparison round to whole pixel values, once each: they may differ by one, and hardly ever do.
ROUNDING = 1
Floats = NDArray[np.float64]


def noise(count: int, height: int = 32, width: int = 32, channels: int = 3) -> Tensor:
    """The hardest image: a shift of a hundredth of a pixel shows."""
    pixels = np.random.default_rng(3).integers(0, 256, (count, height, width, channels))
    return torch.from_numpy(pixels.astype(np.uint8))


def nothing(count: int, **changes: Tensor) -> Draws:
    zeros, ones = torch.zeros(count), torch.ones(count)
    draws = Draws(zeros.bool(), torch.zeros(count, 4), zeros, ones, zeros, zeros, ones / 2, ones)
    return draws._replace(**changes)


def source_augment(images: Tensor, index: Tensor, *, flip: bool, seed: int, data_pass: int) -> Tensor:
    """Draw and change."""
    own = SourceAugment(flip)
    return own.change(images, own.draw(index, seed=seed, data_pass=data_pass))


def difference(ours: Tensor, reference: Tensor, inside: Tensor) -> tuple[int, float]:
    """The largest and the mean difference in pixel values, where the reference did not have to invent pixels."""
    gap = (ours.int() - reference.int()).abs()[inside.expand_as(ours)]
    return int(gap.max()), float(gap.float().mean())


def numpy_fastai(image: NDArray[np.uint8], draws: Draws, n: int) -> NDArray[np.uint8]:
    """One image, step by step as fastai does it: warp, affine, sample, light, mirror."""
    height, width = image.shape[:2]
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    m = draws.warp[n].double().numpy()
    corners = [(-1, -1), (-1, 1), (1, -1), (1, 1)]
    moved = [(-1 - m[3], -1 - m[1]), (-1 - m[2], 1 + m[1]), (1 + m[3], -1 - m[0]), (1 + m[2], 1 + m[0])]
    equations, known = [], []
    for (px, py), (qx, qy) in zip(moved, corners, strict=True):
        equations += [[px, py, 1, 0, 0, 0, -qx * px, -qx * py], [0, 0, 0, px, py, 1, -qy * px, -qy * py]]
        known += [qx, qy]
    k = np.linalg.solve(np.array(equations), np.array(known))
    below = k[6] * x + k[7] * y + 1
    x, y = (k[0] * x + k[1] * y + k[2]) / below, (k[3] * x + k[4] * y + k[5]) / below
    angle, scale = math.radians(float(draws.degrees[n])), float(draws.zoom[n])
    rest = 1 - 1 / scale
    centre = rest * (2 * float(draws.column[n]) - 1), rest * (2 * float(draws.row[n]) - 1)
    zoom = np.array([[1 / scale, 0, centre[0]], [0, 1 / scale, centre[1]], [0, 0, 1]])
    turn = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    affine = turn @ zoom
    affine[0, 1] *= height / width
    affine[1, 0] *= width / height
    x, y = affine[0, 0] * x + affine[0, 1] * y + affine[0, 2], affine[1, 0] * x + affine[1, 1] * y + affine[1, 2]
    pixels = numpy_light(numpy_sample(image / 255, x, y), float(draws.brightness[n]), float(draws.contrast[n]))
    pixels = pixels[:, ::-1] if draws.mirrored[n] else pixels
    return np.round(pixels * 255).astype(np.uint8)


def numpy_sample(image: Floats, x: Floats, y: Floats) -> Floats:
    height, width = image.shape[:2]
    padded = np.pad(image, ((height - 1,) * 2, (width - 1,) * 2, (0, 0)), mode="reflect")
    row, column = (y + 1) / 2 * (height - 1) + height - 1, (x + 1) / 2 * (width - 1) + width - 1
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    v, u = (row - top)[..., None], (column - left)[..., None]
    upper = padded[top, left] * (1 - u) + padded[top, left + 1] * u
    lower = padded[top + 1, left] * (1 - u) + padded[top + 1, left + 1] * u
    return np.asarray(upper * (1 - v) + lower * v)


def numpy_light(pixels: Floats, change: float, scale: float) -> Floats:
    pixels = np.clip(pixels, 1e-7, 1 - 1e-7)
    logits = (np.log(pixels / (1 - pixels)) + math.log(change / (1 - change))) * scale
    return np.asarray(1 / (1 + np.exp(-logits)))


@pytest.mark.parametrize(("height", "width", "channels"), [(32, 32, 3), (28, 28, 1), (24, 40, 3)])
def test_the_whole_equals_fastai_done_image_by_image_in_numpy(height: int, width: int, channels: int) -> None:
    images, index = noise(64, height, width, channels), torch.arange(64) + 1000
    draws = SourceAugment(True).draw(index, seed=5, data_pass=2)
    ours = source_augment(images, index, flip=True, seed=5, data_pass=2)
    assert ours.shape == images.shape
    assert ours.dtype == torch.uint8
    reference = np.stack([numpy_fastai(image, draws, n) for n, image in enumerate(images.numpy())])
    largest, mean = difference(ours, torch.from_numpy(reference), torch.ones(1, dtype=torch.bool))
    assert largest <= ROUNDING
    assert mean < 1e-3  # single precision rounds the other way once in thousands of pixels


@pytest.mark.parametrize(("height", "width"), [(32, 32), (224, 160)])
def test_where_nothing_is_drawn_every_pixel_stays_and_a_mirror_only_mirrors(height: int, width: int) -> None:
    images = torch.arange(256, dtype=torch.uint8).repeat(height * width * 3 // 128 + 1)[: 2 * height * width * 3]
    images = images.view(2, height, width, 3)
    changed = SourceAugment(True).change(images, nothing(2, mirrored=torch.tensor([False, True])))
    assert torch.equal(changed[0], images[0])
    assert torch.equal(changed[1], images[1].flip(1))
    assert not torch.equal(changed[1], images[1])


def test_rotation_equals_torchvision() -> None:
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2.functional import rotate

    degrees = torch.tensor([-10.0, -3.3, 0.4, 7.0, 10.0])
    images = noise(5)
    ours = SourceAugment(True).change(images, nothing(5, degrees=degrees)).permute(0, 3, 1, 2)
    for n, image in enumerate(images.permute(0, 3, 1, 2)):
        reference = rotate(image, float(degrees[n]), InterpolationMode.BILINEAR)
        inside = rotate(torch.ones(1, 32, 32), float(degrees[n]), InterpolationMode.BILINEAR) > 0.999
        assert inside.float().mean() > 0.85
        assert difference(ours[n], reference, inside)[0] <= ROUNDING
        assert difference(image, reference, inside)[1] > 5  # the reference is not the image itself


def test_zoom_equals_torchvision() -> None:
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2.functional import affine

    zoom, row, column = torch.tensor([[1.1, 1.03, 1.07], [0.0, 0.4, 1.0], [1.0, 0.2, 0.5]])
    images = noise(3, 24, 40)
    ours = SourceAugment(True).change(images, nothing(3, zoom=zoom, row=row, column=column)).permute(0, 3, 1, 2)
    for n, image in enumerate(images.permute(0, 3, 1, 2)):
        centre = [float(column[n]) * 39 + 0.5, float(row[n]) * 23 + 0.5]  # torchvision counts from the pixel's corner
        scale = float(zoom[n])
        reference = affine(image, 0, [0, 0], scale, [0, 0], InterpolationMode.BILINEAR, center=centre)
        edge = torch.ones(1, 24, 40)
        inside = affine(edge, 0, [0, 0], scale, [0, 0], InterpolationMode.BILINEAR, center=centre) > 0.999
        assert inside.float().mean() > 0.9
        assert difference(ours[n], reference, inside)[0] <= ROUNDING
        assert difference(image, reference, inside)[1] > 5


def test_warp_equals_torchvision() -> None:
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2.functional import perspective

    warp = torch.tensor([[0.2, -0.2, 0.1, -0.05], [-0.2, -0.2, -0.2, -0.2], [0.0, 0.2, 0.0, 0.0], [0.2, 0.2, 0.2, 0.2]])
    images = noise(4, 24, 40)
    ours = SourceAugment(True).change(images, nothing(4, warp=warp)).permute(0, 3, 1, 2)
    scale = torch.tensor([39 / 2, 23 / 2])
    corners = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    start = ((corners + 1) * scale + 0.5).tolist()
    for n, image in enumerate(images.permute(0, 3, 1, 2)):
        right, left, bottom, top = warp[n].tolist()
        growth = torch.tensor([[top, left], [top, right], [bottom, right], [bottom, left]])
        end = ((corners * (1 + growth) + 1) * scale + 0.5).tolist()
        reference = perspective(image, start, end, InterpolationMode.BILINEAR)
        inside = perspective(torch.ones(1, 24, 40), start, end, InterpolationMode.BILINEAR) > 0.999
        assert inside.float().mean() > 0.5
        assert difference(ours[n], reference, inside)[0] <= ROUNDING
        assert difference(image, reference, inside)[1] > 5


def test_the_same_magnitude_on_all_sides_only_enlarges() -> None:
    points = augment.coordinates(augment.warp_matrix(torch.full((1, 4), 0.2)), 3, 3)
    assert torch.allclose(points[0, 0, 0], torch.tensor([-1 / 1.2, -1 / 1.2]))
    assert torch.allclose(points[0, 2, 1], torch.tensor([0.0, 1 / 1.2]), atol=1e-6)


def test_beyond_the_border_the_picture_is_mirrored_at_the_centre_of_the_border_pixels() -> None:
    column = torch.tensor([0.0, 10, 20, 30, 40]) / 255
    beyond = torch.tensor([-1.5, -2.0, 1.5, 1.25])  # half the width is two pixels
    points = torch.stack((beyond, torch.zeros(4)), 1).view(1, 1, 4, 2)
    assert torch.allclose(
        augment.sample(column.view(1, 1, 1, 5), points).flatten() * 255, torch.tensor([10.0, 20, 30, 35])
    )


def test_light_is_changed_in_logits() -> None:
    images = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).repeat(6, 1, 1, 1)
    brightness = torch.tensor([0.4, 0.6, 0.5, 0.5, 0.45, 0.6])
    contrast = torch.tensor([1.0, 1.0, 0.8, 1.25, 1.2, 0.9])
    ours = SourceAugment(True).change(images, nothing(6, brightness=brightness, contrast=contrast))
    for n, image in enumerate(images.numpy()):
        reference = np.round(numpy_light(image / 255, float(brightness[n]), float(contrast[n])) * 255)
        assert np.abs(ours[n].numpy() - reference).max() <= ROUNDING
        assert np.abs(image - reference).max() >= 10
    assert ours[:, 0, 0].eq(0).all()
    assert ours[:, 15, 15].eq(255).all()
    assert ours[1, 8, 0] > 128 > ours[0, 8, 0]


def test_an_image_is_drawn_alike_in_whatever_batch_and_place_it_is() -> None:
    images, index = noise(16), torch.arange(16)
    whole = source_augment(images, index, flip=True, seed=1, data_pass=4)
    some = torch.tensor([11, 3, 3, 7])
    assert torch.equal(source_augment(images[some], some, flip=True, seed=1, data_pass=4), whole[some])


def test_images_passes_and_seeds_differ() -> None:
    same, index = noise(1).expand(64, -1, -1, -1), torch.arange(64)
    first = source_augment(same, index, flip=True, seed=0, data_pass=0)
    assert len({image.numpy().tobytes() for image in first}) == 64
    for seed, data_pass in [(0, 1), (1, 0)]:
        other = source_augment(same, index, flip=True, seed=seed, data_pass=data_pass)
        assert all(not torch.equal(one, two) for one, two in zip(first, other, strict=True))


def test_each_transform_is_drawn_as_often_and_as_far_as_it_should_be() -> None:
    draws = SourceAugment(True).draw(torch.arange(4000), seed=2, data_pass=0)
    assert abs(draws.mirrored.float().mean() - 0.5) < 0.03  # four standard deviations
    warped = draws.warp.ne(0).any(1)
    for values, neutral, low, high in [
        (draws.warp[warped], 0.0, -0.2, 0.2),
        (draws.degrees, 0.0, -10.0, 10.0),
        (draws.zoom, 1.0, 1.0, 1.1),
        (draws.brightness, 0.5, 0.4, 0.6),
        (draws.contrast.log(), 0.0, math.log(0.8), math.log(1.25)),
    ]:
        drawn = values[values != neutral]
        assert drawn.min() >= low - 1e-6
        assert drawn.max() <= high + 1e-6
        unit = (drawn - low) / (high - low)
        assert abs(unit.mean() - 0.5) < 0.02
        assert abs(unit.std() - 1 / math.sqrt(12)) < 0.01
    for chosen in [warped, draws.degrees != 0, draws.zoom != 1, draws.brightness != 0.5, draws.contrast != 1]:
        assert abs(chosen.float().mean() - 0.75) < 0.03
    assert (draws.row - 0.5).abs().max() <= 0.5
    assert abs(draws.row.std() - 1 / math.sqrt(12)) < 0.01
    assert abs(draws.column.mean() - 0.5) < 0.02


def test_no_random_number_tells_of_another() -> None:
    draws = SourceAugment(True).draw(torch.arange(4000), seed=0, data_pass=0)
    columns = [draws.mirrored[:, None], draws.warp, *(values[:, None] for values in draws[2:])]
    columns += [(values != neutral)[:, None] for values, neutral in [(draws.degrees, 0), (draws.zoom, 1)]]
    columns += [(values != neutral)[:, None] for values, neutral in [(draws.brightness, 0.5), (draws.contrast, 1)]]
    table = torch.cat([column.float() for column in columns], 1)
    correlation = torch.corrcoef(table.T).abs()
    own = torch.zeros(15, 15, dtype=torch.bool)
    own[6, 12] = own[12, 6] = True  # how far a zoom goes depends on whether there is one
    assert correlation[~torch.eye(15, dtype=torch.bool) & ~own].max() < 0.07
    beside = torch.corrcoef(torch.cat((table[1:], table[:-1]), 1).T).abs()[:15, 15:]  # an image and the one before it
    assert beside.max() < 0.07


def test_without_flip_nothing_is_mirrored_and_all_else_is_drawn_as_with_it() -> None:
    index = torch.arange(500)
    with_flip, without = (SourceAugment(flip).draw(index, seed=0, data_pass=0) for flip in (True, False))
    assert with_flip.mirrored.any()
    assert not without.mirrored.any()
    for one, two in zip(with_flip[1:], without[1:], strict=True):
        assert torch.equal(one, two)
    bright_left = torch.zeros(500, 32, 32, 1, dtype=torch.uint8)
    bright_left[:, :, :10] = 200
    changed = source_augment(bright_left, index, flip=False, seed=0, data_pass=0).float()
    assert (changed[:, :, :16].mean((1, 2, 3)) > changed[:, :, 16:].mean((1, 2, 3))).all()


@pytest.mark.gpu
def test_on_a_gpu_nothing_waits_for_the_host_and_the_pixels_are_the_same() -> None:
    images, index = noise(64), torch.arange(64)
    there = images.cuda(), index.cuda()
    with no_waiting():
        ours = source_augment(*there, flip=True, seed=0, data_pass=0)
    largest, mean = difference(
        ours.cpu(), source_augment(images, index, flip=True, seed=0, data_pass=0), torch.ones(1, dtype=torch.bool)
    )
    assert largest <= ROUNDING
    assert mean < 1e-3
