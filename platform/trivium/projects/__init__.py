"""Projects own everything; people are members with a role."""
