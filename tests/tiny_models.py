"""Real models of a few thousand parameters, as transformers writes them."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuv"]


def write_tokenizer(folder: Path, *, num_tokens: int = len(VOCABULARY)) -> None:
    """Write a tokenizer of single letters."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = VOCABULARY[:num_tokens]
    words += [f"w{number}" for number in range(num_tokens - len(words))]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        eos_token="[SEP]",
    ).save_pretrained(folder)


def write_model(folder: Path, family: str, **changes: object) -> Path:
    """Write a tiny `llama`, `bert`, `polarity` (a classifier) or `t5`."""
    import torch
    import transformers as hf
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(7)
    common = {
        "vocab_size": 32,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 64,
    }
    if family == "llama":
        model = hf.LlamaForCausalLM(hf.LlamaConfig(**common | changes))
    elif family == "bert":
        model = hf.BertForMaskedLM(hf.BertConfig(**common | changes))
    elif family == "polarity":
        model = hf.BertForSequenceClassification(hf.BertConfig(**common | changes))
    else:
        config = hf.T5Config(
            vocab_size=32, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2,
            feed_forward_proj="gated-gelu", decoder_start_token_id=0,
        )  # fmt: skip
        model = hf.T5ForConditionalGeneration(config)
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def edit_json(path: Path, **changes: object) -> None:
    """Change some keys of a JSON file; None removes one."""
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in values.items() if v is not None}))


def as_zip(folder: Path, target: Path, *, top: str = "model/") -> Path:
    """Pack a folder."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"{top}{path.name}")
    return target


def as_tar(folder: Path, target: Path, *, mode: str = "w:gz") -> Path:
    """Pack a folder another way."""
    with tarfile.open(target, mode) as archive:
        archive.add(folder, arcname="model")
    return target


def zip_of(members: dict[str, bytes]) -> bytes:
    """Return a zip with these members."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return sink.getvalue()
