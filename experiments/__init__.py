"""Runs: data, configurations, the command line, tables and figures (`python -m experiments`)."""
