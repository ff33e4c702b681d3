"""Addresses of models."""

from django.urls import path

from trivium.models import views, views_import

app_name = "models"
MODELS = "p/<slug:slug>/models/"
urlpatterns = [
    path(MODELS, views.list_models, name="list"),
    path(MODELS + "new/", views.new_model, name="new"),
    path(MODELS + "import/", views_import.import_model, name="import"),
    path(MODELS + "<int:pk>/", views.model_detail, name="detail"),
    path(MODELS + "<int:pk>/download/", views.download_model, name="download"),
    path(MODELS + "<int:pk>/describe/", views.describe_model, name="describe"),
    path(MODELS + "<int:pk>/delete/", views.delete_model, name="delete"),
]
