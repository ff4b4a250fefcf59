"""Rates that fall where the validation loss no longer does."""

import pytest
import torch

from pyro_priors.training import FitState, Plateau


def trained(losses, optimizer=torch.optim.Adam, **how):
    """A model whose weight is the number of the epoch at its end, after epochs with these validation losses."""
    model = torch.nn.Linear(1, 1)
    state = FitState(None, model, [optimizer(model.parameters(), lr=1.0)])
    plateau, seen = Plateau(**how), []
    for epoch, loss in enumerate(losses, start=1):
        with torch.no_grad():
            model.weight.fill_(float(epoch))
        if optimizer is torch.optim.Adam:
            state.optimizers[0].state[model.weight] = {"exp_avg": torch.tensor([[float(epoch)]]), "step": epoch}
        plateau.on_row(state, {"validation_loss": loss})
        seen.append((model.weight.item(), state.optimizers[0].param_groups[0]["lr"]))
    return plateau, state, seen


def test_a_step_back_takes_weights_and_moments():
    plateau, state, seen = trained([3.0, 2.0, 2.5, 1.0, 1.5], factor=0.5)
    assert seen == [(1.0, 1.0), (2.0, 1.0), (2.0, 0.5), (4.0, 0.5), (4.0, 0.25)]
    assert state.optimizers[0].state[state.model.weight] == {"exp_avg": torch.tensor([[4.0]]), "step": 4}
    assert not plateau.stopping.update(0.0)


def test_it_ends_where_rates_are_spent_and_puts_them_back():
    plateau, state, _ = trained([1.0, 2.0, 2.0, 2.0], factor=0.2, least=0.01)
    assert [plateau.share, plateau.stopping.update(0.0)] == [pytest.approx(0.008), True]
    plateau.on_fit_exit(state)
    assert state.optimizers[0].param_groups[0]["lr"] == 1.0
    plateau.on_fit_start(state)
    assert not plateau.stopping.update(0.0)
    assert plateau.best == float("inf")


def test_a_resumed_one_goes_on():
    plateau, state, _ = trained([3.0, 2.0, 2.5], factor=0.5)
    other = Plateau(factor=0.5)
    other.load_state_dict(plateau.state_dict())
    with torch.no_grad():
        state.model.weight.fill_(9.0)
    other.on_row(state, {"validation_loss": 2.2})
    assert state.model.weight.item() == 2.0
    assert state.optimizers[0].param_groups[0]["lr"] == 0.25


@pytest.mark.parametrize("how", [{"factor": 0.0}, {"factor": 1.0}, {"least": 1.5}])
def test_bad_shares(how):
    with pytest.raises(ValueError, match=f"{next(iter(how))}: expected a number between 0 and 1, got"):
        Plateau(**how)
