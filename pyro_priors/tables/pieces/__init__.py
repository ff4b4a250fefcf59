"""Tables that outgrow memory: files read in pieces, rows drawn from all of them, gaps filled piece by piece."""
