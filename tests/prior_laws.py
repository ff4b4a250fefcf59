"""What every prior module obeys, written once: each law takes an entry of the catalogue.

A law raises AssertionError where it is broken. A prior of another package obeys them too.
"""

import copy
import pickle
import sys
import threading
from collections.abc import Mapping

import pytest
import torch
from catalogue import NAN, Entry
from pyro.distributions.torch_distribution import TorchDistributionMixin
from safetensors.torch import load, save
from torch import Tensor, nn

from pyro_priors.distributions.kinds import width_of
from pyro_priors.modules.prior import STATE


def build(entry: Entry, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return entry()


def tensors(prior: nn.Module) -> Mapping[str, Tensor]:
    """Its parameters and buffers, without what it says of itself."""
    return {name: value for name, value in prior.state_dict().items() if not name.endswith(STATE)}


def calling_returns_a_fresh_pyro_distribution(entry: Entry):
    prior = build(entry)
    law = prior()
    assert isinstance(prior, nn.Module)
    assert isinstance(law, TorchDistributionMixin)
    assert law is not prior()
    assert law.batch_shape == ()
    draws = law.sample((5,))
    assert law.log_prob(draws).shape == (5,)
    assert law.log_prob(draws).isfinite().all()
    assert law.expand((2,)).sample((3,)).shape == (3, 2, *law.event_shape)
    assert draws.shape[-1] == prior.latent_dim + width_of(getattr(prior, "attributes", {}).values())


def seeding_is_reproducible(entry: Entry):
    first, second, other = (build(entry, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], second[key]) for key in first)
    if entry.random:
        assert any(not torch.equal(first[key], other[key]) for key in first)


def every_parameter_gets_a_gradient_and_fixed_priors_have_none(entry: Entry):
    prior = build(entry)
    assert entry.learns == bool(list(prior.parameters()))
    if entry.learns:
        prior().log_prob(prior().sample((20,))).sum().backward()
        assert all(p.grad.abs().sum() > 0 for p in prior.parameters())


def state_dict_round_trip(entry: Entry):
    """Through a file too, and from one kept before there were schemas."""
    prior, draws = build(entry), build(entry)().sample((4,))
    expected = prior().log_prob(draws)
    assert any(name.endswith(STATE) for name in prior.state_dict())
    for state in (prior.state_dict(), load(save(dict(prior.state_dict()))), tensors(prior)):
        other = build(entry, seed=1)
        other.load_state_dict(state)
        assert torch.equal(expected, other().log_prob(draws))


def pickle_and_deepcopy(entry: Entry):
    prior = build(entry)
    draws = prior().sample((4,))
    for twin in (pickle.loads(pickle.dumps(prior)), copy.deepcopy(prior)):
        assert torch.equal(prior().log_prob(draws), twin().log_prob(draws))
        twin.load_state_dict(prior.state_dict())


def double_precision(entry: Entry):
    prior = build(entry).double()
    law = prior()
    draws = law.sample((3,))
    assert draws.dtype == torch.float64
    assert law.log_prob(draws).dtype == torch.float64
    build(entry).load_state_dict(prior.state_dict())


def half_precision(entry: Entry):
    """Draws have the type of the parameters; their densities are those of the same parameters in 32 bits."""
    for dtype in (torch.float16, torch.bfloat16):
        prior = build(entry).to(dtype)
        law, wide = prior(), copy.deepcopy(prior).float()()
        draws = law.sample((50,))
        assert draws.dtype == dtype
        assert draws.isfinite().all()
        score, expected = law.log_prob(draws), wide.log_prob(draws.float())
        assert score.dtype == torch.float32
        # An encoder is not ours: it says in 16 bits where the components lie.
        tolerance = 0.1 if hasattr(prior, "encoder") else 1e-4
        torch.testing.assert_close(score, expected, rtol=tolerance, atol=tolerance)
        other = law.log_prob(draws.double())
        assert other.dtype == torch.float64
        torch.testing.assert_close(other.float(), expected, rtol=tolerance, atol=tolerance)
        far = torch.full_like(draws[0], 400) if not getattr(prior, "attributes", None) else draws[0]
        assert law.log_prob(far).isfinite().all()  # whose square is no number of float16
        if law.has_rsample:
            assert law.rsample((2,)).dtype == dtype
    mixed = build(entry)()
    draws = mixed.sample((3,))
    assert mixed.log_prob(draws.double()).dtype == torch.float64
    torch.testing.assert_close(mixed.log_prob(draws.double()).float(), mixed.log_prob(draws), rtol=1e-5, atol=1e-5)
    wide = build(entry).double()()
    score, exact = wide.log_prob(draws), wide.log_prob(draws.double())
    torch.testing.assert_close(score.float(), exact.float(), rtol=1e-5, atol=1e-5)


def autocast_changes_nothing(entry: Entry):
    law = build(entry)()
    draws = law.sample((20,))
    expected = law.log_prob(draws)
    torch.manual_seed(0)
    seeded = law.sample((20,))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(law.log_prob(draws), expected)
        torch.manual_seed(0)
        assert torch.equal(law.sample((20,)), seeded)


def integers_and_booleans_are_values(entry: Entry):
    law = build(entry)()
    ones = torch.randint(2, (6, *law.event_shape), generator=torch.Generator().manual_seed(0))
    expected = law.log_prob(ones.float())
    for kind in (torch.bool, torch.uint8, torch.int32, torch.int64):
        torch.testing.assert_close(law.log_prob(ones.to(kind)), expected)


