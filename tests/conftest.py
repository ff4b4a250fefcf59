"""What every test finds."""

import signal

import torch


def pytest_runtest_setup():
    """Laws check what they are given, on one thread.

    A benchmark sets its own number and leaves it, and the small networks of the tests only wait.
    """
    torch.set_num_threads(1)
    torch.distributions.Distribution.set_default_validate_args(True)  # `torch.compile` switches it off for good


# A shell's background jobs start with Ctrl-C ignored, and so would be what the tests of it train.
signal.signal(signal.SIGINT, signal.default_int_handler)
