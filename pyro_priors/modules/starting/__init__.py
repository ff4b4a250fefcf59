"""Where priors start: mixtures fitted to codes and attributes, and the tables they make."""
