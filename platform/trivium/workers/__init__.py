"""Hosts that carry out runs, and their devices."""
