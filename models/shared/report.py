"""What `evaluate` says of a model, for people."""


def lines(results):
    """What models and judges say of a part of the data, in a line each."""
    return [line for part in (_bounds, _draws, _clusters, _imputation, _judges) for line in part(results)]


def _bounds(results):
    if "elbo" not in results:
        return
    yield f"ELBO {results['elbo']:.2f} +- {_se(results['elbo_se'])} nats"
    yield f"IWAE {results['iwae']:.2f} +- {_se(results['iwae_se'])} nats (k = {results['particles']})"
    if results["pareto_k"] is not None:
        yield f"Images whose importance weights are unreliable (Pareto k-hat > 0.7): {results['pareto_k']:.1%}"


def _draws(results):
    if "critic_real" in results:
        yield f"critic: {results['critic_real']:.3f} for real, {results['critic_fake']:.3f} for generated images"
    if "modes" in results:
        yield f"{results['modes']} modes, {results['good']:.1%} good points, balance {results['balance']:.3f}"
    if "skl" in results:
        yield f"sKL {results['skl']:.3f} +- {_se(results['skl_se'])} nats, squared MMD {results['squared_mmd']:.2g}"


def _clusters(results):
    if match := results.get("clusters"):
        yield (
            f"clusters: accuracy {match['accuracy']:.2%} (majority label {match['majority_accuracy']:.2%}), NMI "
            f"{match['nmi']:.3f}, {match['used']} categories used"
        )


def _imputation(results):
    for name, answer in results.get("imputation", {}).items():
        if not answer["count"]:
            yield f"{name}: unknown in every image"
        elif "rmse" in answer:
            yield f"{name}: root mean square error {answer['rmse']:.4g}"
        else:
            yield (
                f"{name}: accuracy {answer['accuracy']:.2%} (majority class {answer['majority']:.2%}), log-loss "
                f"{answer['log_loss']:.4f}, ECE {answer['ece']:.4f}"
            )


def _judges(results):
    if judged := results.get("conditions"):
        yield f"condition accuracy {judged['mean_accuracy']:.2%}, Frechet distance {judged['frechet']:.3f}"
        yield f"(the judge itself is right on {judged['judge']['accuracy']:.2%} of its test labels)"
    if judged := results.get("generated"):
        yield f"Frechet distance {judged['frechet']:.3f} ({judged['count']} images each)"
    if judged := results.get("inception"):
        yield f"FID {judged['frechet']:.2f} ({judged['count']} images each)"
    if judged := results.get("efficientnet"):
        yield f"Frechet distance by EfficientNet-Lite0 {judged['frechet']:.2f} ({judged['count']} images each)"


def _se(error):
    return "?" if error is None else f"{error:.2f}"
