"""How a law comes from rows."""
