"""Template filters of the datasets app."""
