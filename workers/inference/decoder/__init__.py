"""The fast way to answer: one pass over all sequences at once.

On a CPU, `kernels` are the loops, compiled by numba for the processor at hand,
`weights` lays a model's parameters out for them, `team` holds the threads that help,
and `cpu_pass` joins these. On a GPU, `torch_pass` computes and `device_sampling`
chooses. `slots` keeps keys and values of what was read. `runner` batches sequences as
they come and go, `ahead` does so one pass ahead of what the host knows, and `making`
decides which of them answers with a model.
"""
