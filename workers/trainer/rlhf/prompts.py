"""What a policy is asked: the prompts of datasets, encoded as it sees them."""

from typing import Any, NamedTuple


class Asked(NamedTuple):
    """One prompt."""

    ids: list[int]
    """As the policy sees it, up to where the assistant begins to speak."""
    messages: list[dict[str, Any]]
    """The conversation so far."""
    reference: str = ""
    """How the dataset itself answers; empty where it does not."""
    name: str = ""
    """Where it stands, like `row 3 of prompts.jsonl`."""

    @property
    def text(self) -> str:
        """The last thing a person said."""
        said = [one["content"] for one in self.messages if one["role"] == "user"]
        return str(said[-1] or "") if said else ""
