"""Serve models to the web: `python -m inference --listen 127.0.0.1:0 --cache-dir D`.

The node's key is read from TRIVIUM_NODE_KEY. Once ready, one line of JSON on standard
output tells the address, {"url"}. The node ends when its standard input does, so that
it never outlives who started it.
"""

import argparse
import json
import logging
import os
import platform
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from inference.machine import (
    GIGABYTE,
    cache_kernels,
    choose_device,
    engine_name,
    half_of_memory,
)

KEY_VARIABLE = "TRIVIUM_NODE_KEY"
GRACE_S = 5.0


def main(argv: list[str]) -> int:
    """Serve until standard input ends."""
    options = parse(argv)
    key = os.environ.pop(KEY_VARIABLE, "")
    if not key:
        sys.stderr.write(f"{KEY_VARIABLE} is not set: nobody could be let in\n")
        return 2
    os.environ["HF_HUB_OFFLINE"] = "1"
    cache_kernels(options.cache_dir)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.captureWarnings(capture=True)
    ending = Ending()
    threading.Thread(target=ending.watch, daemon=True).start()
    serve(options, key, ending)
    return 0


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m inference")
    parser.add_argument("--listen", default="127.0.0.1:0", help="host:port; 0: any")
    parser.add_argument("--device", default="auto", help="cpu, cuda:0, … or auto")
    parser.add_argument(
        "--memory-gb", type=float, default=0.0, help="for models; 0: half of it"
    )
    parser.add_argument("--cache-dir", type=Path, required=True)
    parser.add_argument("--max-waiting", type=int, default=0)
    return parser.parse_args(argv)


def serve(options: argparse.Namespace, key: str, ending: "Ending") -> None:
    """Build the node and answer."""
    import torch
    import uvicorn
    from transformers.utils import logging as transformers_logging

    from inference.decoder.cpu_pass import compile_kernels
    from inference.engine import Engine
    from inference.node import MAX_WAITING, Node
    from inference.prompts import Templates
    from inference.registry import Registry
    from inference.server import application

    transformers_logging.disable_progress_bar()
    device = choose_device() if options.device == "auto" else options.device
    options.cache_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = Engine()
    registry = Registry(
        engine,
        Templates(),
        engine_name=engine_name(device),
        device=device,
        memory_bytes=int(options.memory_gb * GIGABYTE) or half_of_memory(device),
        cache=options.cache_dir,
    )
    is_cpu = torch.device(device).type == "cpu"
    if is_cpu:
        compile_kernels()
    name = platform.processor() or platform.machine()
    node = Node(
        engine,
        registry,
        device_name=name if is_cpu else torch.cuda.get_device_name(device),
        max_waiting=options.max_waiting or MAX_WAITING,
    )
    host, _, port = options.listen.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host.strip("[]"), int(port)), family=family)

    def say_where() -> None:
        chosen = listener.getsockname()[1]
        print(json.dumps({"url": f"http://{host}:{chosen}"}), flush=True)
        # Nobody reads on: what a library prints must not fill the pipe.
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    app = application(node, key=key, ready=say_where)
    server = uvicorn.Server(
        uvicorn.Config(
            app, log_level="warning", access_log=False, timeout_graceful_shutdown=1
        )
    )
    ending.server = server
    server.run(sockets=[listener])


class Ending:
    """Ends this process with its standard input, gently where it serves already."""

    server: Any = None

    def watch(self) -> None:
        """Wait for the end of standard input."""
        while os.read(sys.stdin.fileno(), 4096):
            pass
        if self.server is not None:
            self.server.should_exit = True
            time.sleep(GRACE_S)
        os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
