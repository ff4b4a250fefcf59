"""The papers' tables: results kept one file a run, and the pages made from them."""
