"""torchvision's and timm's classifiers, frozen bodies, and networks of one's own."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import nn

from hpcli import catalog
from hpcli.config import Config, load_config, with_overrides
from hpcli.errors import ConfigError, DataError
from hpcli.experiments.train import train
from hpcli.models import build_model
from hpcli.models.freezing import head_of
from hpcli.models.hub import replace_last
from hpcli.states import RunStatus
from hpcli.training.trainer import Trainer

HEADS = {
    "torchvision/resnet18": "fc",
    "torchvision/mobilenet_v3_small": "classifier",
    "torchvision/squeezenet1_1": "classifier",
    "torchvision/shufflenet_v2_x0_5": "fc",
    "torchvision/googlenet": "fc",
}


def build(name: str, *, channels: int = 3, freeze: str | None = None, **options: object) -> nn.Module:
    return build_model(
        name, num_classes=10, in_channels=channels, image_size=(32, 32), options=options, freeze=freeze
    )  # fmt: skip


@pytest.mark.parametrize(("name", "head"), HEADS.items())
@pytest.mark.parametrize("channels", [1, 3])
def test_torchvision_classifiers(name: str, head: str, channels: int) -> None:
    model = build(name, channels=channels)
    assert model.eval()(torch.randn(2, channels, 64, 64)).shape == (2, 10)
    assert head_of(model) == head


def test_a_new_last_layer_leaves_the_rest() -> None:
    for name in ("torchvision/resnet18", "torchvision/squeezenet1_1"):
        model = build(name)
        before = {key: weight.clone() for key, weight in model.state_dict().items()}
        replace_last(model, 7)
        after = model.eval().state_dict()
        assert model(torch.randn(1, 3, 64, 64)).shape == (1, 7)
        assert [key for key in before if before[key].shape != after[key].shape] == [
            f"{'fc' if 'resnet' in name else 'classifier.1'}.{part}" for part in ("weight", "bias")
        ]


@pytest.mark.parametrize("name", ["resnet20", "shallow3", "torchvision/resnet18"])
def test_a_frozen_body_stays_as_it_is(name: str, config: Config) -> None:
    """Weights and BatchNorm statistics of the body are the same after training; the head's are not."""
    settings = {"model.name": name, "model.freeze": "body", "train.epochs": 1, "data.steps_per_epoch": 3}
    config = with_overrides(config, settings)
    trainer = Trainer.from_config(config)
    before = trainer.state_dict()["model"]
    train(config, trainer=trainer)
    after, head = trainer.state_dict()["model"], head_of(trainer.model)
    changed = {key.partition(".")[0] for key in before if not torch.equal(before[key], after[key])}
    assert changed == {head}
    assert {"resnet20": "head", "shallow3": "linear", "torchvision/resnet18": "fc"}[name] == head


