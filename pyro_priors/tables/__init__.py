"""Tables with gaps: an estimator that fills them, and says how sure it is."""
