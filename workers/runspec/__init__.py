"""The shared vocabulary of web and workers: specs, events, checkpoint manifests.

Only pydantic is imported here, so that every process can afford it.
"""

from runspec.base import Spec, parse_spec
from runspec.ingest import IngestSpec
from runspec.pretrain import PretrainSpec
from runspec.tokenizer import TokenizerSpec

RunSpec = IngestSpec | TokenizerSpec | PretrainSpec

SPECS: dict[str, type[Spec]] = {
    "ingest": IngestSpec,
    "tokenizer": TokenizerSpec,
    "pretrain": PretrainSpec,
}

__all__ = [
    "SPECS",
    "IngestSpec",
    "PretrainSpec",
    "RunSpec",
    "Spec",
    "TokenizerSpec",
    "parse_spec",
]
