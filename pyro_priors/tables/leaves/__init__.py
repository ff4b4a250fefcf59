"""Columns of codes as columns of the law: states and normal scores."""
