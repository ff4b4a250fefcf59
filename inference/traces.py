"""Reading a model/guide pair through Pyro's traces: log-densities, one number per example.

An example is one element of the plates that surround the latent site (one element in all where it has none).
A site outside those plates, such as a global weight, is shared out evenly over them, and the scale of a subsampled
plate cancels: the mean over a batch estimates the bound of the whole data divided by its size.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pyro
import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.poutine.util import prune_subsample_sites
from torch import Tensor
from torch.distributions import kl_divergence

Program = Callable[..., Any]
PARTICLES = "_particles"  # the name of our plate, which no plate of a program should bear


class LogTerms(NamedTuple):
    """Log-densities in nats, `(examples,)`, or `(particles, examples)` where particles were asked for.

    `observed` is log p of the observed sites given the latents; `latent` is log q - log p of the latents at the draw;
    `kl` has the same expectation, in closed form at the named latent where that is known.
    """

    observed: Tensor
    latent: Tensor
    kl: Tensor

    @property
    def log_weight(self) -> Tensor:
        """log p(x, z) - log q(z given x): the log importance weight."""
        return self.observed - self.latent


def log_terms(
    model: Program,
    guide: Program,
    batch: tuple,
    *,
    latent: str = "z",
    particles: int | None = None,
    max_plate_nesting: int = 1,
    shared: bool = True,
) -> LogTerms:
    """Draw from the guide, replay the model, and read the log-densities.

    Args:
        model, guide: Pyro programs, called with `*batch`.
        latent: the site of the latents.
        particles: draws per example, in one vectorised plate outside all others; None draws one.
        max_plate_nesting: how many plates the program nests; read where particles are asked for.
        shared: whether sites outside the latent's plates are allowed (no importance weight of one example has them).

    Raises:
        ValueError: the latent is missing or observed, a latent of the model is not in the guide, or, where gradients
            are on, a latent of the guide is not reparameterised.
    """
    if particles is not None:
        plate = pyro.plate(PARTICLES, particles, dim=-1 - max_plate_nesting)
        model, guide = plate(model), plate(guide)
    guide_trace, model_trace = trace_pair(model, guide, batch)
    _check_sites(model_trace, guide_trace, latent)
    reader = _PerExample(guide_trace.nodes[latent], shared)
    with _float32(guide_trace.nodes[latent]["value"]):
        model_trace.compute_log_prob()
        guide_trace.compute_log_prob()
        observed = reader.total(site for _, site in sample_sites(model_trace) if site["is_observed"])
        sampled = {name: reader(site) for name, site in sample_sites(guide_trace)}
        prior = {name: reader(site) for name, site in sample_sites(model_trace) if not site["is_observed"]}
        rest = sum(sampled.values()) - sum(prior.values())
        closed = _closed_form_kl(model_trace, guide_trace, latent)
        kl = rest if closed is None else rest - (sampled[latent] - prior[latent]) + reader(closed)
    return LogTerms(*(reader.expand(term, particles) for term in (observed, rest, kl)))


def trace_pair(model: Program, guide: Program, batch: tuple) -> tuple[poutine.Trace, poutine.Trace]:
    """The trace of the guide and of the model replayed against it, without the sites of subsampling."""
    guide_trace = poutine.trace(guide).get_trace(*batch)
    model_trace = poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(*batch)
    return prune_subsample_sites(guide_trace), prune_subsample_sites(model_trace)


def sample_sites(trace: poutine.Trace) -> Iterator[tuple[str, dict]]:
    """The sample sites of a trace, by name."""
    return ((name, site) for name, site in trace.nodes.items() if site["type"] == "sample")


def find_nonfinite(model: Program, guide: Program, batch: tuple) -> str | None:
    """The first site of a fresh pass whose log-density is not finite, described; None where all are."""
    with torch.no_grad(), pyro.validation_enabled(False):
        for where, trace in zip(("guide", "model"), trace_pair(model, guide, batch), strict=True):
            for name, site in sample_sites(trace):
                log_prob = site["fn"].log_prob(site["value"])
                if not log_prob.isfinite().all():
                    return f"site {name!r} of the {where}: log-density {float(log_prob.sum())}"
    return None


def as_tuple(batch: Tensor | tuple | list) -> tuple:
    """A batch as the arguments of a program."""
    return tuple(batch) if isinstance(batch, tuple | list) else (batch,)


def device_of(program: Program) -> torch.device | None:
    """Where the module lives that a program is a method of; None where there is none."""
    owner = getattr(program, "__self__", program)
    parameter = next(owner.parameters(), None) if isinstance(owner, torch.nn.Module) else None
    return None if parameter is None else parameter.device


class _PerExample:
    """Reads a site's masked log-density per example: sums what lies outside the latent's plates."""

    def __init__(self, latent_site: dict, shared: bool) -> None:
        self.frames = {frame.dim: frame for frame in latent_site["cond_indep_stack"] if frame.vectorized}
        self.shape, self.zero = latent_site["fn"].batch_shape, latent_site["value"].new_zeros(())
        self.shared = shared

    def __call__(self, site: dict) -> Tensor:
        own = {frame.dim: frame for frame in site["cond_indep_stack"] if frame.vectorized}
        missing = [frame for dim, frame in self.frames.items() if dim not in own and frame.name != PARTICLES]
        if missing and not self.shared and not self._constant(site):
            raise ValueError(
                f"site {site['name']!r}: expected it in the plate {missing[0].name!r} of the latent, since it enters "
                "the importance weight of every example, got it outside"
            )
        log_prob = site["log_prob"]
        summed = [dim for dim in range(-log_prob.dim(), 0) if dim not in self.frames]
        log_prob = log_prob.sum(summed, keepdim=True) if summed else log_prob
        scale = math.prod(_full_size(frame) / frame.size for dim, frame in own.items() if dim in self.frames)
        return log_prob / (scale * math.prod(_full_size(frame) for frame in missing))

    def total(self, sites: Iterator[dict]) -> Tensor:
        return sum((self(site) for site in sites), start=self.zero)

    def expand(self, term: Tensor, particles: int | None) -> Tensor:
        """A sum over sites as `(examples,)` or `(particles, examples)`."""
        shape = [self.shape[dim] if dim in self.frames else 1 for dim in range(-len(self.shape), 0)]
        term = term.expand(shape)
        return term.reshape(-1) if particles is None else term.reshape(particles, -1)

    @staticmethod
    def _constant(site: dict) -> bool:
        """Sites that add nothing, as those of pyro.deterministic."""
        return bool((site["log_prob"] == 0).all())


def _full_size(frame: Any) -> int:
    return frame.size if frame.full_size is None else frame.full_size


def _closed_form_kl(model_trace: poutine.Trace, guide_trace: poutine.Trace, latent: str) -> dict | None:
    """KL(q, p) at the latent as a site's `log_prob`, or None where torch does not know it.

    With several latents it holds only if no later latent of the guide enters p(latent given the others): the same
    order in both programs ensures that.
    """
    q, p = guide_trace.nodes[latent], model_trace.nodes[latent]
    orders = [[name for name, site in sample_sites(t) if not site["is_observed"]] for t in (guide_trace, model_trace)]
    if orders[0] != orders[1]:
        return None
    try:
        kl = kl_divergence(q["fn"], p["fn"])
    except NotImplementedError:
        return None
    return {**q, "log_prob": scale_and_mask(kl, q["scale"], q["mask"])}


def _check_sites(model_trace: poutine.Trace, guide_trace: poutine.Trace, latent: str) -> None:
    drawn = {name for name, site in sample_sites(guide_trace)}
    wanted = {name for name, site in sample_sites(model_trace) if not site["is_observed"]}
    if latent not in drawn & wanted:
        raise ValueError(
            f"latent: expected a site that the model samples and the guide draws, got {latent!r} "
            f"(model: {sorted(wanted)}, guide: {sorted(drawn)})"
        )
    if wanted - drawn:
        raise ValueError(f"guide: expected it to draw every latent of the model, got none for {sorted(wanted - drawn)}")
    for name, site in sample_sites(guide_trace):
        if torch.is_grad_enabled() and not site["fn"].has_rsample:
            raise ValueError(f"guide: expected reparameterised latents, got {site['fn']} at site {name!r}")


def _float32(value: Tensor) -> torch.autocast:
    """Log-densities stay in full precision inside an autocast region."""
    return torch.autocast(value.device.type, enabled=False)
