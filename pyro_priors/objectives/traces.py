"""Reading a model/guide pair through Pyro's traces: log-densities, one number per example.

An example is one element of the plates that surround the latent site (one element in all where it has none).
A site outside those plates, such as a global weight, is shared out evenly over them, and the scale of a subsampled
plate cancels: the mean over a batch estimates the bound of the whole data divided by its size.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, cast

import pyro
import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.poutine.util import prune_subsample_sites
from torch import Tensor
from torch.distributions import kl_divergence

Program = Callable[..., Any]
PARTICLES = "_particles"  # the name of our plate, which no plate of a program should bear


class LatentSite(NamedTuple):
    """A latent as the guide drew it, and its two laws: q given the example, and p given the latents before it."""

    value: Tensor
    posterior: Any
    prior: Any


class LogTerms(NamedTuple):
    """Log-densities in nats, `(examples,)`, or `(particles, examples)` where particles were asked for.

    `observed` is log p of the observed sites given the latents; `latent` is log q - log p of the latents at the draw;
    `kls` has one term for each latent with the same expectations, in closed form where that is known; `site` is the
    latent that was named.
    """

    observed: Tensor
    latent: Tensor
    kls: dict[str, Tensor]
    site: Any = None  # a LatentSite; None where the densities of several passes are joined

    @property
    def kl(self) -> Tensor:
        """KL(q, p) of all latents together."""
        return _sum(self.kls.values())

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
    enumerate: bool = False,
) -> LogTerms:
    """Draw from the guide, replay the model, and read the log-densities.

    With `enumerate`, all is the expectation over the discrete latents that the guide marks with
    ``infer={"enumerate": "parallel"}``, exact, instead of a draw of them; the other latents are drawn given each.

    Args:
        model, guide: Pyro programs, called with `*batch`.
        latent: the site of the latents.
        particles: draws per example, in one vectorised plate outside all others; None draws one.
        max_plate_nesting: how many plates the program nests; read where particles or enumeration are asked for.
        shared: whether sites outside the latent's plates are allowed (no importance weight of one example has them).
        enumerate: whether to sum over discrete latents, for the ELBO only.

    Raises:
        ValueError: the latent is missing or observed, a latent of the model is not in the guide, or, where gradients
            are on, a latent of the guide is neither reparameterised nor enumerated.
    """
    if enumerate:
        guide = poutine.enum(guide, first_available_dim=-1 - max_plate_nesting - (particles is not None))
    if particles is not None:
        plate = pyro.plate(PARTICLES, particles, dim=-1 - max_plate_nesting)
        model, guide = plate(model), plate(guide)
    guide_trace, model_trace = trace_pair(model, guide, batch)
    _check_sites(model_trace, guide_trace, latent)
    named = site_of(guide_trace, latent)
    with _float32(named["value"]):
        model_trace.compute_log_prob()
        guide_trace.compute_log_prob()
        reader = _PerExample(named, shared, _category_probs(guide_trace))
        observed = reader.total(site for _, site in sample_sites(model_trace) if site["is_observed"])
        sampled = {name: reader(site) for name, site in sample_sites(guide_trace)}
        prior = {name: reader(site) for name, site in sample_sites(model_trace) if not site["is_observed"]}
        drawn = {name: log_prob - prior.get(name, 0.0) for name, log_prob in sampled.items()}
        closed = {name: reader(site) for name, site in _closed_form_kls(model_trace, guide_trace)}
        kls = {name: reader.expand(kl, particles) for name, kl in (drawn | closed).items()}
    site = LatentSite(named["value"], named["fn"], site_of(model_trace, latent)["fn"])
    return LogTerms(reader.expand(observed, particles), reader.expand(_sum(drawn.values()), particles), kls, site)


def trace_pair(model: Program, guide: Program, batch: tuple) -> tuple[poutine.Trace, poutine.Trace]:
    """The trace of the guide and of the model replayed against it, without the sites of subsampling."""
    guide_trace = poutine.trace(guide).get_trace(*batch)
    model_trace = poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(*batch)
    return prune_subsample_sites(guide_trace), prune_subsample_sites(model_trace)


def site_of(trace: poutine.Trace, name: str) -> dict[str, Any]:
    """A site of a trace whose program has run."""
    return cast("dict[str, Any]", trace.nodes[name])


def sample_sites(trace: poutine.Trace) -> Iterator[tuple[str, dict[str, Any]]]:
    """The sample sites of a trace, by name."""
    sites = cast("dict[str, dict[str, Any]]", trace.nodes)
    return ((name, site) for name, site in sites.items() if site["type"] == "sample")


def as_tuple(batch: Tensor | tuple | list) -> tuple:
    """A batch as the arguments of a program."""
    return tuple(batch) if isinstance(batch, tuple | list) else (batch,)


def check_examples(batch: tuple) -> None:
    """`ValueError` where a batch is empty; of programs without a batch nothing is known before they have run."""
    if batch and isinstance(batch[0], Tensor) and batch[0].shape[:1] == (0,):
        raise ValueError(f"batch: expected at least one example, got none (shape {tuple(batch[0].shape)})")


def device_of(program: Program) -> torch.device | None:
    """Where the module lives that a program is a method of; None where there is none."""
    owner = getattr(program, "__self__", program)
    parameter = next(owner.parameters(), None) if isinstance(owner, torch.nn.Module) else None
    return None if parameter is None else parameter.device


class _PerExample:
    """Reads a site's masked log-density per example: sums what lies outside the latent's plates.

    Discrete latents that are enumerated stand outside them too, each value with its probability.
    """

    def __init__(self, latent_site: dict, shared: bool, probs: Tensor | None) -> None:
        self.probs = probs
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
        log_prob = site["log_prob"] if self.probs is None else site["log_prob"] * self.probs
        summed = [dim for dim in range(-log_prob.dim(), 0) if dim not in self.frames]
        log_prob = log_prob.sum(summed, keepdim=True) if summed else log_prob
        scale = math.prod(_full_size(frame) / frame.size for dim, frame in own.items() if dim in self.frames)
        return log_prob / (scale * math.prod(_full_size(frame) for frame in missing))

    def total(self, sites: Iterator[dict]) -> Tensor:
        return sum((self(site) for site in sites), start=self.zero)

    def expand(self, term: Tensor, particles: int | None) -> Tensor:
        """A sum over sites as `(examples,)` or `(particles, examples)`."""
        shape = [self.shape[dim] if dim in self.frames else 1 for dim in range(-len(self.shape), 0)]
        term = term.expand(torch.broadcast_shapes(shape, term.shape))
        return term.reshape(-1) if particles is None else term.reshape(particles, -1)

    @staticmethod
    def _constant(site: dict) -> bool:
        """Sites that add nothing, as those of pyro.deterministic."""
        return bool((site["log_prob"] == 0).all())


def _sum(terms: Iterable[Tensor]) -> Tensor:
    """Of at least one."""
    return cast(Tensor, sum(terms))


def _full_size(frame: Any) -> int:
    return frame.size if frame.full_size is None else frame.full_size


def _category_probs(guide_trace: poutine.Trace) -> Tensor | None:
    """q of the enumerated latents' values, to the left of the plates; None where there are none."""
    logs = [site["log_prob"] for _, site in sample_sites(guide_trace) if "_enumerate_dim" in site["infer"]]
    return _sum(logs).exp() if logs else None


