"""The papers' tables: specs, one runner, and the pages made of results."""
