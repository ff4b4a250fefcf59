"""Codes that say little, from which every prior must be able to start."""

import torch

ODD = {
    "one row": torch.randn(1, 3),
    "two rows": torch.randn(2, 3),
    "a constant dimension": torch.randn(50, 3) * torch.tensor([1.0, 0.0, 1.0]),
    "all rows equal": torch.ones(50, 3),
    "two values": torch.randint(2, (50, 3)).float(),
    "far from zero": torch.randn(50, 3) + 1e4,
}
