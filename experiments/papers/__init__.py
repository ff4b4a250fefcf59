"""Figures of the papers, as commands that train what they need."""
