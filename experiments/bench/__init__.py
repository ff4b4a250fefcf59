"""Speed and memory, measured against the textbook and against the arithmetic that cannot be avoided."""
