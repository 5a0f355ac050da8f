"""Images are in memory once: not padded, not sampled, not mapped beside a copy."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hpcli import load_config, train
from hpcli.config import Config
from hpcli.data import mapped
from hpcli.data.dataset import ImageData, Split, divide
from hpcli.data.mapped import release_pages, taken
from hpcli.data.on_device import DeviceData
from hpcli.data.pixels import Resident
from hpcli.training.trainer import Trainer

MEASURE = """
import json, sys
from hpcli import load_config, train
from hpcli.data.dataset import load_splits

keys = json.loads(sys.argv[1])
small = {"model.name": "shallow3", "train.epochs": 1, "data.batch_size": 32, "data.eval_batch_size": 64}
train(load_config(overrides={**small, "data.train_fraction": 0.2}), device="cpu")
load_splits(load_config(overrides={**small, **keys}))  # decoded
def now():
    return 1024 * int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
before = now()
open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
train(load_config(overrides={**small, **keys, "data.steps_per_epoch": 3}), device="cpu")
high = 1024 * int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
print(high - before)
"""


def data(count: int = 4000) -> tuple[ImageData, Config]:
    images = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8)
    config = load_config(overrides={"data.validation": 0.1, "model.name": "shallow3", "data.steps_per_epoch": 2})
    return ImageData(Split(images, np.arange(count) % 10)), config


def test_training_and_measuring_keep_no_further_copy() -> None:
    source, config = data()
    splits = divide(source, config)
    loaded = DeviceData.from_config(splits, config, device=torch.device("cpu"))
    for pixels, part in (
        (loaded.loader.pixels, splits.train),
        (loaded.eval_loader("train", 1000).pixels, splits.train),
        (loaded.eval_loader("valid").pixels, splits.valid),
    ):
        assert isinstance(pixels, Resident)
        assert pixels.images.data_ptr() == part.images.ctypes.data
    assert len(loaded.eval_loader("train", 1000).labels) == 1000


def test_dividing_and_training_take_as_much_again_as_the_pixels(tmp_path: Path) -> None:
    source, config = data()
    train(config, splits=divide(source, config), device="cpu")
    tracemalloc.start()
    splits = divide(source, config)
    train(config, trainer=Trainer.from_config(config, device="cpu", splits=splits))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * source.train.images.nbytes  # one copy, and what a batch takes


def test_the_memory_of_a_file_that_may_be_changed_is_not_given_back(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((5000, 10), np.uint8))
    own = np.load(tmp_path / "x.npy", mmap_mode="c")
    own += 7
    release_pages(own, own[10:])
    assert (own == 7).all()
    kept = np.load(tmp_path / "x.npy", mmap_mode="r")
    release_pages(kept, kept[10:])
    assert (kept == 0).all()


def test_a_large_copy_out_of_a_file_lies_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.random.default_rng(0).integers(0, 256, (500, 4, 4, 3), np.uint8)
    np.save(tmp_path / "x.npy", whole)
    images, index = np.load(tmp_path / "x.npy", mmap_mode="r"), np.random.default_rng(1).permutation(500)[:300]
    monkeypatch.setattr(mapped, "LARGE", 300 * 48)
    monkeypatch.setattr(mapped, "AT_ONCE", 1000)
    copy = taken(images, index)
    assert isinstance(copy, np.memmap)
    assert not copy.flags.writeable
    release_pages(copy)
    assert np.array_equal(copy, whole[index])
    monkeypatch.setattr(mapped, "LARGE", 200 * 48)
    again = taken(copy[100:], np.arange(200))  # out of the file that has no name any more
    assert isinstance(again, np.memmap)
    assert np.array_equal(again, whole[index[100:]])
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]
    assert not isinstance(taken(images, index[:199]), np.memmap)
    assert not isinstance(taken(whole, index), np.memmap)
    monkeypatch.setattr(os, "posix_fallocate", no_space)
    assert np.array_equal(taken(images, index), whole[index])


def no_space(*_: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


STREAM = """
import resource, sys
import numpy as np
from hpcli import load_config, train
from hpcli.data import mapped
from hpcli.data.dataset import ImageData, Split, divide

FEW = 2**24
mapped.LARGE = int(sys.argv[2])

def trained(count):
    images = np.load(sys.argv[1], mmap_mode="r")[:count]
    keys = {"model.name": "shallow3", "train.epochs": 1, "data.validation": 0.1, "data.resident_mb": FEW / 2**20}
    config = load_config(overrides={**keys, "data.batch_size": 64, "data.steps_per_epoch": 30})
    splits = divide(ImageData(Split(images, np.arange(len(images)) % 10)), config)
    splits.fingerprints
    train(config, splits=splits, device="cpu")

trained(7000)  # what is imported and allocated once; a thread of its own sends the batches here, too
now = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (1024 * now + 6 * FEW,) * 2)
trained(50_000)
"""


@pytest.mark.parametrize(("large", "code"), [(2**24, 0), (2**34, 1)], ids=["in a file", "in memory"])
def test_images_of_ten_times_what_may_be_in_memory(large: int, code: int, tmp_path: Path) -> None:
    """154 MB, of which 17 may be on the device. Memory may grow by six times that, but for pages of files.

    What the allocator has kept of the first run varies by twice that.
    """
    generator = np.random.default_rng(0)
    np.save(tmp_path / "large.npy", generator.integers(0, 256, (50_000, 32, 32, 3), np.uint8))
    command = [sys.executable, "-c", STREAM, str(tmp_path / "large.npy"), str(large)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert not code or "Unable to allocate" in done.stderr


@pytest.mark.slow
def test_sixty_thousand_small_images_take_twice_their_pixels(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(60_000):
        folder = tmp_path / "images/train" / str(number % 10)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8)).save(folder / f"{number}.bmp")
    keys = {"data.name": "folder", "data.root": str(tmp_path / "images"), "data.cache_dir": str(tmp_path / "cache")}
    command = [sys.executable, "-c", MEASURE, json.dumps({**keys, "data.validation": 0.1})]
    more = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    assert more < 2 * 60_000 * 32 * 32 * 3
