"""Small programs of every kind that trains on images, each with its objective."""

import pyro_priors as pp
from pyro_priors.networks import GatedMLPCategoricalEncoder, GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.objectives import ELBO
from pyro_priors.programs import VAE, CategoricalVAE, JointVAE

SHAPE, LATENTS = (1, 3, 3), 2
ATTRIBUTES = {"digit": pp.Discrete(3), "size": pp.Continuous(components=2)}


def trip():
    prior = pp.TRIP(LATENTS, components=3, rank=2)
    return VAE(GatedMLPEncoder(SHAPE, LATENTS, (8,)), GatedMLPDecoder(LATENTS, SHAPE, (8,)), prior), ELBO()


def joint():
    prior = pp.TTLP(LATENTS, ATTRIBUTES, components=3, rank=2)
    return JointVAE(GatedMLPEncoder(SHAPE, LATENTS, (8,)), GatedMLPDecoder(LATENTS, SHAPE, (8,)), prior), ELBO()


def categories():
    encoder = GatedMLPCategoricalEncoder(SHAPE, 3, LATENTS, (8,), reads="category")
    decoder = GatedMLPDecoder(LATENTS + 3, SHAPE, (8,))
    return CategoricalVAE(encoder, decoder, pp.CategoricalGaussian(3, LATENTS)), ELBO(enumerate=True)


MAKE = {"trip": trip, "joint": joint, "categories": categories}
