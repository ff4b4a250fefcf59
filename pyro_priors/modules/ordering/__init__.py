"""The order of a chain: paths along which neighbours have much in common."""
