"""What a law believes of gaps, rows and columns."""
