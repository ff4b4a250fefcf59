"""A thousand steps need no more of anything than the first hundred."""

import os
import sys
from pathlib import Path

import pyro
import pytest
import torch
from torch.utils.data import DataLoader

import pyro_priors as pp
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.objectives import ELBO
from pyro_priors.programs import VAE
from pyro_priors.training import Callback, OptimizationStep, Reinitialize, fit


class Used(Callback):
    """Resident bytes, open files and parameters in Pyro's store, after every 100 steps."""

    def __init__(self):
        self.noted = []

    def on_step_end(self, state):
        if state.step % 100 == 99:
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            self.noted.append((resident, len(os.listdir("/proc/self/fd")), len(dict(pyro.get_param_store().items()))))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_thousand_steps(tmp_path):
    pyro.set_rng_seed(0)
    pyro.clear_param_store()
    images, prior = torch.rand(800, 1, 8, 8).round(), pp.TRIP(4, components=4, rank=3)
    vae = VAE(GatedMLPEncoder((1, 8, 8), 4, hidden=(16,)), GatedMLPDecoder(4, (1, 8, 8), hidden=(16,)), prior)
    step = OptimizationStep(ELBO(), torch.optim.Adam(vae.parameters(), fused=True))
    used, data = Used(), DataLoader(images, 8, shuffle=True)
    callbacks = [Reinitialize(prior, images[:100], encode=vae.encode), used]
    fit(step, vae, data, epochs=10, validation=data, callbacks=callbacks, run_dir=tmp_path, progress=False)
    resident, files, parameters = zip(*used.noted, strict=True)
    assert len(resident) == 10
    assert max(resident[2:]) < 1.02 * resident[1]  # the first 200 warm caches up, and meet the first re-initialisation
    assert len(set(files[1:])) == 1
    assert len(set(parameters)) == 1
