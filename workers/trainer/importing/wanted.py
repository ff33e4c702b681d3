"""Which files of a model are taken, and what is said of the others."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from trainer.errors import BadInputError
from trainer.importing.weights import CONVERT
from trainer.ingest.errors import listed

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
ADAPTER_CONFIG = "adapter_config.json"
WEIGHTS = ".safetensors"
TAKEN = {
    CONFIG, INDEX, ADAPTER_CONFIG, "generation_config.json",
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt",
    "spiece.model", "sentencepiece.bpe.model", "tokenizer.model",
    "source.spm", "target.spm", "chat_template.jinja", "chat_template.json",
    "README.md", "LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "NOTICE",
}  # fmt: skip
PICKLES = {
    "bin", "pt", "pth", "ckpt", "pkl", "pickle", "joblib", "npy", "npz", "mar",
}  # fmt: skip
OTHER_WEIGHTS = {"gguf", "ggml", "h5", "msgpack", "onnx", "ot", "tflite"}


def is_taken(name: str) -> bool:
    """Whether a file of this name may be part of a model."""
    return name in TAKEN or name.endswith(WEIGHTS)


def ending_of(name: str) -> str:
    """Return `bin` for `pytorch_model.bin`."""
    return PurePosixPath(name.lower()).suffix.removeprefix(".")


def refuse_weights(name: str) -> BadInputError | None:
    """Return why a single file of weights is not taken; None where it is none."""
    ending = ending_of(name)
    if ending in PICKLES:
        return BadInputError(
            f"{name} is, or may be, a pickle, which can run any program when it is "
            "opened; it was not. Only safetensors is taken",
            CONVERT,
        )
    if ending in OTHER_WEIGHTS:
        return BadInputError(
            f"{name} holds weights in the format {ending}; only safetensors is taken",
            CONVERT,
        )
    return None


def say_what_is_left(names: Iterable[str], *, has_weights: bool) -> list[str]:
    """Return a warning for each sort of file that is passed over.

    Raises:
        BadInputError: the only weights there are pickles, or of another format.
    """
    left = sorted(name for name in names if not is_taken(name))
    pickles = [name for name in left if ending_of(name) in PICKLES]
    others = [name for name in left if ending_of(name) in OTHER_WEIGHTS]
    code = [name for name in left if ending_of(name) in {"py", "so", "ipynb", "sh"}]
    if not has_weights and pickles + others:
        refusal = refuse_weights((pickles + others)[0])
        assert refusal is not None
        raise refusal
    said = []
    if pickles:
        said.append(f"pickles were passed over, unopened: {listed(pickles, 5)}")
    if others:
        said.append(f"weights in other formats were passed over: {listed(others, 5)}")
    if code:
        said.append(f"code was passed over; none is ever run here: {listed(code, 5)}")
    return said
