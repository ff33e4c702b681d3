from serving_lab import make_model, make_node, model, node

__all__ = ["make_model", "make_node", "model", "node"]
