"""Chat templates, rendered where they can do no harm.

A template comes with a model or from a person: it is a program of unknown origin. It
runs in a child process with limits on memory, time and output (`sandbox.child`);
web and trainers talk to that through `sandbox.render`.
"""
