"""The shared vocabulary of web and workers: specs, events, checkpoint manifests.

Only pydantic is imported here, so that every process can afford it.
"""

from runspec.base import Spec, parse_spec
from runspec.ingest import IngestSpec
from runspec.preflight import PreflightSpec
from runspec.pretrain import PretrainSpec
from runspec.sft import SftSpec
from runspec.tokenizer import TokenizerSpec

RunSpec = IngestSpec | TokenizerSpec | PretrainSpec | SftSpec | PreflightSpec

SPECS: dict[str, type[Spec]] = {
    "ingest": IngestSpec,
    "tokenizer": TokenizerSpec,
    "pretrain": PretrainSpec,
    "sft": SftSpec,
    "preflight": PreflightSpec,
}

__all__ = [
    "SPECS",
    "IngestSpec",
    "PreflightSpec",
    "PretrainSpec",
    "RunSpec",
    "SftSpec",
    "Spec",
    "TokenizerSpec",
    "parse_spec",
]
