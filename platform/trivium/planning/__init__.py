"""Planning: what a training run will cost, before it is started."""
