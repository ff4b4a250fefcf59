"""Tables with holes: a joint law of the columns of a table, and calibrated answers from it."""
