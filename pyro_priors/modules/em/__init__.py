"""EM of a chain that is there: expected counts from gradients, and the parameters that they make most probable."""
