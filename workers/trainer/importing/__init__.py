"""The import stage: a model made elsewhere, checked file by file and kept.

Nothing is imported here: the child that downloads starts without torch.
"""
