"""Addresses of tokenizers."""

from django.urls import URLPattern

app_name = "tokenizers"
urlpatterns: list[URLPattern] = []
