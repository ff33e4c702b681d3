"""Tokenizers trained here or imported."""
