"""Questions to a trained program: generation given attributes, imputation, posteriors, ArviZ."""

from pyro_priors.queries.arviz_bridge import to_arviz
from pyro_priors.queries.attributes import classify, generate, impute, posterior_mean

__all__ = ["classify", "generate", "impute", "posterior_mean", "to_arviz"]
