"""What programs ask of a decoder that is a user's own."""

import pytest
import torch

import pyro_priors as pp
from pyro_priors.networks import GatedMLPCategoricalEncoder, GatedMLPDecoder
from pyro_priors.programs import CategoricalVAE

SHAPE, K, D = (1, 4, 4), 3, 2


def test_a_decoder_need_not_say_what_it_takes():
    class Silent(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Linear(D + K, 16)

        def forward(self, pair):
            return self.net(pair).unflatten(-1, SHAPE)

    encoder = GatedMLPCategoricalEncoder(SHAPE, K, D, (8,), "category")
    vae = CategoricalVAE(encoder, Silent(), pp.CategoricalGaussian(K, D))
    assert vae.generate(5).shape == (5, *SHAPE)
    with pytest.raises(ValueError, match="decoder: expected 5 inputs, latents and categories, got 4"):
        CategoricalVAE(encoder, GatedMLPDecoder(4, SHAPE, (8,)), pp.CategoricalGaussian(K, D))
