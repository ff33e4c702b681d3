"""Curves of runs, in a database of their own where it is SQLite."""
