"""Carrying out runs on a host: the only place that knows web and trainer both.

`node` is the worker of one host; `tasks` is what the bell calls; `__main__` supervises
one attempt in a process of its own, which outlives the node.
"""
