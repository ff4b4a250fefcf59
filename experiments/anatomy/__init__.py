"""What the parts of a trained prior carry: each is taken away from a copy, and the figures are measured again."""
