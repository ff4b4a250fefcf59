"""SPFlow's circuits on a binary table; a program of its own, since SPFlow may live in an environment of its own.

`python spflow_rival.py FOLDER` reads `train.npy`, `valid.npy`, `test.npy` (float32, 0 and 1) and `settings.json` there,
and writes `result.json`. It needs SPFlow 1.1, torch and numpy alone: nothing of this project.
"""

import json
import math
import sys
import time
from importlib import metadata
from pathlib import Path

ROWS = 256  # of a step of Adam, as of ours
EPOCHS = 100  # at most, as in its guides
SCORED = 1000  # rows scored at a time


class Enough(Exception):
    """The time is over, or the circuit no longer improves."""


class Best:
    """The state of a circuit that explains the validation rows best, and when the time is over."""

    def __init__(self, circuit, valid, seconds):
        self.circuit, self.valid, self.end = circuit, valid, time.process_time() + seconds
        self.score, self.state, self.epochs, self.worse = -math.inf, None, 0, 0

    def look(self, *_):
        """After an epoch."""
        now = score(self.circuit, self.valid)
        self.epochs += 1
        if now > self.score:
            self.score, self.worse = now, 0
            self.state = {key: value.clone() for key, value in self.circuit.state_dict().items()}
        else:
            self.worse += 1
        if math.isnan(now) or time.process_time() > self.end or self.worse >= 10:
            raise Enough

    def restore(self):
        """What was best."""
        if self.state is not None:
            self.circuit.load_state_dict(self.state)


def score(circuit, rows):
    """Mean log-density in nats."""
    import torch

    with torch.no_grad():
        return torch.cat([circuit.log_likelihood(part).flatten() for part in rows.split(SCORED)]).mean().item()


def build(settings, train):
    """An untrained circuit."""
    from spflow.meta import Scope
    from spflow.modules.leaves import Bernoulli
    from spflow.zoo.einet import Einet
    from spflow.zoo.hclt.learn import learn_hclt_binary

    size, width = settings["states"], train.shape[1]
    if settings["kind"] == "hclt":
        # init="random" gives sums of one state in 1.1.0; uniform ones are a saddle, which noise leaves sooner.
        circuit = learn_hclt_binary(train, num_hidden_cats=size, init="uniform")
        jitter(circuit)
        return circuit
    repetitions, depth = settings["repetitions"], min(settings["depth"], int(math.log2(width)))
    leaf = Bernoulli(scope=Scope(list(range(width))), out_channels=size, num_repetitions=repetitions)
    return Einet([leaf], num_sums=size, num_leaves=size, depth=depth, num_repetitions=repetitions)


def jitter(circuit):
    """Noise of one in the logits of all sums."""
    import torch
    from spflow.modules.sums import Sum

    for part in circuit.modules():
        if isinstance(part, Sum):
            with torch.no_grad():
                part.log_weights = (part.log_weights + torch.randn_like(part.log_weights)).log_softmax(part.sum_dim)


def improve(circuit, settings, train, best, seconds):
    """Adam under SPFlow's own schedule, over as many epochs as there is time for."""
    from spflow.learn import train_gradient_descent
    from torch.utils.data import DataLoader, TensorDataset

    rows = train[: 2 * ROWS]
    for _ in range(2):  # the first step is slower
        begin = time.process_time()
        circuit.log_likelihood(rows).mean().neg().backward()
    circuit.zero_grad()
    epochs = int(0.9 * seconds / ((time.process_time() - begin) * len(train) / len(rows)))
    batches = DataLoader(TensorDataset(train), ROWS, shuffle=True)
    train_gradient_descent(
        circuit, batches, epochs=min(max(epochs, 4), EPOCHS), lr=settings["lr"], callback_epoch=best.look
    )


def main(folder):
    """Fit, score, and write the result."""
    import numpy
    import torch

    torch.set_num_threads(1)
    settings = json.loads((folder / "settings.json").read_text())
    parts = {name: torch.from_numpy(numpy.load(folder / f"{name}.npy")) for name in ("train", "valid", "test")}
    torch.manual_seed(settings["seed"])
    begin = time.process_time()
    circuit = build(settings, parts["train"])
    best = Best(circuit, parts["valid"], settings["seconds"] - (time.process_time() - begin))
    try:
        best.look()
        improve(circuit, settings, parts["train"], best, settings["seconds"])
    except Enough:
        pass
    best.restore()
    result = {"test": score(circuit, parts["test"]), "valid": best.score, "epochs": best.epochs - 1}
    result |= {"seconds": time.process_time() - begin, "parameters": sum(p.numel() for p in circuit.parameters())}
    result["versions"] = {name: metadata.version(name) for name in ("spflow", "torch", "numpy")}
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
