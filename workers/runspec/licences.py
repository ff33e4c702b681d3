"""Licences as the Hub's model cards name them."""

import json

LICENCES: dict[str, str] = {
    "apache-2.0": "Apache 2.0",
    "mit": "MIT",
    "bsd-3-clause": "BSD 3-Clause",
    "cc0-1.0": "CC0 1.0 (public domain)",
    "cc-by-4.0": "CC BY 4.0",
    "cc-by-sa-4.0": "CC BY-SA 4.0",
    "cc-by-nc-4.0": "CC BY-NC 4.0",
    "cc-by-nc-sa-4.0": "CC BY-NC-SA 4.0",
    "gpl-3.0": "GPL 3.0",
    "agpl-3.0": "AGPL 3.0",
    "lgpl-3.0": "LGPL 3.0",
    "mpl-2.0": "MPL 2.0",
    "openrail": "OpenRAIL",
    "gemma": "Gemma",
    "llama2": "Llama 2",
    "llama3": "Llama 3",
    "llama3.1": "Llama 3.1",
    "llama3.2": "Llama 3.2",
    "unlicense": "The Unlicense",
    "unknown": "Unknown",
}
"""What the Hub calls a licence → what people call it. Any other text is `other`."""
LICENCE_KEYS = ("license", "license_name", "license_link")


def licence_lines(licence: str) -> list[str]:
    """Return the lines of a card's front matter that say under which licence it is."""
    if not licence:
        return []
    if licence.lower() in LICENCES:
        return [f"license: {licence.lower()}"]
    # JSON's strings are YAML's too, whatever a person wrote into them.
    return ["license: other", f"license_name: {json.dumps(licence)}"]