def _closed_form_kls(model_trace: poutine.Trace, guide_trace: poutine.Trace) -> Iterator[tuple[str, dict]]:
    """KL(q, p) given the latents before it, as a site's `log_prob`, for every latent where torch knows it.

    That holds only if no later latent of the guide enters p(latent given the others): the same order in both programs
    ensures it.
    """
    latents = [{n: site for n, site in sample_sites(t) if not site["is_observed"]} for t in (guide_trace, model_trace)]
    if list(latents[0]) != list(latents[1]):
        return
    for (name, q), p in zip(latents[0].items(), latents[1].values(), strict=True):
        kl = _closed_form(q, p)
        if kl is not None:
            yield name, {**q, "log_prob": scale_and_mask(kl, q["scale"], q["mask"])}


def _closed_form(q: dict, p: dict) -> Tensor | None:
    try:
        return kl_divergence(q["fn"], p["fn"])
    except NotImplementedError:
        return None


def divergence(q: dict, p: dict) -> Tensor:
    """KL(q, p) of the laws of two sites, for each example: in closed form where torch knows it, else at q's draw."""
    with _float32(q["value"]):
        kl = _closed_form(q, p)
        return q["fn"].log_prob(q["value"]) - p["fn"].log_prob(q["value"]) if kl is None else kl


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
        if torch.is_grad_enabled() and not site["fn"].has_rsample and "_enumerate_dim" not in site["infer"]:
            raise ValueError(
                "guide: expected latents that are reparameterised or, with enumerate=True, enumerated, got "
                f"{site['fn']} at site {name!r}"
            )


def _float32(value: Tensor) -> torch.autocast:
    """Log-densities stay in full precision inside an autocast region."""
    return torch.autocast(value.device.type, enabled=False)
