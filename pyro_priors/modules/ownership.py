"""What all priors need to own parameters: registration, and whether new ones are better."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution


def own(module: nn.Module, name: str, value: Tensor | None, fixed: bool):
    """Register a parameter, or a buffer where the prior is fixed (`pyro.module` warns of frozen parameters).

    What has no entries never gets a gradient, and is a buffer too.
    """
    if fixed or value is None or value.numel() == 0:
        module.register_buffer(name, value)
    else:
        module.register_parameter(name, nn.Parameter(value))


def freeze(module: nn.Module):
    """Make buffers of all parameters below a module."""
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, parameter.detach())


def split_rows(value: Tensor) -> tuple[Tensor, Tensor]:
    """Four fifths to fit, one fifth to judge by; all of it for both where there is little."""
    value = value[torch.randperm(len(value), device="cpu").to(value.device)]
    held = len(value) // 5
    return (value[held:], value[:held]) if held >= 10 else (value, value)


def improves(fitted: Distribution, present: Distribution, held_out: Tensor) -> bool:
    """Whether newly fitted parameters explain codes that they were not fitted to better than the present ones."""
    return bool(fitted.log_prob(held_out).mean() > present.log_prob(held_out).mean())
