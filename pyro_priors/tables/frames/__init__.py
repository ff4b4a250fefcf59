"""A user's table, whatever holds it, as codes, and back: cells, schema, files."""
