# One image for web and workers. On a GPU host build with
#   docker compose build --build-arg TORCH_INDEX=<index of CUDA builds of PyTorch>
FROM python:3.11-slim-bookworm

ARG TORCH_INDEX=
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/app/platform:/app/workers
WORKDIR /app

# torch.compile needs a C++ compiler at run time.
RUN apt-get update && apt-get install -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*

COPY requirements requirements
RUN pip install --no-cache-dir ${TORCH_INDEX:+--index-url ${TORCH_INDEX}} torch==2.13.0 \
    && pip install --no-cache-dir -c requirements/constraints.txt -r requirements/workers.in

COPY manage.py ./
COPY platform platform
COPY workers workers
COPY templates templates

RUN useradd --system --create-home --uid 10001 trivium \
    && install -d -o trivium -g trivium /var/lib/trivium
USER trivium
VOLUME /var/lib/trivium
