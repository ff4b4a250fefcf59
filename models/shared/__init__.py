"""What models share: knobs, networks, steps, answers, pictures."""
