"""Models people can talk to: where they run, and the way there."""
