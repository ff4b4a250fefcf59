"""Data: pictures in memory, what their labels mean, and where both are read from."""
