"""Draws for ArviZ: what Predictive returns goes in as it is, and comes out labelled, under either ArviZ."""

import inspect
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pyro
import pytest
import torch
import xarray
from pyro.infer import Predictive

import pyro_priors as pp
from pyro_priors import queries
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.programs import JointVAE
from pyro_priors.queries import to_arviz
from pyro_priors.queries.arviz_bridge import pareto_k

SHAPE, NAN = (1, 4, 4), torch.nan
ATTRIBUTES = {"digit": pp.Discrete(3), "age": pp.Continuous(2)}

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # 0.23 announces the refactoring once a day at import
    import arviz

INSTALLED = "0.23" if "posterior" in inspect.signature(arviz.from_dict).parameters else "1.x"


@pytest.fixture
def vae():
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    prior = pp.TTLP(3, ATTRIBUTES, components=3, rank=3)
    return JointVAE(GatedMLPEncoder(SHAPE, 3, (8,)), GatedMLPDecoder(3, SHAPE, (8,)), prior)


@pytest.fixture(params=["0.23", "1.x"])
def version(request, monkeypatch):
    """Either ArviZ; where 1.x is not installed it is played by a `from_dict` of its signature and its rules."""
    if request.param != INSTALLED:
        if INSTALLED == "1.x":
            pytest.skip("needs an ArviZ before 1.0")
        monkeypatch.setattr(arviz, "from_dict", from_dict_of_1x)
    return request.param


def from_dict_of_1x(data, *, name=None, sample_dims=("chain", "draw"), coords=None, dims=None, attrs=None):
    """As in arviz_base: every variable names its dimensions, and labels those that have no coordinates by number."""

    def dataset(group, variables):
        lead = () if "data" in group else sample_dims
        return xarray.Dataset({key: labelled(array, [*lead, *dims[key]]) for key, array in variables.items()})

    def labelled(array, names):
        labels = {key: coords.get(key, np.arange(size)) for key, size in zip(names, array.shape, strict=True)}
        return xarray.DataArray(array, labels, names)

    return xarray.DataTree.from_dict({group: dataset(group, variables) for group, variables in data.items()})


def batch():
    return torch.rand(4, *SHAPE), torch.tensor([[0.0, NAN], [NAN, 0.3], [NAN, NAN], [2.0, -1.0]])


def groups_of(data):
    return set(data.children) if isinstance(data, xarray.DataTree) else set(data.groups())


def test_what_predictive_returns_goes_in_as_it_is(vae, version):
    x, y = batch()
    draws = Predictive(vae.model, guide=vae.guide, num_samples=30)(x, y)
    data = to_arviz(draws)
    assert isinstance(data, xarray.DataTree) == (version == "1.x")
    assert groups_of(data) == {"posterior", "constant_data"}
    assert data.posterior["z"].dims == ("chain", "draw", "data", "z_dim_0")
    assert data.constant_data["x"].dims == ("data", "x_dim_0", "x_dim_1", "x_dim_2")
    np.testing.assert_array_equal(data.constant_data["x"].values, x.numpy())
    for name in ("z", "y_imputed"):
        np.testing.assert_array_equal(data.posterior[name].values, draws[name][None].numpy())


def test_what_every_draw_repeats_is_no_draw(vae, version):
    """Of the bytes of a posterior with the images that were seen, they were nine tenths, and had no spread."""
    x, y = batch()
    draws = Predictive(vae.model, guide=vae.guide, num_samples=30)(x, y)
    for observed in ({}, {"x": x}, {"x": x, "y": y}):
        data = to_arviz(draws, attributes=vae.prior.attributes, observed=observed)
        assert set(data.posterior.data_vars) == {"z", "y_imputed"}
        assert data.posterior.nbytes < sum(draws[name].nbytes for name in draws if name != "x") + 2000
        for value in data.posterior.data_vars.values():
            assert (value.std("draw") > 0).any()
        where = data.observed_data if observed else data.constant_data
        np.testing.assert_array_equal(where["x"].values, x.numpy())


