"""WGAN-GP in two processes: parameters equal on both, and equal to one process with the joined batch.

Latents and the points of the penalty are functions of the images, so that every example has the same noise wherever it
is trained.
"""

import os
import subprocess
import sys
from pathlib import Path

import torch

SCRIPT = """
import sys
import pyro, pyro.distributions as dist
import torch
from torch.utils.data import DataLoader
import inference.adversarial
import pyro_priors as pp
from inference import CriticLoss, GeneratorLoss, OptimizationStep, fit
from models import GAN, MLPCritic, MLPGenerator

devices, batch = int(sys.argv[1]), int(sys.argv[2])


class Told(GAN):
    def model(self, x):
        pyro.module(self.name, self)
        u = (x.flatten(1)[:, :2] + 1) / 2 * 0.98 + 0.01
        with pyro.plate("data", len(x)):
            law = self.prior()  # z is a function of the noise u and of the parameters
            z = pyro.sample("z", dist.Delta(law.mean + law.variance.sqrt() * (2 * u - 1), event_dim=1))
            return self.generator(z)


inference.adversarial.between = lambda real, fake: torch.lerp(real, fake, real.flatten(1)[:, :1, None, None].sigmoid())
torch.manual_seed(0)
shape = (1, 2, 2)
prior = pp.TRIP(2, components=2, rank=2)
gan = Told(MLPGenerator(2, shape, (8,)), prior, MLPCritic(shape, (8,), norm="layer"))
x = torch.rand(64, *shape) * 2 - 1
theirs = [*gan.generator.parameters(), *gan.prior.parameters()]
steps = [
    OptimizationStep(CriticLoss(gan.critic, penalty=10.0), torch.optim.SGD(gan.critic.parameters(), lr=0.05)),
    OptimizationStep(GeneratorLoss(gan.critic), torch.optim.SGD(theirs, lr=0.05), every=2),
]
result = fit(steps, gan, DataLoader(x, batch), epochs=2, devices=devices, seed=0, progress=False)
rank = torch.distributed.get_rank() if devices > 1 else 0
kept = {name: p.detach() for name, p in gan.named_parameters()}
torch.save((kept, result.history[-1]), f"{devices}-{rank}.pt")
"""


def test_two_processes_equal_one_with_the_joined_batch(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    for devices, batch in ((2, 8), (1, 16)):
        done = subprocess.run(
            [sys.executable, "script.py", str(devices), str(batch)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-2000:]
    (first, of_first), (second, _), (joined, of_joined) = (
        torch.load(tmp_path / name) for name in ("2-0.pt", "2-1.pt", "1-0.pt")
    )
    for name in first:
        assert torch.equal(first[name], second[name])
        assert torch.allclose(first[name], joined[name], rtol=0, atol=1e-5), name
    for name in ("train_real", "train_penalty", "train_1_cost"):
        assert abs(of_first[name] - of_joined[name]) < 1e-5
