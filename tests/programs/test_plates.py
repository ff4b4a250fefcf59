"""What a user's own code may rely on in every program: names of sites, their plate, and its size."""

import pyro
import pytest
import torch
from pyro import poutine

import pyro_priors as pp
from pyro_priors import networks, programs

SHAPE, LARGE, D, ROWS = (1, 4, 4), (1, 28, 28), 2, 5
ATTRIBUTES = {"digit": pp.Discrete(3), "age": pp.Continuous(2)}


def encoder(size=D):
    return networks.GatedMLPEncoder(SHAPE, size, (8,))


def decoder(size=D):
    return networks.GatedMLPDecoder(size, SHAPE, (8,))


def hierarchical():
    lower = networks.GatedMLPJointEncoder(SHAPE, D, 2, 8), networks.GatedMLPGaussian(D, 2, (8,))
    return programs.HierarchicalVAE(encoder(), *lower, networks.GatedMLPJointDecoder(2, D, SHAPE, 8), pp.TRIP(D, 4, 2))


def categorical():
    both = networks.GatedMLPCategoricalEncoder(SHAPE, 4, D, (8,))
    return programs.CategoricalVAE(both, decoder(D + 4), pp.CategoricalGaussian(4, D))


def semi_supervised():
    attributes = {"digit": pp.Discrete(3), "sex": pp.Discrete(2)}
    features = programs.SemiSupervisedVAE.attribute_features(attributes)
    return programs.SemiSupervisedVAE(
        networks.ConvEncoder((1 + features, 28, 28), D, 2),
        networks.ConvDecoder(D + features, LARGE, 2),
        pp.TRIP(D, 4, 2),
        pp.TTLP(0, attributes, 3, 2),
        programs.ConvClassifier(LARGE, attributes, 2, 4),
    )


LABELS = torch.tensor([[0.0, 1.5], [torch.nan, 0.2], [2.0, torch.nan], [1.0, 0.0], [torch.nan, torch.nan]])
PROGRAMS = {  # how it is made, its arguments beside the images, sites of the model, of the guide
    "VAE": (lambda: programs.VAE(encoder(), decoder(), pp.TRIP(D, 4, 2)), (), {"z", "x"}, {"z"}),
    "JointVAE": (
        lambda: programs.JointVAE(encoder(), decoder(), pp.TTLP(D, ATTRIBUTES, 3, 2)),
        (LABELS,),
        {"y", "z", "x"},
        {"z"},
    ),
    "SemiSupervisedVAE": (
        semi_supervised,
        (LABELS.nan_to_num(1.0).clamp(0, 1).round().where(~LABELS.isnan(), torch.nan),),
        {"y", "completion", "z", "x"},
        {"completion", "z"},
    ),
    "HierarchicalVAE": (hierarchical, (), {"z", "z_lower", "x"}, {"z", "z_lower"}),
    "CategoricalVAE": (categorical, (), {"c", "z", "x"}, {"c", "z"}),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_sites_stand_in_a_plate_of_the_batch(name):
    pyro.clear_param_store()
    torch.manual_seed(0)
    make, labels, of_model, of_guide = PROGRAMS[name]
    program = make()
    x = torch.rand(ROWS, *program.image_shape).round()
    for run, sites in ((program.model, of_model), (program.guide, of_guide)):
        trace = poutine.trace(run).get_trace(x, *labels)
        trace.compute_log_prob()
        drawn = {site for site, node in trace.nodes.items() if node["type"] == "sample" and site != "data"}
        assert sites <= drawn
        for site in sites:
            (plate,) = trace.nodes[site]["cond_indep_stack"]
            assert (plate.name, plate.size, plate.dim) == ("data", ROWS, -1)
            assert trace.nodes[site]["log_prob"].shape == (ROWS,)
    assert trace.nodes["z"]["value"].shape == (ROWS, D)
