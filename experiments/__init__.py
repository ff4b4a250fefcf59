"""Runs: data, configurations, the command line, tables and figures (`python -m experiments`)."""


def load(folder):
    """The trained model in a run folder, ready to use: rebuilt from its config.json, with the weights that were kept.

    Raises:
        pyro_priors.checks.UserError: no trained run there, one of another version, or a damaged one.
    """
    from experiments.build import trained  # here, so that the list of commands comes at once

    return trained(folder).model
