"""Commands on trainable models, one a file: quickstart, train, resume, evaluate, sample, impute."""
