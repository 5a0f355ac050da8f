"""The default augmentation of fastai v1, `get_transforms()`, for a whole batch on its device, each image its own draw.

Mirror, perspective warp, rotation, zoom, brightness, contrast; the random crop of that list never acts when images are
squeezed to a fixed size, so it is not here. The order is the one in which fastai's transforms act after it has sorted
them: the coordinates of the output are warped, zoomed and rotated, the image is sampled there once, and only then the
light is changed. (`Image.refresh()` by itself would put the light first; but the first lighting transform asks for
`logit_px`, which asks for `px`, which samples what has been queued.) The mirror is fastai's last step; here it is the
first step of the coordinates, which is the same. Coordinates run from −1 to 1 between the centres of the border pixels.

Letters: B in a batch, H × W pixels, C channels, K kinds of random number.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from hpcli.data.randomness import random_integers

SOURCE_AUGMENT = 100
"""What these random numbers are for; apart from the purposes of `hpcli.data.randomness`."""

CHANCE = 0.75  # of each transform but the mirror, which has a half
MAX_WARP = 0.2
MAX_DEGREES = 10.0
MAX_ZOOM = 1.1
MAX_LIGHTING = 0.2
EPSILON = 1e-7  # keeps the logits of black and white finite


class Kind(IntEnum):
    """The random numbers of one image."""

    MIRROR = 0
    WARPS = 1
    WARP_RIGHT = 2
    WARP_LEFT = 3
    WARP_BOTTOM = 4
    WARP_TOP = 5
    ROTATES = 6
    DEGREES = 7
    ZOOMS = 8
    ZOOM = 9
    ROW = 10
    COLUMN = 11
    BRIGHTENS = 12
    BRIGHTNESS = 13
    CONTRASTS = 14
    CONTRAST = 15


class Draws(NamedTuple):
    """What is done to each image; a transform that is not drawn has the value that changes nothing.

    Attributes:
        mirrored: bool [B].
        warp: float32 [B, 4], how far the right, left, bottom and top edges reach past their ends; 0 changes nothing.
        degrees: float32 [B]; 0 changes nothing.
        zoom: float32 [B]; 1 changes nothing.
        row: float32 [B] in [0, 1), what the zoom keeps in place, from top to bottom.
        column: float32 [B] in [0, 1), the same from left to right.
        brightness: float32 [B], what mid grey becomes; 0.5 changes nothing.
        contrast: float32 [B], the factor of the logits; 1 changes nothing.
    """

    mirrored: Tensor
    warp: Tensor
    degrees: Tensor
    zoom: Tensor
    row: Tensor
    column: Tensor
    brightness: Tensor
    contrast: Tensor


class SourceAugment:
    """The augmentation. `flip`: whether to mirror at all."""

    def __init__(self, flip: bool) -> None:
        self.flip = flip

    def draw(self, index: Tensor, *, seed: int, data_pass: int) -> Draws:
        """Draw each image's transforms: f(seed, data_pass, image), whatever batch the image is in.

        Args:
            index: int64 [B], which images of the set they are.
            seed: the run's seed.
            data_pass: how often the set has been gone through.
        """
        numbers = _unit_numbers(index, seed, data_pass)
        mirrored = numbers[Kind.MIRROR] < (0.5 if self.flip else 0)
        warp = (2 * numbers[Kind.WARP_RIGHT : Kind.WARP_TOP + 1] - 1) * MAX_WARP
        degrees = (2 * numbers[Kind.DEGREES] - 1) * MAX_DEGREES
        zoom = 1 + numbers[Kind.ZOOM] * (MAX_ZOOM - 1)
        brightness = 0.5 + (numbers[Kind.BRIGHTNESS] - 0.5) * MAX_LIGHTING
        contrast = torch.exp((1 - 2 * numbers[Kind.CONTRAST]) * math.log(1 - MAX_LIGHTING))
        return Draws(
            mirrored=mirrored,
            warp=torch.where(numbers[Kind.WARPS] < CHANCE, warp, 0.0).T,
            degrees=torch.where(numbers[Kind.ROTATES] < CHANCE, degrees, 0.0),
            zoom=torch.where(numbers[Kind.ZOOMS] < CHANCE, zoom, 1.0),
            row=numbers[Kind.ROW],
            column=numbers[Kind.COLUMN],
            brightness=torch.where(numbers[Kind.BRIGHTENS] < CHANCE, brightness, 0.5),
            contrast=torch.where(numbers[Kind.CONTRASTS] < CHANCE, contrast, 1.0),
        )

    def change(self, images: Tensor, draws: Draws) -> Tensor:
        """Apply the draws: uint8 [B, H, W, C] → the same, rounded once, at the end.

        An image for which nothing was drawn comes back bit for bit.
        """
        height, width = images.shape[1:3]
        coords = coordinates(geometry(draws, height, width), height, width)
        pixels = sample(images.permute(0, 3, 1, 2).to(torch.float32).div_(255), coords)
        pixels = light(pixels, draws.brightness, draws.contrast)
        return pixels.permute(0, 2, 3, 1).contiguous().mul_(255).round_().to(torch.uint8)


def geometry(draws: Draws, height: int, width: int) -> Tensor:
    """Where each output pixel is taken from: mirror, warp, zoom and rotation as one map, float32 [B, 3, 3]."""
    affine = _product(rotate_matrix(draws.degrees), zoom_matrix(draws.zoom, draws.row, draws.column))
    affine[:, 0, 1] *= height / width
    affine[:, 1, 0] *= width / height
    return _product(_product(affine, warp_matrix(draws.warp)), flip_matrix(draws.mirrored))


def flip_matrix(mirrored: Tensor) -> Tensor:
    """Left to right where `mirrored`: bool [B] → float32 [B, 3, 3]."""
    sign = torch.where(mirrored, -1.0, 1.0)
    return _matrix(sign, 0, 0, 0, 1, 0, 0, 0, 1)


def rotate_matrix(degrees: Tensor) -> Tensor:
    """The picture turns anticlockwise for positive `degrees`: float32 [B] → [B, 3, 3], for square images."""
    cos, sin = torch.cos(torch.deg2rad(degrees)), torch.sin(torch.deg2rad(degrees))
    return _matrix(cos, -sin, 0, sin, cos, 0, 0, 0, 1)


def zoom_matrix(zoom: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Enlarge by `zoom` ≥ 1 around a fixed point, each float32 [B] → [B, 3, 3].

    `row` and `column` in [0, 1] say where the fixed point is: 0 is the top or left edge, 1 the other.
    """
    rest = 1 - 1 / zoom
    return _matrix(1 / zoom, 0, rest * (2 * column - 1), 0, 1 / zoom, rest * (2 * row - 1), 0, 0, 1)


