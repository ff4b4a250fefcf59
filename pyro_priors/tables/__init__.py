"""Tables with gaps: what their columns are, the joint law of a row, and answers from it."""
