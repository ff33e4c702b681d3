"""The kinds of rows a dataset may hold, one module each."""

from trainer.ingest.kinds.base import Kind
from trainer.ingest.kinds.conversations import CONVERSATIONS
from trainer.ingest.kinds.instructions import INSTRUCTIONS
from trainer.ingest.kinds.labelled import LABELLED
from trainer.ingest.kinds.preferences import PREFERENCES
from trainer.ingest.kinds.prompts import PROMPTS
from trainer.ingest.kinds.text import TEXT
from trainer.ingest.kinds.text_to_text import TEXT_TO_TEXT

KINDS: dict[str, Kind] = {
    "text": TEXT,
    "instructions": INSTRUCTIONS,
    "conversations": CONVERSATIONS,
    "text-to-text": TEXT_TO_TEXT,
    "labelled": LABELLED,
    "preferences": PREFERENCES,
    "prompts": PROMPTS,
}

__all__ = ["KINDS", "Kind"]
