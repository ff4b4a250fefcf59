"""Numbers of states of bonds and of components of latents that do not fit a chain."""

import pytest

import pyro_priors as pp


def test_bonds_and_components_make_a_lattice_of_a_joint_law():
    attributes = {"digit": pp.Discrete(3)}
    prior = pp.TTLP(3, attributes, rank=[4, 2, 5, 3])
    assert not prior.vectors
    assert prior.rank == 5
    assert pp.TTLP(3, attributes, components=[4, 2, 5])._layout.sizes == (4, 2, 5, 3)


BAD = {
    "few components": (lambda: pp.TRIP(4, [3, 2]), r"components: expected a number, or 4, .* latent, got 2 numbers"),
    "no components": (lambda: pp.TRIP(2, [3, 0]), r"components\[1\]: expected an integer of at least 1, got 0"),
    "of vectors": (
        lambda: pp.TRIP(4, [3, 2, 3, 2], block_size=2, cores="full"),
        "components: expected one number for all vectors",
    ),
    "too many for a ring": (
        lambda: pp.TRIP(3, rank=[2, 3, 4, 5]),
        "rank: expected a number, or 3, one for each bond of a ring of 3 variables, got 4",
    ),
    "too few for a train": (
        lambda: pp.TRIP(3, rank=[2, 3, 4], boundary="train"),
        "rank: expected a number, or 4, one for each bond of a train of 3 variables, with one before .*, got 3",
    ),
    "too few for factored cores": (
        lambda: pp.TTLP(2, {"digit": pp.Discrete(2)}, rank=[2, 3]),
        "rank: expected a number, or 3, one for each bond of a factored chain of 3 variables, got 2",
    ),
    "no states": (lambda: pp.TRIP(3, rank=[2, 0, 3]), r"rank\[1\]: expected an integer of at least 1, got 0"),
    "none": (lambda: pp.TRIP(3, rank=[]), "rank: expected a number, or one for each bond, got none"),
    "a word": (lambda: pp.TRIP(3, rank="10"), r"rank\[0\]: expected an integer of at least 1, got '1'"),
    "beside vectors": (lambda: pp.TRIP(4, rank=[2, 3], block_size=2), "rank: expected one number with vectors"),
    "beside clusters": (lambda: pp.TRIP(3, rank=[2, 4, 2], local=2), "local: expected 1 with bonds of different sizes"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_sizes(case):
    make, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        make()