def warp_matrix(magnitude: Tensor) -> Tensor:
    """The perspective map under which the corners of the image move past its edges; inwards where negative.

    Four corners have one such map. In homogeneous coordinates the two diagonals of a square have the same middle,
    so the corners' weights come from four determinants; the way back is the adjugate, three cross products.

    Args:
        magnitude: float32 [B, 4]: the right and left edges reach so much further up and down, the bottom and top
            edges so much further left and right, where half the image is 1.

    Returns:
        float32 [B, 3, 3], up to a factor: from the coordinates of the output to those of the image.
    """
    right, left, bottom, top = (1 + magnitude).unbind(1)
    one = torch.ones_like(top)
    top_left, bottom_left = torch.stack((-top, -left, one), 1), torch.stack((-bottom, left, one), 1)
    top_right, bottom_right = torch.stack((top, -right, one), 1), torch.stack((bottom, right, one), 1)
    a = top_left * _determinant(bottom_right, bottom_left, top_right)
    b = bottom_left * _determinant(top_left, top_right, bottom_right)
    c = top_right * _determinant(top_left, bottom_right, bottom_left)
    d = bottom_right * _determinant(top_left, top_right, bottom_left)
    across, down, middle = c - a, b - a, a + d
    rows = (torch.linalg.cross(down, middle), torch.linalg.cross(middle, across), torch.linalg.cross(across, down))
    return torch.stack(rows, 1)


def coordinates(matrix: Tensor, height: int, width: int) -> Tensor:
    """Map the pixel centres of the output: float32 [B, 3, 3] → [B, H, W, 2], x before y, each from −1 to 1.

    Sums and not a matrix product, which a GPU may round to 10 bits.
    """
    x = torch.linspace(-1, 1, width, device=matrix.device)
    y = torch.linspace(-1, 1, height, device=matrix.device)
    across = matrix[:, :, 0, None] * x
    down = matrix[:, :, 1, None] * y + matrix[:, :, 2, None]
    planes = down[:, :, :, None] + across[:, :, None, :]
    return (planes[:, :2] / planes[:, 2:]).permute(0, 2, 3, 1)


def sample(pixels: Tensor, coords: Tensor) -> Tensor:
    """Bilinear, mirrored beyond the border pixels: float32 [B, C, H, W] at [B, H, W, 2] → [B, C, H, W]."""
    return F.grid_sample(pixels, coords, mode="bilinear", padding_mode="reflection", align_corners=True)


def light(pixels: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
    """Change the light in logits, where no pixel can leave [0, 1].

    Args:
        pixels: float32 [B, C, H, W] in [0, 1].
        brightness: float32 [B], what mid grey becomes: its logit is added.
        contrast: float32 [B], by which the sum is then multiplied.

    Returns:
        float32 [B, C, H, W].
    """
    logits = torch.logit(pixels, EPSILON)
    return logits.add_(torch.logit(brightness)[:, None, None, None]).mul_(contrast[:, None, None, None]).sigmoid_()


def _unit_numbers(index: Tensor, seed: int, data_pass: int) -> Tensor:
    """Random numbers in [0, 1) for each kind and image: int64 [B] → float32 [K, B]."""
    kinds = torch.arange(len(Kind), device=index.device)
    counter = index * len(Kind) + kinds[:, None]
    return random_integers(counter, 1 << 24, seed, SOURCE_AUGMENT, data_pass).to(torch.float32) / (1 << 24)


def _matrix(*entries: Tensor | float) -> Tensor:
    """Nine entries, row by row, numbers or float32 [B] → [B, 3, 3]; the first is a tensor."""
    first = torch.as_tensor(entries[0])
    columns = [entry if isinstance(entry, Tensor) else torch.full_like(first, entry) for entry in entries]
    return torch.stack(columns, 1).view(-1, 3, 3)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """[B, 3, 3] times [B, 3, 3] in full precision, whatever the GPU is allowed for its matrix products."""
    product: Tensor = (left[:, :, :, None] * right[:, None, :, :]).sum(2)
    return product


def _determinant(first: Tensor, second: Tensor, third: Tensor) -> Tensor:
    """Of three columns [B, 3] → [B, 1]."""
    determinant: Tensor = (torch.linalg.cross(first, second) * third).sum(1, keepdim=True)
    return determinant
