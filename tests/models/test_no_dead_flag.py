"""No flag changes nothing: every knob that acts is read by a training of one epoch, whatever the model and prior."""

import contextlib
import dataclasses
import functools

import pytest
import tiny_folder
from torchvision_files import write_celeba

import models
from inference import train
from models import configure
from models.shared import figures, figures_attributes, knobs, runs
from models.shared.knobs import acting, draft, priors_of, with_prior
from pyro_priors import objectives

SIZES = {"epochs": 1, "batch_size": 8, "progress": False, "image_size": 28, "data": "folder"}
SMALL = {"hidden": (8,), "channels": 2, "latent_dim": 2, "lower_dim": 2, "particles": 2, "critic_steps": 1}
SMALL |= {"components": 2, "rank": 2, "pseudo_inputs": 3, "layers": 2, "flow_hidden": (4,), "critic_hidden": (8,)}
SMALL |= {"categories": 3, "discriminator_hidden": (8,), "reinit_first": 1, "code": 2, "prior_epochs": 1}
POINTS = {"data": "ring", "batch_size": 5000}

# What a model needs to take the data: of their attributes one is a number, which M2 cannot sum over.
NEEDS = {"m2": {"attributes": ("side", "bright")}}

PAIRS = [(name, prior) for name in models.names() for prior in priors_of(models.model_of(name)) or [None]]
CASES = [  # further values of choices, each of which wakes knobs or lets others sleep
    *(("vae", {"prior": "normal", "objective": word}) for word in ("beta-h", "beta-b", "beta-tc", "factor", "info")),
    *(("vae", {"prior": "trip", "objective": "info", "divergence": word}) for word in ("stein", "adversarial")),
    ("vae", {"prior": "normal", "likelihood": "gaussian", "binarize": "none"}),
    ("vae", {"prior": "normal", "likelihood": "squared-error", "binarize": "none"}),
    ("vae", {"prior": "normal", "network": "conv"}),
    ("vae", {"prior": "normal", "network": "pixelcnn", "pixel_layers": 1}),
    ("vae", {"prior": "normal", "data": "celeba", "batch_size": 1}),
    ("vae", {"prior": "normal", "stream": True, "binarize": "none"}),
    ("vae", {"prior": "normal", "warmup_epochs": 1, "accumulate": 2, "patience": 2, "decay": True, "clip_norm": 1.0}),
    ("vae", {"prior": "flow", "flow_base": "trip"}),
    ("vae", {"prior": "flow", "flow_base": "trip", "transform": "spline", "fixed": True}),
    ("vae", {"prior": "trip", "reinit_first": None}),
    ("vae", {"prior": "trip", "init": "noise", "reinit_every": None}),
    *(("vae", {"prior": prior, "fixed": True}) for prior in ("trip", "gmm", "vamp")),
    ("vae", {"prior": "gmm", "weights": "equal"}),
    ("hierarchical-vae", {"prior": "trip", "fixed": True}),
    ("cp-vae", {"estimator": "gumbel"}),
    ("cp-vae", {"covariance": "low-rank", "factors": 2}),
    ("cp-vae", {"data": "digits", "batch_size": 500, "blind_epochs": 1, "epochs": 2, "top": 2, "top_epochs": 1}),
    ("cp-vae", {"reads": "category", "warm_categories": True}),
    ("joint-vae", {"label_weight": 1.0, "missing": 0.3, "attributes": ("side", "level")}),
    ("joint-vae", {"network": "mlp", "reinit_first": None, "likelihood": "bernoulli", "binarize": "dynamic"}),
    ("joint-vae", {"pretrained": "RUN"}),
    ("joint-vae", {"pretrained": "RUN", "frozen": True}),
    ("cvae", {"missing": 0.3, "likelihood": "gaussian"}),
    ("m2", {"missing": 0.3, "network": "mlp", "warmup_epochs": 1}),
    *(("gan", {"prior": "trip", "estimator": word}) for word in ("reinforce", "rloo")),
    ("gan", {"prior": "trip", "fixed": True}),
    ("gan", {"prior": "normal", "network": "conv"}),
    ("gan", {"prior": "normal", "noise": 0.1, "noise_epochs": 1, "minimax": True, "average": 0.9, "consensus": 0.1}),
    ("gan", {"prior": "normal", "minibatch": 2, "matching": True}),
    ("gan", {"prior": "normal", **POINTS}),
    ("gan", {"prior": "ttlp", "mismatched": True, "missing": 0.3, "init": "mixture"}),
    ("wgan-gp", {"prior": "normal", "layer_norm": False}),
    ("sn-gan", {"prior": "normal", "network": "conv"}),
    ("info-gan", {"prior": "normal", "data": "digits", "batch_size": 500}),
    ("aae", {"prior": "trip", "estimator": "rloo", "reinit_first": None}),
    ("aae", {"prior": "trip", "fixed": True}),
    ("vae-gan", {"prior": "normal", "network": "conv"}),
]


