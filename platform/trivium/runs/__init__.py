"""Units of queued work, their attempts, checkpoints and states."""