def test_where_a_draw_differs_or_is_alone_it_is_a_draw(version):
    value = torch.rand(3, 2)
    other = value.expand(5, 3, 2).clone()
    other[4, 2, 1] = NAN
    known = torch.ones(5, 3, 2)  # nothing was missing, and yet it is what was asked for
    data = to_arviz(
        {"other": other, "y_imputed": known, "same": value.expand(5, 3, 2), "whole": torch.ones(5, 3).long()}
    )
    assert set(data.posterior.data_vars) == {"other", "y_imputed"}
    assert set(data.constant_data.data_vars) == {"same", "whole"}
    assert set(to_arviz({"same": value[None]}).posterior.data_vars) == {"same"}


def test_attributes_have_names_and_data_a_group_of_its_own(vae, version):
    x, y = batch()
    draws = Predictive(vae.model, guide=vae.guide, num_samples=30)(x, y)
    data = to_arviz(draws, attributes=vae.prior.attributes, observed={"x": x, "y": y})
    assert groups_of(data) == {"posterior", "observed_data"}
    assert set(data.posterior.data_vars) == {"z", "y_imputed"}
    digit = data.posterior["y_imputed"].sel(attribute="digit")
    np.testing.assert_array_equal(digit.values[0], draws["y_imputed"][..., 0].numpy())
    np.testing.assert_array_equal(data.observed_data["y"].sel(attribute="age").values, y[:, 1].numpy())
    assert data.observed_data["x"].dims == ("data", "x_dim_0", "x_dim_1", "x_dim_2")
    assert data.posterior["attribute"].values.tolist() == ["digit", "age"]


def test_draws_of_observed_sites_are_predictions_where_they_differ_from_the_data(vae, version):
    x, y = batch()
    pictures = Predictive(vae.model, num_samples=5)(y=y)["x"]
    data = to_arviz({"x": pictures, "y_imputed": queries.impute(vae, x, y, 5)}, observed={"x": x})
    assert groups_of(data) == {"posterior", "posterior_predictive", "observed_data"}
    np.testing.assert_array_equal(data.posterior_predictive["x"].values[0], pictures.numpy())
    assert set(data.posterior.data_vars) == {"y_imputed"}
    nothing_else = to_arviz({"x": pictures}, observed={"x": x})
    assert groups_of(nothing_else) == {"posterior_predictive", "observed_data"}


def test_own_draws_names_and_labels(version):
    """Tensors with a gradient, in bfloat16 and arrays; a parameter without a batch."""
    draws = {
        "weight": torch.arange(6.0).requires_grad_(),
        "z": torch.arange(48.0).reshape(6, 4, 2).bfloat16(),
        "slope": np.arange(18).reshape(6, 3),
    }
    labels = {"data": ["a.png", "b.png", "c.png", "d.png"], "draw": range(10, 16)}
    data = to_arviz(draws, coords=labels, dims={"slope": ["axis"]}).posterior
    assert data["weight"].dims == ("chain", "draw")
    assert data["slope"].dims == ("chain", "draw", "axis")
    assert data["z"].sel(data="c.png", z_dim_0=1, draw=13).item() == 29
    assert dict(data.sizes) == {"chain": 1, "draw": 6, "data": 4, "z_dim_0": 2, "axis": 3}


def test_arviz_can_summarise_it(vae):
    """Exact moments of z given nothing against ArviZ' summary of 4,000 draws, within 4.5 standard errors."""
    law = vae.prior().marginal("z")
    draws = law.sample((4000,)).unsqueeze(1)
    summary = arviz.summary(to_arviz({"z": draws}), round_to="none")
    error = np.abs(summary["mean"].to_numpy() - law.mean.detach().numpy())
    assert (error < 4.5 * (law.variance / 4000).sqrt().detach().numpy()).all()
    assert (summary["ess_bulk"] > 2000).all()


def test_nothing_is_imported_before_it_is_needed(vae, monkeypatch):
    """Checks come before ArviZ, and one that is not installed is what Python says it is."""
    monkeypatch.setitem(sys.modules, "arviz", None)
    with pytest.raises(ValueError, match="draws: expected at least one array"):
        to_arviz({})
    with pytest.raises(ImportError, match="arviz"):
        to_arviz({"z": torch.zeros(3, 2)})


