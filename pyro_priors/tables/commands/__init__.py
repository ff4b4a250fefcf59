"""One command of `pyro-priors` a file: its flags as a frozen dataclass, and `main`."""
