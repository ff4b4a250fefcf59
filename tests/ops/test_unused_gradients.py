"""What cancels in a sum, as log p(y) does in a bound, is not walked back."""

import factored_chains
import pytest
import torch

from pyro_priors.ops import Factored, chain, factored, log_contract, log_contract_factored


def of_full_cores():
    torch.manual_seed(0)
    inputs = [torch.randn(3, 4, 2).double().requires_grad_(), torch.randn(4, 2, 3, 3).double().requires_grad_()]
    return log_contract(inputs[0], inputs[1], True), inputs


def of_factored_cores():
    log_weights, chained, order = factored_chains.problem((2, 3, 2))
    inputs = factored_chains.inputs_of(log_weights, chained)
    return log_contract_factored(inputs[0], Factored.of(inputs[1:], chained.layout), order), inputs


@pytest.mark.parametrize(
    ("make", "module", "way_back"), [(of_full_cores, chain, "gradients"), (of_factored_cores, factored, "back")]
)
def test_a_gradient_of_zero_is_not_walked_back(monkeypatch, make, module, way_back):
    """It is one of zeros; with another gradient the graph can still be walked."""
    total, inputs = make()
    again, others = make()
    expected = torch.autograd.grad(again.sum(), others)
    walked, walk = [], getattr(module, way_back)
    monkeypatch.setattr(module, way_back, lambda *args, **how: walked.append(1) or walk(*args, **how))
    nothing = torch.autograd.grad((total - total).sum(), inputs, retain_graph=True)
    assert not walked
    assert torch.autograd.grad(total[0] - total[1], inputs, retain_graph=True)[0].abs().max() > 0.01
    for grad, x in zip(nothing, inputs, strict=True):
        assert torch.equal(grad, torch.zeros_like(x))
    for wanted, grad in zip(expected, torch.autograd.grad(total.sum(), inputs), strict=True):
        torch.testing.assert_close(wanted, grad)
    assert walked
