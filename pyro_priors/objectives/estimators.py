"""Gradients of an expected cost through a prior that is sampled: pathwise, and score functions with baselines.

A generator program draws a latent and returns what it makes of it. An estimator runs it (`draw`), and turns the cost of
every example into a scalar (`loss`) whose gradient is one for the networks and for the prior alike:

    drawn = estimator.draw(program, *batch)
    estimator.loss(drawn, cost(drawn.x)).backward()
"""

from typing import Any, Literal, NamedTuple, cast

import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import prune_subsample_sites
from torch import Tensor

from pyro_priors.checks import check_choice
from pyro_priors.objectives.traces import Program, sample_sites, site_of


class Drawn(NamedTuple):
    """What a generator program did: what it returned, its latents `(n, d)`, and its trace.

    `log_prior` is log p(z), `(n,)`, with gradients to the prior; None where they flow through z itself.
    """

    x: Any
    z: Tensor
    log_prior: Tensor | None
    trace: poutine.Trace


class Pathwise:
    """Differentiate the cost through the draw itself: `rsample` of the prior.

    References:
        Figurnov, Mohamed, Mnih, "Implicit reparameterization gradients", 2018, arXiv:1805.08498, for a tensor ring and
        for mixtures; Kingma, Welling, arXiv:1312.6114, for a normal law.

    Args:
        latent: the site of the latents.

    Raises:
        ValueError: on a call, a program that does not draw the latent, or whose law of it learns and has no `rsample`.

    Example:
        >>> import pyro, pyro.distributions as dist
        >>> _ = torch.manual_seed(0)
        >>> loc = torch.zeros(2, requires_grad=True)
        >>> def program():
        ...     with pyro.plate("data", 1000):
        ...         return pyro.sample("z", dist.Normal(loc, 1.0).to_event(1))
        >>> drawn = Pathwise().draw(program)
        >>> Pathwise().loss(drawn, 3 * drawn.x.sum(-1)).backward()
        >>> loc.grad.round(decimals=3)
        tensor([3., 3.])
    """

    least_batch = 1

    def __init__(self, latent: str = "z") -> None:
        self.latent = latent

    def draw(self, program: Program, *batch: Any) -> Drawn:
        """Run the program; its latents carry gradients to the prior."""
        x, trace, site = _traced(program, self.latent, batch)
        law, z = site["fn"], site["value"]
        if torch.is_grad_enabled() and not law.has_rsample and law.log_prob(z).requires_grad:
            raise ValueError(
                f"estimator: pathwise expected a law of {self.latent!r} with rsample, got {law} (a score "
                "function takes any)"
            )
        return Drawn(x, z, None, trace)

    def loss(self, drawn: Drawn, cost: Tensor) -> Tensor:
        """The mean of the costs `(n,)`."""
        return _checked(cost, drawn).mean()


