"""Evaluations: what came of training, measured side by side."""
