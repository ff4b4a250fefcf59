"""What models share: knobs, networks, steps, answers, images."""
