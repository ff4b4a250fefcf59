"""A joint law of images and attributes, explored: draws given attributes, attributes of an image, and what if."""

import hashlib
import io
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyro_priors.distributions.flow_joint import FlowJoint
from pyro_priors.explore import what_if
from pyro_priors.explore.evidence import from_json
from pyro_priors.explore.laws import LawSubject
from pyro_priors.explore.places import LawPlaces
from pyro_priors.explore.png import address_of
from pyro_priors.explore.subject import Given
from pyro_priors.tables.answers.beliefs import Belief
from pyro_priors.tables.answers.posterior import Posterior
from pyro_priors.tables.answers.ranges import Allowed

COUNT, MOST = 16, 64  # images that are drawn at once, as a rule and at most
DRAWS, MOST_DRAWS = 64, 512  # of latents for an average
MOST_PIXELS = 50_000_000  # of a file
REMEMBERED = 64  # images that were sent


class ImageSubject(LawSubject):
    """The attributes of a program such as `JointVAE`, and its images.

    Args:
        program: with `attributes`, a `prior` whose law is on a chain (through a flow or not), `encode` and `decode`.
        title: what it is called.
        categories: name of a discrete attribute -> texts of its states.

    Raises:
        ValueError: another program.
    """

    kind = "images"

    def __init__(self, program: Any, title: str, categories: Mapping[str, Sequence[str]] | None = None):
        if "y" not in getattr(getattr(program.prior(), "variables", None), "names", ()) or program.image_shape is None:
            raise ValueError(f"program: expected a joint law of images and attributes, got {type(program).__name__}")
        self.program = program
        joint = program.prior()
        self.flow = joint if isinstance(joint, FlowJoint) else None
        base = joint.base if isinstance(joint, FlowJoint) else joint
        super().__init__(base.marginal("y"), title, categories)
        self.joint = LawPlaces(base)
        self.latents = list(base.variables.columns("z"))
        self.attributes = list(base.variables.columns("y"))
        self.images: OrderedDict[str, Tensor] = OrderedDict()

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "image_shape": list(self.program.image_shape), "count": COUNT, "draws": DRAWS}

    # ---- draws

    def draws(self, given: Mapping[str, Any], how: Mapping[str, Any]) -> dict[str, Any]:
        """Means of p(x given z) for draws of z given attributes: "images" as addresses, drawn by "seed"."""
        count, seed = _whole(how, "count", COUNT, MOST), _whole(how, "seed", 0, 2**31 - 1, least=0)
        with self.lock, torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            z = self._latents(self.read(given), count)
            return {"images": self._shown(z), "seed": seed, "exact": False}

    def _latents(self, given: Given, count: int) -> Tensor:
        """Exact draws of z given attributes: ``(count, d)``"""
        given = what_if.spread(given, self.attributes, len(self.joint.places))
        belief = Posterior([self.joint], given.codes, Allowed(self.joint, given.ranges, 1)).members[0]
        assert isinstance(belief, Belief)  # of a law without exemplars
        rows = belief.law.impute(belief.evidence.rows.expand(count, -1))
        return rows[:, self.latents]

    def _shown(self, z: Tensor) -> list[str]:
        """Latents of the law on a chain -> images as addresses."""
        z = z.to(next(self.program.parameters()).dtype)
        z = z if self.flow is None else self.flow.to_representation(z)
        return [address_of(pixels) for pixels in _bytes(self.program.decode(z).mean)]

    # ---- an image

    def upload(self, content: bytes) -> dict[str, Any]:
        """Keep an image, cropped and resized as those of a training -> its name, and what the model sees.

        Raises:
            ValueError: no image.
        """
        x = _fitted(content, tuple(self.program.image_shape))
        name = hashlib.blake2b(x.numpy().tobytes(), digest_size=12).hexdigest()
        with self.lock:
            self.images[name] = x
            self.images.move_to_end(name)
            while len(self.images) > REMEMBERED:
                self.images.popitem(last=False)
        return {"image": name, "shown": address_of(_bytes(x)[0])}

    def impute(self, given: Mapping[str, Any], how: Mapping[str, Any]) -> dict[str, Any]:
        """Attributes of an image: means over draws of z ~ q(z given x), of the exact laws given z and what is given.

        The same as `queries.classify`, with the standard error of each mean.
        """
        count, seed = _whole(how, "draws", DRAWS, MOST_DRAWS, least=2), _whole(how, "seed", 0, 2**31 - 1, least=0)
        x = self._image(how)
        with self.lock, torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            z = self._back(self.program.encode(x).sample((count,))[:, 0])
            read = what_if.spread(self.read(given), self.attributes, len(self.joint.places))
            codes = read.codes.repeat(count, 0)
            codes[:, self.latents] = z.double().numpy()
            posterior = Posterior([self.joint], codes, Allowed(self.joint, read.ranges, count))
            variables = {
                row.name: self._averaged(posterior, column, row.kind == "category", read, count)
                for row, column in zip(self.rows, self.attributes, strict=True)
            }
        return {"variables": variables, "shown": address_of(_bytes(x)[0]), "draws": count, "exact": False}

    def _averaged(
        self, posterior: Posterior, column: int, is_category: bool, read: Given, count: int
    ) -> dict[str, Any]:
        if not np.isnan(read.codes[0, column]):
            return {"is": "set", "value": float(read.codes[0, column])}
        if is_category:
            probs = posterior.states(column)
            error = probs.std(0) / count**0.5
            return {"is": "open", "probs": probs.mean(0).tolist(), "standard_error": error.tolist()}
        means = posterior.number(column, torch.arange(count)).mean()
        error = float(means.std()) / count**0.5
        return {"is": "open", "mean": float(means.mean()), "standard_error": error}

    def what_if(self, given: Mapping[str, Any], how: Mapping[str, Any]) -> dict[str, Any]:
        """The image as its mean latents decode, and with the latents that `what_if.moved` makes of them.

        "before" are its attributes as they are, `given` as they shall be.
        """
        x, count = self._image(how), len(self.joint.places)
        before = self.read(from_json(how.get("before", {})))
        with self.lock, torch.no_grad():
            z = self._back(self.program.encode(x).mean)[0]
            old, new = (what_if.spread(part, self.attributes, count) for part in (before, self.read(given)))
            after = what_if.moved(self.joint, self.latents, z, old, new)
            shown = self._shown(torch.stack([z.double(), after]))
        return {"before": shown[0], "after": shown[1], "exact": False}

    def _back(self, z: Tensor) -> Tensor:
        """Latents as the law on a chain has them."""
        return z if self.flow is None else self.flow.to_generation(z)

    def _image(self, how: Mapping[str, Any]) -> Tensor:
        name = how.get("image")
        with self.lock:
            if not isinstance(name, str) or name not in self.images:
                raise ValueError(f"image: expected one that was sent since the server started, got {name!r:.60}")
            return self.images[name]

    def lines(self, given: Mapping[str, Any]) -> str:
        lines, given = super().lines(given), self.plain(given)
        simple = all(not isinstance(value, tuple | list) for value in given.values())
        start = ["from pyro_priors.training import load", "", f"program = load({self.path!r}).eval()"]
        start += ['law = program.prior().marginal("y")']
        said = "".join(f", {name}={value!r}" for name, value in given.items())
        images = [f"images = program.generate({COUNT}{said})"] if simple and all(map(str.isidentifier, given)) else []
        return "\n".join([*start, lines, *images])


