"""The room of the inference engine: serves the registry's models, with torch.

Nothing lives here yet; a trainer's own samples come from `trainer.generate`.
"""
