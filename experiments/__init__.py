"""The papers: tables as specs over one runner, figures, benchmarks, results; and the command line of them all."""


def load(folder):
    """The trained model in a run folder, ready to use: rebuilt from its config.json, with the weights of its training.

    Raises:
        pyro_priors.checks.UserError: no trained run there, one of another version, or a damaged one.
    """
    from models.shared.runs import trained  # here, so that the list of commands comes at once

    return trained(folder).model
