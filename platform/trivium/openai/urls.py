"""Addresses of the OpenAI-compatible API."""

from django.urls import path, re_path

from trivium.openai import views

app_name = "openai"
urlpatterns = [
    path("v1/models", views.list_models, name="models"),
    path("v1/models/<path:model_id>", views.show_model, name="model"),
    path("v1/chat/completions", views.chat_completions, name="chat"),
    path("v1/completions", views.completions, name="completions"),
    path("v1/embeddings", views.embeddings, name="embeddings"),
    re_path(r"^v1(?:/.*)?$", views.not_found, name="not-found"),
]
