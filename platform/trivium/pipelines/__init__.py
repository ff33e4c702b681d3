"""Pipelines: runs and campaigns that follow from each other, described once."""
