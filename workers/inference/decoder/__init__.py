"""The fast way to answer on a CPU: one compiled pass over all sequences at once.

`kernels` are the loops, compiled by numba for the processor at hand, `weights` lays a
model's parameters out for them, `team` holds the threads that help, `cpu_pass` joins
these, `slots` keeps keys and values of what was read, and `runner` batches sequences as
they come and go.
"""
