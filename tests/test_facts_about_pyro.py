"""Traps of Pyro 1.9.2 that would break our users silently, each held open or shut by a test.

Others have their place: validation during the first batch only in `training/test_fit`, two models in one process in
`programs/test_vae`, no torchvision at import in `test_house`.
"""

import copy

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.nn import PyroModule
from pyro.optim import ClippedAdam

import pyro_priors as pp
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.programs import VAE


@pytest.fixture(autouse=True)
def _fresh():
    pyro.clear_param_store()
    pyro.set_rng_seed(0)


def make_vae():
    return VAE(
        GatedMLPEncoder((1, 2, 2), 3, (8,)), GatedMLPDecoder(3, (1, 2, 2), (8,)), pp.TRIP(3, components=4, rank=2)
    )


def test_our_modules_are_plain_and_train_under_module_local_params():
    """`SVI.step` on a PyroModule raises AttributeError there."""
    with pyro.settings.context(module_local_params=True):
        vae = make_vae()
        assert not any(isinstance(module, PyroModule) for module in vae.modules())
        before = vae.prior.log_cores.detach().clone()
        SVI(vae.model, vae.guide, ClippedAdam({"lr": 0.01}), Trace_ELBO()).step(torch.rand(5, 1, 2, 2))
        assert not torch.equal(vae.prior.log_cores, before)


def test_an_elbo_module_of_methods_has_no_parameters_the_model_has_them():
    vae = make_vae()
    assert not list(Trace_ELBO()(vae.model, vae.guide).parameters())
    Trace_ELBO().differentiable_loss(vae.model, vae.guide, torch.rand(5, 1, 2, 2)).backward()
    assert all(parameter.grad is not None for parameter in vae.parameters())


def test_nothing_is_remembered_across_an_optimizer_step():
    """Transform caches and kept normalisers go stale: a call of the prior must see the parameters of now."""
    for prior in (pp.TRIP(3, 4, 2), pp.GaussianMixture(3, 4), pp.TTLP(2, {"digit": pp.Discrete(3)}, rank=2)):
        twin = copy.deepcopy(prior)
        value = prior().sample((5,))
        optimizer = torch.optim.Adam(prior.parameters(), lr=0.5)
        before = prior().log_prob(value)
        before.sum().backward()
        optimizer.step()
        twin.load_state_dict({key: tensor.clone() for key, tensor in prior.state_dict().items()})
        assert not torch.allclose(prior().log_prob(value), before)
        assert torch.equal(prior().log_prob(value), twin().log_prob(value))


def test_mixtures_survive_components_that_coincide():
    """Pyro's MixtureOfDiagNormals gives NaN gradients of the logits there."""
    prior = pp.GaussianMixture(2, 3)
    with torch.no_grad():
        prior.loc.zero_()
    prior().log_prob(torch.randn(4, 2)).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in prior.parameters())


def test_obs_mask_is_not_needed_for_missing_entries():
    """`obs_mask` cannot mask inside event dimensions; NaN inside our distribution can."""
    joint = pp.TTLP(1, {"digit": pp.Discrete(3), "sex": pp.Discrete(2)}, rank=2)()

    def model(y):
        with pyro.plate("data", len(y)):
            pyro.sample("y", joint.marginal("y"), obs=y)

    trace = pyro.poutine.trace(model).get_trace(torch.tensor([[2.0, torch.nan]]))
    trace.compute_log_prob()
    expected = dist.Categorical(joint.categorical("digit").probs).log_prob(torch.tensor(2.0))
    torch.testing.assert_close(trace.nodes["y"]["log_prob"][0], expected)
