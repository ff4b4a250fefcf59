"""`table density`: mean log-density of test rows of binary tables, beside rivals on the same splits."""
