"""Immutable, versioned tables of rows."""
