"""Small laws, tables and programs that the explorer's tests ask."""

import functools
import http.client
import json
import urllib.parse

import numpy as np
import torch

import pyro_priors as pp
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.programs import JointVAE
from pyro_priors.tables import TableImputer

to_json = json.dumps


@functools.cache
def law():
    """Two categories, a number and a vector of two on a chain."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        kinds = {"digit": pp.Discrete(5), "age": pp.Continuous(4), "size": pp.Discrete(3), "gaze": pp.Vector(2)}
        prior = pp.TTLP(0, kinds, rank=6, order="declared").double()
        with torch.no_grad():
            for parameter in prior.parameters():
                parameter.add_(torch.randn_like(parameter))
        return prior.requires_grad_(False)()


@functools.cache
def imputer():
    """People: height, weight that follows it, a sport that does too, and the day of birth."""
    rng = np.random.default_rng(0)
    height = rng.normal(175, 9, 150).round(1)
    weight = (0.9 * height - 85 + rng.normal(0, 4, 150)).round(1)
    sport = np.where(height + rng.normal(0, 3, 150) > 176, "basketball", "chess").astype(object)
    born = (np.datetime64("1990-01-01") + rng.integers(0, 4000, 150)).astype(str).astype(object)
    import pandas as pd

    X = pd.DataFrame({"height": height, "weight": weight, "sport": sport, "born": born})
    X.loc[::7, "weight"] = np.nan
    return TableImputer(max_steps=20, random_state=0).fit(X)


@functools.cache
def program():
    """A joint VAE over 8 x 8 images that nobody trained."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        prior = pp.TTLP(3, {"digit": pp.Discrete(4), "slant": pp.Continuous(3)}, rank=5, order="declared")
        with torch.no_grad():
            for parameter in prior.parameters():
                parameter.add_(torch.randn_like(parameter))
        encoder, decoder = GatedMLPEncoder((1, 8, 8), 3, hidden=(8,)), GatedMLPDecoder(3, (1, 8, 8), hidden=(8,))
        return JointVAE(encoder, decoder, prior).eval().requires_grad_(False)


def picture():
    """A PNG file of 8 x 8 grey pixels."""
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8)).save(file, "PNG")
    return file.getvalue()


class Answer:
    """What a server said: `status_code`, `headers` by lower-case name, `text`, `json()`."""

    def __init__(self, status_code, headers, content):
        self.status_code, self.text = status_code, content.decode()
        self.headers = {name.lower(): value for name, value in headers}

    def json(self):
        return json.loads(self.text)


class Client:
    """Requests to a page that is served, whose paths go out as they are written."""

    def __init__(self, served):
        self.served = served
        self.host = urllib.parse.urlsplit(served.address).netloc

    def request(self, method, path, content=None, json=None, headers=None):
        body = to_json(json) if content is None and json is not None else content
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request(method.upper(), path, body, headers or {}, encode_chunked=hasattr(body, "__next__"))
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()

    def get(self, path, **how):
        return self.request("GET", path, **how)

    def post(self, path, **how):
        return self.request("POST", path, **how)
