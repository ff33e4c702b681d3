"""Secrets of this installation: what nodes are let in by, and keys kept at rest.

All are derived from SECRET_KEY, each for one purpose, so that knowing one tells
nothing of another. `SECRET_KEY_FALLBACKS` still open what older keys closed.
"""

import base64
import hashlib
import hmac

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

NODE = b"trivium inference node"
ENDPOINT_KEY = b"trivium endpoint key"


class UnreadableKeyError(ValueError):
    """A key at rest was encrypted under a SECRET_KEY this installation lost."""


def node_key() -> str:
    """Return what a node asks of whoever calls it (`NODE_KEY_HEADER`)."""
    return _derived(settings.SECRET_KEY, NODE).hex()


def encrypt_key(api_key: str) -> bytes:
    """Return an API key as it is stored; nothing stays nothing."""
    return _cipher().encrypt(api_key.encode()) if api_key else b""


def decrypt_key(stored: bytes) -> str:
    """Return a stored API key.

    Raises:
        UnreadableKeyError: SECRET_KEY is another one than when it was stored.
    """
    if not stored:
        return ""
    try:
        return _cipher().decrypt(bytes(stored)).decode()
    except InvalidToken:
        raise UnreadableKeyError(
            "its API key cannot be read, since SECRET_KEY has changed; enter it again"
        ) from None


def _cipher() -> MultiFernet:
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    keys = [_derived(str(secret), ENDPOINT_KEY) for secret in secrets]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in keys])


def _derived(secret: str, purpose: bytes) -> bytes:
    return hmac.new(secret.encode(), purpose, hashlib.sha256).digest()
