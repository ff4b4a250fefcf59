"""A model of points whose latents are points too, under any prior."""

import pyro
import pyro.distributions as dist


def model_under(prior):
    def model(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", prior())
            pyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)

    return model
