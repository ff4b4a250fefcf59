"""The joint law of a table's rows."""