def test_the_signature_decides_which_arviz_it_is(monkeypatch):
    """A stand-in that accepts nothing but its own version's call."""
    calls = []
    monkeypatch.setitem(
        sys.modules,
        "arviz",
        SimpleNamespace(from_dict=lambda data, *, coords, dims: calls.append((data, coords, dims))),
    )
    to_arviz({"z": torch.rand(3, 2)})
    monkeypatch.setitem(
        sys.modules,
        "arviz",
        SimpleNamespace(
            from_dict=lambda posterior, *, coords, dims: calls.append(({"posterior": posterior}, coords, dims))
        ),
    )
    to_arviz({"z": torch.rand(3, 2)})
    for data, coords, dims in calls:
        assert data["posterior"]["z"].shape == (1, 3, 2)
        assert (coords, dims) == ({}, {"z": ["data"]})


Z = {"z": torch.zeros(5, 4, 2)}
BAD = {
    "a tensor": (lambda: to_arviz(torch.zeros(3)), "draws: expected a mapping from names to arrays, got Tensor"),
    "no arrays": (lambda: to_arviz({}), "draws: expected at least one array, got none"),
    "a single number": (
        lambda: to_arviz({"z": torch.tensor(0.0)}),
        r"draws\['z'\]: expected shape \(draws, \*\) with at least one draw, got \(\)",
    ),
    "no draws": (lambda: to_arviz({"z": torch.zeros(0, 3)}), r"draws\['z'\]: .* got \(0, 3\)"),
    "other numbers of draws": (
        lambda: to_arviz({**Z, "w": torch.zeros(6, 4)}),
        r"draws\['w'\]: expected 5 along dimension 'draw', got 6",
    ),
    "other batches": (
        lambda: to_arviz({**Z, "w": torch.zeros(5, 3)}),
        r"draws\['w'\]: expected 4 along dimension 'data', got 3",
    ),
    "other batches of data": (
        lambda: to_arviz(Z, observed={"x": torch.zeros(3)}),
        r"observed\['x'\]: expected 4 along dimension 'data', got 3",
    ),
    "data in a list": (lambda: to_arviz(Z, observed=[1.0]), "observed: expected a mapping .* got list"),
    "too few labels": (
        lambda: to_arviz(Z, coords={"data": ["a", "b"]}),
        r"draws\['z'\]: expected 2 along dimension 'data', got 4",
    ),
    "other attributes": (
        lambda: to_arviz({"y_imputed": torch.zeros(5, 4, 2)}, attributes=("digit",)),
        r"draws\['y_imputed'\]: expected 1 along dimension 'attribute', got 2",
    ),
    "too many names": (
        lambda: to_arviz(Z, dims={"z": ["a", "b", "c"]}),
        r"dims\['z'\]: expected at most 2 names, got \['a', 'b', 'c'\]",
    ),
    "a name twice": (
        lambda: to_arviz(Z, dims={"z": ["a", "a"]}),
        r"draws\['z'\]: expected a name of its own for every dimension, got chain, draw, a, a",
    ),
    "a name that is taken": (lambda: to_arviz(Z, dims={"z": ["draw"]}), r"draws\['z'\]: expected a name of its own"),
    "names for nothing": (
        lambda: to_arviz(Z, dims={"zz": ["a"]}),
        "dims: expected names of draws or of observed data, got 'zz'",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_tails_of_weights_in_half_or_single_precision_are_those_in_double():
    """Log-weights of one precision or of another: the numbers are the same, so is what is said of them."""
    weights = np.random.default_rng(0).standard_cauchy(1000).astype(np.float16)
    logs = np.log(np.abs(weights) + np.float16(0.01))
    exact = pareto_k(logs.astype(np.float64))
    assert pareto_k(logs) == exact
    assert pareto_k(logs.astype(np.float32)) == exact
    assert pareto_k(logs.tolist()) == exact
    assert pareto_k(logs).dtype == np.float64
