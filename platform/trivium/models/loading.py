"""How a downloaded model is loaded and tried, as a few lines of Python."""

from trivium.models.models import LanguageModel

CAUSAL = """\
ids = tokenizer("Once", return_tensors="pt")
print(tokenizer.decode(model.generate(**ids, max_new_tokens=40)[0]))"""
CHAT = """\
chat = [{"role": "user", "content": "Who are you?"}]
ids = tokenizer.apply_chat_template(
    chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
)
print(tokenizer.decode(model.generate(**ids, max_new_tokens=40)[0]))"""
MASKED = """\
ids = tokenizer(f"Once upon a {tokenizer.mask_token}.", return_tensors="pt")
at = (ids["input_ids"][0] == tokenizer.mask_token_id).nonzero()[0]
print(tokenizer.decode(model(**ids).logits[0, at].argmax(-1)))"""
CLASSES = """\
ids = tokenizer("A fine film.", return_tensors="pt")
best = model(**ids).logits[0].argmax().item()
print(model.config.id2label[best])"""
NO_HEAD = """\
ids = tokenizer("Once", return_tensors="pt")
print(model(**ids).last_hidden_state.shape)"""
USES = {
    "AutoModelForCausalLM": CAUSAL,
    "AutoModelForSeq2SeqLM": CAUSAL,
    "AutoModelForMaskedLM": MASKED,
    "AutoModelForSequenceClassification": CLASSES,
}


def loading_code(model: LanguageModel, folder: str) -> str:
    """Return what to type where transformers is installed."""
    loader = model.loader
    use = USES.get(loader, NO_HEAD)
    is_chatty = model.recognised.get("has_chat_template", model.stage == "instruct")
    if loader == "AutoModelForCausalLM" and is_chatty:
        use = CHAT
    return f"""from transformers import {loader}, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{folder}")
model = {loader}.from_pretrained("{folder}")

{use}"""