class ScoreFunction:
    """Weigh the gradient of log p(z) by the cost, less a baseline (REINFORCE); networks get theirs through x.

    The batch mean as baseline makes the gradient of the prior (1 - 1/n) of the true one, the mean of the others'
    costs (leave-one-out) leaves it unbiased. Normalised costs have standard deviation one over the batch: that is
    another step size for every batch, no unbiased gradient.

    Note:
        The cost of an example must not depend on the latents of another: not with minibatch discrimination, and only
        nearly with batch normalisation. With several devices the baseline is that of each device's part of the batch.

    References:
        Kuznetsov et al. (TRIP), 2019, eq. 10, arXiv:1910.13148 (batch mean); Kool, van Hoof, Welling, "Buy 4 REINFORCE
        samples, get a baseline for free!", 2019 (leave-one-out).

    Args:
        baseline: "mean", "leave-one-out" or "none".
        normalize: divide the costs less the baseline by their standard deviation.
        latent: the site of the latents.

    Raises:
        ValueError: an unknown baseline; on a call, a program that does not draw the latent, a single example where a
            baseline needs several.

    Example:
        >>> import pyro, pyro.distributions as dist
        >>> _ = torch.manual_seed(0)
        >>> loc = torch.zeros(2, requires_grad=True)
        >>> def program():
        ...     with pyro.plate("data", 100_000):
        ...         return pyro.sample("z", dist.Normal(loc, 1.0).to_event(1))
        >>> estimator = ScoreFunction("leave-one-out")
        >>> drawn = estimator.draw(program)
        >>> estimator.loss(drawn, 3 * drawn.x.sum(-1)).backward()
        >>> loc.grad.round(decimals=1)
        tensor([3., 3.])
    """

    def __init__(
        self,
        baseline: Literal["mean", "leave-one-out", "none"] = "leave-one-out",
        *,
        normalize: bool = False,
        latent: str = "z",
    ) -> None:
        check_choice("baseline", baseline, ("mean", "leave-one-out", "none"))
        self.baseline, self.normalize, self.latent = baseline, normalize, latent
        self.least_batch = 1 if baseline == "none" and not normalize else 2

    def draw(self, program: Program, *batch: Any) -> Drawn:
        """Run the program on latents without gradients; log p(z) has them."""
        with _Detached(self.latent):
            x, trace, site = _traced(program, self.latent, batch)
        return Drawn(x, site["value"], site["fn"].log_prob(site["value"]), trace)

    def loss(self, drawn: Drawn, cost: Tensor) -> Tensor:
        """The mean of the costs `(n,)`; its gradient to the prior is the estimate."""
        advantage, count = _checked(cost, drawn).detach(), len(cost)
        if not torch.is_grad_enabled():
            return cost.mean()
        if count < self.least_batch:
            raise ValueError(f"cost: expected at least two examples for a baseline, got {count}")
        if self.baseline != "none":
            advantage = advantage - advantage.mean()
        if self.baseline == "leave-one-out":
            advantage = advantage * (count / (count - 1))
        if self.normalize:
            spread = advantage.std()
            advantage = advantage / torch.where(spread > 0, spread, 1)  # equal costs say nothing of the prior
        score = (advantage * cast(Tensor, drawn.log_prior)).mean()
        return cost.mean() + (score - score.detach())


def make_estimator(
    name: Literal["pathwise", "reinforce", "rloo"], *, normalize: bool = False, latent: str = "z"
) -> Pathwise | ScoreFunction:
    """An estimator by the word of the command line: "pathwise", "reinforce" (batch mean) or "rloo" (leave-one-out).

    Raises:
        ValueError: an unknown name, or `normalize` with "pathwise".
    """
    check_choice("estimator", name, ("pathwise", "reinforce", "rloo"))
    if name == "pathwise":
        if normalize:
            raise ValueError("normalize: expected False with the pathwise estimator, got True")
        return Pathwise(latent)
    return ScoreFunction("mean" if name == "reinforce" else "leave-one-out", normalize=normalize, latent=latent)


def log_observed(drawn: Drawn) -> Tensor:
    """log p of what a program observed, a mean over the examples; zero where it observed nothing."""
    total = drawn.z.new_zeros(())
    for _, site in sample_sites(drawn.trace):
        if site["is_observed"] and not site["infer"].get("_deterministic"):
            total = total + site["fn"].log_prob(site["value"]).sum() / len(drawn.z)
    return total


class _Detached(Messenger):
    """One site is sampled without gradients, whatever its law can."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def _pyro_sample(self, msg: dict) -> None:
        if msg["name"] == self.name and not msg["is_observed"] and not msg["done"]:
            with torch.no_grad():
                msg["value"] = msg["fn"].sample(*msg["args"])
            msg["done"] = True


def _traced(program: Program, latent: str, batch: tuple) -> tuple[Any, poutine.Trace, dict]:
    trace = prune_subsample_sites(poutine.trace(program).get_trace(*batch))
    drawn = [name for name, site in sample_sites(trace) if not site["is_observed"]]
    if latent not in drawn:
        raise ValueError(f"latent: expected a site that the program draws, got {latent!r} (it draws {drawn})")
    return site_of(trace, "_RETURN")["value"], trace, site_of(trace, latent)


def _checked(cost: Tensor, drawn: Drawn) -> Tensor:
    if cost.shape != drawn.z.shape[:1]:
        raise ValueError(f"cost: expected one number an example, ({len(drawn.z)},), got {tuple(cost.shape)}")
    return cost
