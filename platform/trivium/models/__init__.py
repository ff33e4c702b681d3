"""The registry of models: weights, config, tokenizer, card, lineage."""