def _whole(how: Mapping[str, Any], name: str, usual: int, most: int, least: int = 1) -> int:
    value = how.get(name, usual)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name}: expected a whole number from {least} to {most}, got {value!r:.60}")
    return value


def _bytes(x: Tensor) -> np.ndarray:
    """Images ``(n, C, H, W)`` of values in [0, 1] as bytes ``(n, H, W, 1 or 3)``."""
    x = x.detach().float().clamp(0, 1).mul(255).round().byte().movedim(-3, -1)
    return np.ascontiguousarray((x if x.shape[-1] in (1, 3) else x[..., :1]).numpy())


def _fitted(content: bytes, shape: tuple[int, int, int]) -> Tensor:
    """A file as the image of a training, ``(1, C, H, W)``."""
    try:
        from PIL import Image, ImageOps

        from pyro_priors.data import depths, listing
    except ModuleNotFoundError as error:
        raise ValueError(
            "image: expected the packages of the extra 'images', got none (pip install 'pyro-priors[images]')"
        ) from error
    channels, height, width = shape

    def opened() -> Any:
        return Image.open(io.BytesIO(content), formats=listing.formats())

    try:
        size = opened().size
        if size[0] * size[1] > MOST_PIXELS:
            raise ValueError(f"{size[0]} x {size[1]} pixels are too many")
        image = depths.plain(opened(), "the file", content, opened)[0].convert("L" if channels == 1 else "RGB")
    except Exception as error:  # bad bytes raise what any of Pillow's formats raises
        raise ValueError(f"image: expected a picture that can be read, got another file ({error!s:.100})") from None
    pixels = np.array(ImageOps.fit(image, (width, height))).reshape(height, width, -1)
    return torch.from_numpy(pixels).movedim(-1, 0).unsqueeze(0).float() / 255
