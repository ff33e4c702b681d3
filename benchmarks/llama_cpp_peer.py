"""The benchmark's model in llama.cpp, for `bench_inference.py`.

Needs `llama-cpp-python` and `gguf`, which nothing else here does.
"""

import time
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
from transformers import LlamaForCausalLM


def write_model(model: LlamaForCausalLM, file: Path) -> None:
    """Write a model with fp32 weights and no vocabulary."""
    config = model.config
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("none")
    weights = {name: one.detach().numpy() for name, one in model.named_parameters()}
    writer.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", weights["model.norm.weight"])
    writer.add_tensor("output.weight", weights["lm_head.weight"])
    names = {
        "input_layernorm": "attn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "post_attention_layernorm": "ffn_norm",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
    for layer in range(config.num_hidden_layers):
        for theirs, name in names.items():
            values = weights[f"model.layers.{layer}.{theirs}.weight"]
            if name in {"attn_q", "attn_k"}:
                values = interleaved(values, config.num_attention_heads)
            writer.add_tensor(f"blk.{layer}.{name}.weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def interleaved(weights: np.ndarray, heads: int) -> np.ndarray:
    """Order rows as llama.cpp rotates them: the two of a pair beside each other."""
    num_out, num_in = weights.shape
    halves = weights.reshape(heads, 2, num_out // heads // 2, num_in)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(num_out, num_in))


class Peer:
    """A model in llama.cpp, one token for each of some sequences at a time."""

    def __init__(self, file: Path, *, num_threads: int, num_sequences: int) -> None:
        llama_cpp.llama_backend_init()
        quiet = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(quiet, None)
        self._quiet = quiet
        held = llama_cpp.llama_model_default_params()
        self.model = llama_cpp.llama_model_load_from_file(str(file).encode(), held)
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx = 512 * num_sequences
        settings.n_batch = settings.n_ubatch = 512
        settings.n_seq_max = num_sequences
        settings.n_threads = settings.n_threads_batch = num_threads
        self.context = llama_cpp.llama_init_from_model(self.model, settings)
        self.vocab_size = llama_cpp.llama_vocab_n_tokens(
            llama_cpp.llama_model_get_vocab(self.model)
        )

    def step(self, tokens: list[tuple[int, int, int]]) -> list[int]:
        """Read (token, position, sequence) each; return the likeliest next ones."""
        batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for place, (token, position, sequence) in enumerate(tokens):
            batch.token[place] = token
            batch.pos[place] = position
            batch.n_seq_id[place] = 1
            batch.seq_id[place][0] = sequence
            batch.logits[place] = 1
        if llama_cpp.llama_decode(self.context, batch):
            raise RuntimeError("llama.cpp could not decode")
        best = []
        for place in range(len(tokens)):
            logits = llama_cpp.llama_get_logits_ith(self.context, place)
            row = np.ctypeslib.as_array(logits, shape=(self.vocab_size,))
            best.append(int(row.argmax()))
        llama_cpp.llama_batch_free(batch)
        return best

    def answer(self, prompts: list[list[int]], number: int) -> tuple[float, list[int]]:
        """Return tokens per second, and the first prompt's answer."""
        memory = llama_cpp.llama_get_memory(self.context)
        llama_cpp.llama_memory_clear(memory, True)
        began = time.perf_counter()
        last = []
        for sequence, prompt in enumerate(prompts):
            rows = [(token, place, sequence) for place, token in enumerate(prompt)]
            last.append(self.step(rows)[-1])
        answered = [last[0]]
        for more in range(number - 1):
            place = len(prompts[0]) + more
            last = self.step(
                [(token, place, sequence) for sequence, token in enumerate(last)]
            )
            answered.append(last[0])
        took = time.perf_counter() - began
        return len(prompts) * number / took, answered
