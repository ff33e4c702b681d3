"""Addresses of tokenizers."""

from django.urls import path

from trivium.tokenizers import views

app_name = "tokenizers"
TOKENIZERS = "p/<slug:slug>/tokenizers/"
urlpatterns = [
    path(TOKENIZERS, views.list_tokenizers, name="list"),
    path(TOKENIZERS + "new/", views.new_tokenizer, name="new"),
    path(TOKENIZERS + "<int:pk>/", views.tokenizer_detail, name="detail"),
    path(TOKENIZERS + "<int:pk>/try/", views.try_tokenizer, name="try"),
    path(TOKENIZERS + "<int:pk>/delete/", views.delete_tokenizer, name="delete"),
]
