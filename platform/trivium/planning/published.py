"""Well-known models, to hold a plan against."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """One published model."""

    name: str
    parameters: float
    tokens: float | None
    """None where its makers do not say."""
    source: str


MODELS = (
    Published(
        "nanochat d20", 0.561e9, 11.2e9,
        "karpathy/nanochat, October 2025: about $100 of eight H100",
    ),
    Published("TinyLlama 1.1B", 1.1e9, 3e12, "Zhang et al. 2024, arXiv:2401.02385"),
    Published(
        "GPT-2 1.5B", 1.558e9, None,
        "Radford et al. 2019, who do not say how many tokens it read",
    ),
    Published("Llama 2 7B", 7e9, 2e12, "Touvron et al. 2023, arXiv:2307.09288"),
    Published("Llama 2 13B", 13e9, 2e12, "Touvron et al. 2023, arXiv:2307.09288"),
    Published(
        "Chinchilla 70B", 70e9, 1.4e12, "Hoffmann et al. 2022, arXiv:2203.15556"
    ),
    Published("Llama 2 70B", 70e9, 2e12, "Touvron et al. 2023, arXiv:2307.09288"),
    Published(
        "GPT-3 175B", 174.6e9, 300e9, "Brown et al. 2020, arXiv:2005.14165, table D.1"
    ),
)  # fmt: skip
