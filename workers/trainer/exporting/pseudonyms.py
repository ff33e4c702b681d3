"""Names of people that are the same in one export, and lead to nobody."""

import hmac
import secrets
import uuid


class Pseudonyms:
    """A keyed hash; the key is random, in memory only, and gone with the export.

    Without it not even somebody who has a list of all names can try them out. UUIDs,
    since that is what some tools take for a user.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def of(self, name: str) -> str:
        """Return what stands for a name."""
        digest = hmac.digest(self._key, name.encode(), "sha256")
        return str(uuid.UUID(bytes=digest[:16], version=4))
