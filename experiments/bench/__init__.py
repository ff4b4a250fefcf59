"""Speed and memory, measured against the textbook and against bare matrix products."""
