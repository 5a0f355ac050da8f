"""Small archives in CIFAR's own formats go through torchvision's own path; its hashes are replaced by theirs."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torchvision.datasets
from PIL import Image

from hpcli.config import load_config
from hpcli.data.cifar import cifar10, cifar100
from hpcli.data.dataset import ImageData, load_splits
from hpcli.data.decode import decode
from hpcli.errors import DataError

COUNT = 20


def batch(seed: int, labels: str, classes: int) -> bytes:
    random = np.random.default_rng(seed)
    data = random.integers(0, 256, (COUNT, 3072), np.uint8)
    return pickle.dumps({"data": data, labels: [index % min(5, classes) for index in range(COUNT)]}, protocol=2)


def archive(root: Path, kind: Any, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the tar.gz, and make its hashes those that torchvision expects."""
    root.mkdir(exist_ok=True)
    with tarfile.open(root / kind.filename, "w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{kind.base_folder}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    md5 = {name: hashlib.md5(data).hexdigest() for name, data in files.items()}
    for table in ("train_list", "test_list"):
        monkeypatch.setattr(kind, table, [[name, md5[name]] for name, _ in getattr(kind, table)])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5[kind.meta["filename"]]})
    monkeypatch.setattr(kind, "tgz_md5", hashlib.md5((root / kind.filename).read_bytes()).hexdigest())
    return root


@pytest.fixture
def hundred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    names = pickle.dumps({"fine_label_names": [f"class{n}" for n in range(100)]}, protocol=2)
    files = {"train": batch(0, "fine_labels", 100), "test": batch(1, "fine_labels", 100), "meta": names}
    return archive(tmp_path / "data", torchvision.datasets.CIFAR100, files, monkeypatch)


@pytest.mark.filterwarnings("ignore:classes are unbalanced")  # five of the hundred are in the archive
def test_cifar100(hundred: Path) -> None:
    data = cifar100(hundred)
    check(data, 100)
    row = pickle.loads(batch(0, "fine_labels", 100))["data"][3]
    assert np.array_equal(data.train.images[3], row.reshape(3, 32, 32).transpose(1, 2, 0))
    (hundred / "cifar-100-python.tar.gz").unlink()
    check(cifar100(hundred), 100)  # from the unpacked files
    config = {"data.name": "cifar100", "data.root": str(hundred), "data.batch_size": 4, "data.validation": 0.5}
    assert load_splits(load_config(None, config)).train.labels.dtype == np.int64


def check(data: ImageData, classes: int) -> None:
    assert len(data.classes) == classes
    assert data.test is not None
    for part in (data.train, data.test):
        assert part.images.shape[1:] == (32, 32, 3)
        assert part.images.dtype == np.uint8
        assert part.labels.dtype == np.int64
    assert data.flip


@pytest.mark.filterwarnings("ignore:classes are unbalanced")
def test_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]
    files = {name: batch(seed, "labels", 10) for seed, name in enumerate(names)}
    files["batches.meta"] = pickle.dumps({"label_names": [f"class{n}" for n in range(10)]}, protocol=2)
    root = archive(tmp_path / "data", torchvision.datasets.CIFAR10, files, monkeypatch)
    data = cifar10(root)
    check(data, 10)
    assert len(data.train) == 5 * COUNT
    Image.fromarray(data.train.images[7]).save(tmp_path / "whole.png")
    small = cifar10(root, 16)
    assert small.train.images.shape == (5 * COUNT, 16, 16, 3)
    assert np.array_equal(small.train.images[7], decode(tmp_path / "whole.png", 16, channels=3)), "as a folder's are"
    config = load_config(None, {"data.name": "cifar10", "data.root": str(root), "data.image_size": 8})
    assert load_splits(config).train.images.shape[1:] == (8, 8, 3)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


@pytest.mark.usefixtures("offline")
def test_offline_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"cifar-100-python\.tar\.gz: is not there, and cannot be downloaded \(no network\)"
    ):
        cifar100(tmp_path)
    with pytest.raises(DataError, match="put the archive there yourself") as found:
        cifar10(tmp_path)
    assert "\n" not in str(found.value)


@pytest.mark.usefixtures("offline")
def test_a_truncated_archive_is_not_unpacked(hundred: Path) -> None:
    path = hundred / "cifar-100-python.tar.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="is there but damaged"):
        cifar100(hundred)
    assert not (hundred / "cifar-100-python").exists()


def test_a_damaged_file_of_an_unpacked_one_is_found(hundred: Path) -> None:
    cifar100(hundred)
    data = bytearray((hundred / "cifar-100-python/train").read_bytes())
    data[500] ^= 1
    (hundred / "cifar-100-python/train").write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"damaged|corrupted"):
        cifar100(hundred)
