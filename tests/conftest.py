"""What every test finds."""

import torch


def pytest_runtest_setup():
    """One thread: a benchmark sets its own number and leaves it, and the small networks of the tests only wait."""
    torch.set_num_threads(1)
