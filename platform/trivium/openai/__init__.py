"""The OpenAI-compatible API: `/v1/…`, in the official shapes."""