def test_pretrained_weights_offline_say_where_they_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr("torch.hub.urlopen", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(DataError) as found:
        build_model("torchvision/resnet18", num_classes=10, in_channels=3, image_size=(32, 32), pretrained=True)
    text = str(found.value)
    assert f"{tmp_path}/hub/checkpoints/resnet18-f37072fd.pth" in text
    assert "no network" in text
    assert "model.pretrained: false" in text
    assert "\n" not in text


def test_pretrained_weights_that_are_there_are_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Weights of torchvision's own shape in its cache: the body is theirs, the last layer new with our classes."""
    import torchvision

    theirs = torchvision.models.squeezenet1_1()
    weights = torchvision.models.get_model_weights("squeezenet1_1").DEFAULT
    monkeypatch.setattr(type(weights), "get_state_dict", lambda *_, **__: theirs.state_dict())
    model = build_model("torchvision/squeezenet1_1", num_classes=5, in_channels=3, image_size=(64, 64), pretrained=True)
    ours, other = model.state_dict(), theirs.state_dict()
    assert ours["classifier.1.weight"].shape[0] == 5
    assert all(torch.equal(ours[key], other[key]) for key in ours if not key.startswith("classifier"))


def test_names_that_do_not_exist() -> None:
    with pytest.raises(ConfigError, match=r"torchvision/resnet19: unknown; did you mean resnet1"):
        build("torchvision/resnet19")
    with pytest.raises(ConfigError, match=r"model\.options: torchvision/resnet18: .*depth"):
        build("torchvision/resnet18", depth=3)
    with pytest.raises(ConfigError, match=r"unknown model; did you mean torchvision/resnet18\?"):
        load_config(None, {"model.name": "torchvison/resnet18"})
    with pytest.raises(ConfigError, match=r"shallow3 has no weights to start from; use --init"):
        load_config(None, {"model.name": "shallow3", "model.pretrained": True})


def test_timm_where_it_is_installed_and_where_not() -> None:
    try:
        import timm  # noqa: F401
    except ImportError:
        with pytest.raises(ConfigError, match=r"timm is not installed; pip install 'hpcli\[timm\]'"):
            build("timm/resnet18")
    else:
        assert build("timm/resnet18", channels=1).eval()(torch.randn(1, 1, 64, 64)).shape == (1, 10)


MINE = """
from torch import nn
import torch
from hpcli import ImageData, Split
import numpy as np

def net(num_classes, in_channels, width=4):
    return nn.Sequential(nn.Conv2d(in_channels, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes))

def wants_depth(num_classes, depth):
    return net(num_classes, 1, depth)

def one_too_few(num_classes, in_channels):
    return net(num_classes - 1, in_channels)

def too_deep(num_classes, in_channels):
    return nn.Sequential(nn.Conv2d(in_channels, 4, 9), nn.Flatten(), nn.Linear(4, num_classes))

def no_net(num_classes):
    return "a net"

def images(labels=np.int64, dtype=np.uint8, high=2):
    pixels = np.zeros((80, 8, 8, 1), dtype)
    if dtype == np.float32:
        pixels[0] = np.nan
    part = Split(pixels, (np.arange(80) % high).astype(labels))
    return ImageData(part, None, ("even", "odd"), (0.0,), (1.0,), flip=True)

def floats():
    return images(dtype=np.float32)

def three_labels():
    return images(high=3)

def fails():
    return 1 / 0

def nothing():
    return None

number = 7
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_of_test.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(catalog, "allowed_code", set())


@pytest.mark.usefixtures("mine")
def test_a_network_and_images_of_ones_own(config: Config) -> None:
    names = {"data.name": "mine_of_test:images", "model.name": "mine_of_test:net"}
    own = with_overrides(config, {**names, "model.options.width": 6, "data.batch_size": 8, "data.train_fraction": 1.0})
    with pytest.raises(ConfigError, match=r"data\.name: mine_of_test:images would run code .* --allow-code"):
        Trainer.from_config(own)
    catalog.allow_code(*names.values())
    trainer = Trainer.from_config(own)
    assert trainer.model[0].out_channels == 6  # type: ignore[index]
    assert train(own, trainer=trainer).status == RunStatus.FINISHED


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize(
    ("key", "name", "why"),
    [
        ("model", "nowhere_of_test:net", "No module named"),
        ("model", "mine_of_test:missing", "no attribute 'missing'"),
        ("model", "mine_of_test:number", "is a int, not a function"),
        ("model", "mine_of_test:no_net", r"returns str; it must return a torch\.nn\.Module"),
        ("model", "mine_of_test:wants_depth", "missing 1 required positional argument: 'depth'"),
        (
            "data",
            "mine_of_test:fails",
            r"data\.name: mine_of_test:fails: ZeroDivisionError: division by zero \(--debug",
        ),
        ("model", "mine_of_test:one_too_few", r"answers two images with \[2, 9\]; it must be logits \[2, 10\]"),
        ("model", "mine_of_test:too_deep", r"fails on images \[1, 8, 8\]: .*[Kk]ernel size"),
        ("data", "mine_of_test:nothing", "returns NoneType; it must return an hpcli.ImageData"),
        ("data", "mine_of_test:floats", r"its images are float32 \[80, 8, 8, 1\] and hold NaN; they must be uint8"),
        ("data", "mine_of_test:three_labels", "labels go from 0 to 2; with 2 classes they must be 0 to 1"),
        ("data", "mine_of_test:wants_depth", "wants num_classes; a data set gets root, image_size"),
    ],
)
def test_what_is_wrong_with_it_is_one_line(key: str, name: str, why: str, config: Config) -> None:
    catalog.allow_code(name)
    with pytest.raises((ConfigError, DataError), match=why) as found:
        Trainer.from_config(with_overrides(config, {f"{key}.name": name}))
    assert "\n" not in str(found.value)
