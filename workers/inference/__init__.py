"""The engine behind the playground and the OpenAI API: `python -m inference`.

`engine` owns the device: one thread that steps every runner. A runner holds one loaded
model: `decoder` (many sequences at once, our own forward pass), `library` (any decoder
transformers knows), `encoder_decoder`, `encoder`, `scoring`. `registry` loads and
unloads them within a memory budget, `prompts` renders what they see, `server` speaks
HTTP to the web.
"""
