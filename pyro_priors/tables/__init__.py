"""Tables with gaps: a joint law of their columns, fitted to what is known, that answers what is not."""
