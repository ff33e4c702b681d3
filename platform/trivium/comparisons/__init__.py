"""Answers put beside each other, and what people said of them."""
