"""Training stages. Each runs from a shell with a spec file, and knows no web.

Nothing heavy is imported here: ingest and tokenizer runs start without torch.
"""
