"""The engine behind the playground and the OpenAI API: `python -m inference`.

`engine` owns the device: one thread that steps every runner. A runner holds one loaded
model: `decoder` (many sequences at once, our own forward pass), `library` (any decoder
transformers knows), `encoder_decoder`; `encoder` and `scoring` answer at once instead
of token by token. `registry` loads and unloads models within a memory budget,
`prompts` renders what they see, `answering` streams what they say, and `server` speaks
HTTP to the web.
"""

ENGINE = "trivium-engine 1"
"""Raised whenever the same request may be answered with other tokens than before."""
