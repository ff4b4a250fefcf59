"""The papers: tables as specs over one runner, figures, benchmarks, results; and the command line of them all."""