class Reads:
    """The names that are read of a configuration and of its prior's knobs, while recording is on."""

    def __init__(self):
        self.names, self.on = set(), False

    @contextlib.contextmanager
    def paused(self):
        was, self.on = self.on, False
        try:
            yield
        finally:
            self.on = was

    def pausing(self, function):
        """The same function, whose reads do not count."""

        @functools.wraps(function)
        def paused(*args, **kwargs):
            with self.paused():
                return function(*args, **kwargs)

        return paused

    def of(self, kind):
        """A subclass whose attributes are counted as they are read."""

        def __getattribute__(this, name):
            if self.on:
                self.names.add(name)
            return object.__getattribute__(this, name)

        space = {"__getattribute__": __getattribute__, "__module__": kind.__module__, "__doc__": kind.__doc__}
        if hasattr(kind, "prior_kind"):
            space["prior_kind"] = self.of(kind.prior_kind)
            # All knobs of a prior are handed on at once: what counts is what the prior's own knobs are asked for.
            space["prior_knobs"] = property(self.pausing(kind.prior_knobs.fget))
        return type(kind.__name__, (kind,), space)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_folder.write(tmp_path_factory.mktemp("data"))


@pytest.fixture
def unread(data, tmp_path, monkeypatch):
    """`unread(name, values)` trains a model once -> its knobs that act and that nothing has read."""
    for module in (figures, figures_attributes):
        monkeypatch.setattr(module, "save", lambda figure, path: None)  # what is drawn is read, but not rendered
    squared_mmd = objectives.squared_mmd
    monkeypatch.setattr(objectives, "squared_mmd", lambda a, b: squared_mmd(a[:20], b[:20]))

    def unread(name, values):
        config = small(name, {"data_root": data, **values, "runs_dir": tmp_path / "runs"})
        reads = Reads()
        for function in ("acts", "acting", "to_json"):
            monkeypatch.setattr(knobs, function, reads.pausing(getattr(knobs, function)))
        monkeypatch.setattr(runs, "to_json", reads.pausing(to_json))
        kind = reads.of(type(config))
        recorded = kind(**{field.name: getattr(config, field.name) for field in dataclasses.fields(config)})
        reads.on = True
        train.main(recorded)
        reads.on = False
        named = {"prior"} if "prior_knobs" in reads.names else set()  # the prior of that name was built
        return set(acting(config)) - reads.names - named

    to_json = knobs.to_json
    return unread


def small(name, values):
    """The model with these values, and the small sizes that act beside them."""
    kind = with_prior(models.model_of(name), values.get("prior"))
    fields = {field.name for field in dataclasses.fields(kind)}
    values = {
        knob: value for knob, value in {**SIZES, **SMALL, **NEEDS.get(name, {}), **values}.items() if knob in fields
    }
    for _ in range(3):  # a size that does not act may wake another
        acts = acting(draft(kind, values))
        values = {knob: value for knob, value in values.items() if knob in acts}
    return configure(name, **values)


@pytest.mark.parametrize(("name", "prior"), PAIRS)
def test_every_knob_that_acts_is_read(unread, name, prior):
    assert unread(name, {} if prior is None else {"prior": prior}) == set()


@pytest.mark.parametrize(
    ("name", "values"), CASES, ids=[f"{name}-{'-'.join(map(str, values.values()))}" for name, values in CASES]
)
def test_every_knob_that_a_choice_wakes_is_read(unread, name, values, tmp_path, monkeypatch, data):
    if values.get("data") == "celeba":
        write_celeba(tmp_path, monkeypatch)
        values = {**values, "data_root": tmp_path}
    if "pretrained" in values:
        vae = small("vae", {"prior": "normal", "network": "conv", "likelihood": "squared-error", "binarize": "none"})
        vae = dataclasses.replace(vae, runs_dir=tmp_path / "vae", data_root=data)
        values = {**values, "pretrained": train.train(vae, vae.load_data())[0].folder}
    assert unread(name, values) == set()


def test_a_knob_that_is_not_read_is_seen(unread, monkeypatch):
    """Planted: a model that forgets a knob of its own, and a prior that forgets one of its."""
    from models import vae
    from pyro_priors.modules import trip

    monkeypatch.setattr(vae.Model, "make_likelihood", lambda self: "bernoulli")
    monkeypatch.setattr(
        trip.TRIPKnobs, "build", lambda self, setting: trip.TRIP(setting.latent_dim, self.components, self.rank)
    )
    monkeypatch.setattr(vae.Model, "check_data", lambda self, images: None)
    missed = unread("vae", {"prior": "trip", "likelihood": "gaussian", "binarize": "none"})
    assert missed == {"noise", "init", "boundary", "local", "cores", "order", "block_size", "covariance", "factors"}
