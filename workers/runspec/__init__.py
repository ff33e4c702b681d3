"""The shared vocabulary of web and workers: specs, events, checkpoint manifests.

Only pydantic is imported here, so that every process can afford it.
"""

from runspec.align import DpoSpec, RewardSpec
from runspec.base import Spec, parse_spec
from runspec.evaluate import EvaluateSpec
from runspec.export import ExportSpec
from runspec.generate import GenerateSpec
from runspec.import_model import ImportSpec
from runspec.ingest import IngestSpec
from runspec.judge import JudgeSpec
from runspec.preflight import PreflightSpec
from runspec.pretrain import PretrainSpec
from runspec.rlhf import RlhfSpec
from runspec.sft import SftSpec
from runspec.tokenizer import TokenizerSpec

RunSpec = (
    IngestSpec
    | TokenizerSpec
    | PretrainSpec
    | SftSpec
    | DpoSpec
    | RewardSpec
    | RlhfSpec
    | PreflightSpec
    | ImportSpec
    | GenerateSpec
    | JudgeSpec
    | EvaluateSpec
    | ExportSpec
)

Tuning = SftSpec | DpoSpec | RewardSpec | RlhfSpec
"""Runs that teach a model something, all by the machinery of fine-tuning."""

SPECS: dict[str, type[Spec]] = {
    "ingest": IngestSpec,
    "tokenizer": TokenizerSpec,
    "pretrain": PretrainSpec,
    "sft": SftSpec,
    "dpo": DpoSpec,
    "reward": RewardSpec,
    "rlhf": RlhfSpec,
    "preflight": PreflightSpec,
    "import": ImportSpec,
    "generate": GenerateSpec,
    "judge": JudgeSpec,
    "evaluate": EvaluateSpec,
    "export": ExportSpec,
}

__all__ = [
    "SPECS",
    "DpoSpec",
    "EvaluateSpec",
    "ExportSpec",
    "GenerateSpec",
    "ImportSpec",
    "IngestSpec",
    "JudgeSpec",
    "PreflightSpec",
    "PretrainSpec",
    "RewardSpec",
    "RlhfSpec",
    "RunSpec",
    "SftSpec",
    "Spec",
    "TokenizerSpec",
    "Tuning",
    "parse_spec",
]