def a_held_law_is_never_a_mixture_of_two(entry: Entry):
    """After a step it is the law that it was, or the present one, or refuses; without gradients above all."""
    prior = build(entry)
    law, derived = prior(), prior().expand((1,))
    draws = law.sample((6,))
    with torch.no_grad():
        before = law.log_prob(draws)
        torch.testing.assert_close(derived.log_prob(draws), before)
        for parameter in prior.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        present = prior().log_prob(draws)
        assert not entry.learns or not torch.allclose(before, present)
        for held in (law, derived, copy.copy(law)):
            for call in (lambda held=held: held.log_prob(draws), lambda held=held: held.sample((2,))):
                try:
                    answer = call()
                except ValueError as error:
                    if "when the law was built, got other numbers" not in str(error):
                        raise
                    continue
                if len(answer) == 6:
                    assert torch.equal(answer, before) or torch.allclose(answer, present)


def threads_may_share_a_law(entry: Entry):
    """Four threads ask for densities and draws of one law at once, and get what one alone gets."""
    law, wrong, threads = build(entry)(), [], []
    values = [law.sample((20,)) for _ in range(4)]
    with torch.no_grad():
        expected = [law.log_prob(value) for value in values]

    def ask(value, answer):
        with torch.no_grad():
            for _ in range(5):
                if not torch.allclose(law.log_prob(value), answer) or not law.sample((2,)).isfinite().all():
                    wrong.append(value)
        if law.has_rsample:
            z = law.rsample((3,))
            if not torch.allclose(law.log_prob(z), law.log_prob(z.detach().clone()), atol=1e-4):
                wrong.append(z)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # threads take turns in the midst of a call
    try:
        for value, answer in zip(values, expected, strict=True):
            threads.append(threading.Thread(target=ask, args=(value, answer)))
            threads[-1].start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong


def moves_to_another_device(entry: Entry):
    prior = build(entry).to("meta")
    assert all(value.device.type == "meta" for value in tensors(prior).values())
    assert repr(prior)


def a_default_device_elsewhere_changes_nothing(entry: Entry):
    """Whatever a law makes is where its parameters are, whatever device new tensors of others are put on."""
    prior = build(entry)
    value = prior().sample((6,))
    if entry.missing:
        value[entry.gaps(value)] = NAN
    ways = {
        "sample": lambda law: law.sample((6,)),
        "log_prob": lambda law: law.log_prob(value),
        "impute": lambda law: law.impute(value, (2,)),
        "state_probs": lambda law: law.state_probs(value),
        "most_probable": lambda law: law.most_probable(value[~value[:, : entry.together].isnan().any(1)]),
        "marginal": lambda law: law.marginal([-1]).log_prob(value[:, -1:]),
    }
    for name, way in ways.items():
        if not hasattr(prior(), name):
            continue
        torch.manual_seed(1)
        with torch.device("meta"):
            answer = way(prior())
        torch.manual_seed(1)
        torch.testing.assert_close(answer, way(prior()), rtol=0, atol=0, equal_nan=True)


def repr_says_what_it_is(entry: Entry):
    prior = build(entry)
    assert repr(prior).startswith(type(prior).__name__)
    assert repr(prior()).startswith(type(prior()).__name__)
    if hasattr(prior, "rank"):
        closing = "boundary=" if prior.cores == "full" else "rank="  # a factored chain is always a train
        assert all(word in repr(prior) for word in ("rank=", closing, "order=", "init=", "fixed="))
        assert prior.cores == "full" or "cores=factored" in repr(prior)
        assert all(word in repr(prior()) for word in ("rank=", closing, "order=", "batch_shape="))


def the_density_is_that_of_the_parameters(entry: Entry):
    """By the entry's own oracle; where NaN is summed out, with some."""
    prior = build(entry).double()
    law = prior()
    value = law.sample((6,))
    if entry.missing:
        value[entry.gaps(value)] = NAN
    torch.testing.assert_close(law.log_prob(value), entry.oracle(prior, value), rtol=1e-10, atol=1e-10)


def the_plane_is_the_marginal(entry: Entry):
    """Of any two latents: the oracle with the other columns missing, or integrated over the one that is left."""
    prior = build(entry).double()
    law, latents = prior(), prior.latent_dim
    for dims in ((1, 0), (0, latents)):
        with pytest.raises(ValueError, match="dims: expected"):
            prior.plane(law, dims)
    for dims in [(a, b) for b in range(latents) for a in range(b)]:
        plane, value = prior.plane(law, dims), law.sample((5,))
        if plane is None:
            assert latents > 2
            continue
        assert plane.event_shape == (2,)
        others = [column for column in range(value.shape[-1]) if column not in dims]
        if entry.missing:
            expected = entry.oracle(
                prior, torch.full_like(value, NAN).index_copy(1, torch.tensor(dims), value[:, dims])
            )
        else:
            (other,) = others  # the catalogue's have three latents
            side = torch.linspace(-12, 12, 2001, dtype=torch.float64)
            rows = value.repeat_interleave(len(side), 0)
            rows[:, other] = side.repeat(len(value))
            expected = entry.oracle(prior, rows).view(len(value), -1).logsumexp(-1) + (side[1] - side[0]).log()
        torch.testing.assert_close(plane.log_prob(value[:, dims]), expected, rtol=1e-8, atol=1e-8)


LAWS = (
    calling_returns_a_fresh_pyro_distribution,
    seeding_is_reproducible,
    every_parameter_gets_a_gradient_and_fixed_priors_have_none,
    state_dict_round_trip,
    pickle_and_deepcopy,
    double_precision,
    threads_may_share_a_law,
    moves_to_another_device,
    repr_says_what_it_is,
    the_density_is_that_of_the_parameters,
    the_plane_is_the_marginal,
)

OURS = (  # what the priors of this package promise beyond that
    half_precision,
    autocast_changes_nothing,
    integers_and_booleans_are_values,
    a_held_law_is_never_a_mixture_of_two,
    a_default_device_elsewhere_changes_nothing,
)
