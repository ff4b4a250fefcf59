"""What the rows of a table were given, read from the configurations of their runs; where rows differ, it says so."""

from experiments.answers import counted
from experiments.protocol import PROTOCOL, item
from pyro_priors.modules.latents import COMPONENTS

UNRECORDED = "their number is not recorded, so that equal care is not shown"


def lines(table, rows):
    """The protocol of a table, an item for each thing that a comparison rests on."""
    aspects = {
        "Networks": networks,
        "Training": training,
        "Rate of the prior": prior_rate,
        "Start of the prior": start,
        "Size of the prior": size,
        "Seeds": lambda row: f"{', '.join(map(str, row.by_seed))}",
        "Weights": weights,
        "Trials of tuning": lambda row: table.tuned.get(row.cell.key[0], UNRECORDED),
    }
    said = []
    for title, read in aspects.items():
        texts = [(row, text) for row in rows if (text := read(row))]
        every = [row for row, _ in texts]
        said.append(item(title, texts, lambda some, every=every: names(some, every)))
    return [PROTOCOL, *filter(None, said)]


def names(rows, every):
    """Rows by their titles; all that share a first or a last title by that alone.

    Args:
        rows: those to name.
        every: all of the table, `rows` among them.
    """
    left, said = list(rows), []
    for place in (0, -1):
        for title in dict.fromkeys(row.cell.titles[place] for row in left if not row.cell.label):
            own = [row for row in every if row.cell.titles[place] == title]
            if len(own) > 1 and all(any(row is other for other in left) for row in own):
                said.append(title)
                left = [row for row in left if row.cell.titles[place] != title]
    return "; ".join([*said, *(row.cell.called for row in left)])


def config(row):
    """Of its first seed; the others differ from it in the seed alone."""
    return row.results[0]["config"]


def networks(row):
    """Kind and size of the networks, and of the latents."""
    knobs = config(row)
    hidden, channels = knobs.get("hidden"), knobs.get("channels")
    words = [f"dense layers of {', '.join(map(str, hidden))}"] if hidden else []
    if "pixel_layers" in knobs:
        words.append(f"a PixelCNN of {knobs['pixel_layers']} layers of {channels} channels")
    elif channels and not hidden:
        words.append(f"convolutions from {channels} channels")
    words += [f"{knobs['latent_dim']} latents"] if "latent_dim" in knobs else []
    return ", ".join(words)


def training(row):
    """Epochs, batches, rate and what belongs to these."""
    knobs = config(row)
    words = [f"{knobs['epochs']} epochs of batches of {knobs['batch_size']}"]
    words += [f"{knobs['prior_epochs']} more of the prior alone"] if knobs.get("prior_epochs") else []
    words += (
        [f"{counted(knobs['critic_steps'], 'step')} of the critic for each of the generator"]
        if "critic_steps" in knobs
        else []
    )
    words += [f"Adam {knobs['lr']:g}{', falling to 0' if knobs.get('decay') else ''}"] if "lr" in knobs else []
    words += [f"critic {knobs['critic_lr']:g}"] if knobs.get("critic_lr") else []
    words += [f"KL warm-up over {knobs['warmup_epochs']}"] if knobs.get("warmup_epochs") else []
    short = (knobs.get("patience") or knobs["epochs"]) < knobs["epochs"]  # so that it can stop a training
    words += [f"stopped after {knobs['patience']} epochs without a gain"] if short else []
    return ", ".join(words)


def prior_rate(row):
    """Of Adam; none where nothing of the prior is learnt."""
    knobs = config(row)
    return f"{knobs['prior_lr']:g}" if "prior_lr" in knobs and parameters(row) != 0 else ""


def start(row):
    """Where the prior starts, and the networks where these have been trained before."""
    knobs = config(row)
    words = ["networks of a run without labels"] if knobs.get("pretrained") else []
    if not ({"prior_lr", "fixed"} & knobs.keys() and (parameters(row) != 0 or knobs.get("fixed"))):  # N(0, I)
        return ", ".join(words)
    words += [{"mixture": "as a mixture", "noise": "from noise"}.get(knobs.get("init"), "as it is made")]
    if "standard_start" in knobs:
        brought = "brought to" if knobs["standard_start"] else "not brought to"
        words.append(f"{brought} mean 0 and standard deviation 1")
    if knobs.get("reinit_first") is not None:
        again = f", again every {knobs['reinit_every']} epochs" if knobs.get("reinit_every") else ""
        words.append(f"set from codes after epoch {knobs['reinit_first']}{again}")
    return ", ".join(words) + (", then fixed" if knobs.get("fixed") else "")


def size(row):
    """What decides the size of a prior, and its parameters."""
    knobs, count = config(row), parameters(row)
    if "latent_dim" not in knobs or (count == 0 and not knobs.get("fixed")):
        return "none" if count == 0 else ""
    words = {"components": "components", "rank": "rank", "categories": "categories"}
    words |= {"pseudo_inputs": "pseudo-inputs", "layers": "couplings", "block_size": "vectors of"}
    known, knobs = [], knobs | {"components": components(knobs)}
    for knob, word in words.items():
        if isinstance(value := knobs.get(knob), (int, list, tuple)):
            known.append(f"{word} {value if isinstance(value, int) else ', '.join(map(str, value))}")
    if knobs.get("block_size") == "auto" and of_vectors(knobs):
        known.append("vectors of latents")
    if knobs.get("covariance") == "full" and ("rank" not in knobs or of_vectors(knobs)):  # one number has none
        known.append("full covariances")
    return ", ".join([*known, *([] if count is None else [f"{count:,} parameters"])])


def of_vectors(knobs):
    """Whether the latents of a chain are vectors, and no lattice of scalars."""
    block = knobs.get("block_size")
    return block is not None and not (block == "auto" and (knobs.get("cores") == "full" or knobs.get("components")))


def components(knobs):
    """Gaussians of a variable, also where a configuration leaves their number open; None: a bond's states, or none.

    Example:
        >>> lattice = {"rank": 20, "components": None, "block_size": None}
        >>> components(lattice), components(lattice | {"components": 5}), components(lattice | {"block_size": 16})
        (10, 5, None)
    """
    own = "rank" in knobs and "components" in knobs and (not of_vectors(knobs) or knobs.get("cores") == "full")
    return COMPONENTS if own and knobs["components"] is None else knobs.get("components")


def parameters(row):
    """Those of the prior that are learnt; None of results that do not say it."""
    return row.results[0].get("parameters", {}).get("prior")


def weights(row):
    """Which epoch's weights are scored; only models whose losses of different epochs compare can stop early by them."""
    if "patience" in config(row):
        return "of the epoch that is best on the validation part"
    return "of the last epoch"
