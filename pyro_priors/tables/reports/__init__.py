"""What is said of a table and of its filling, as texts, files and pictures."""
