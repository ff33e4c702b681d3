"""People, their API tokens and one-time sign-in links."""
