"""Addresses of datasets."""

from django.urls import path

from trivium.datasets import views

app_name = "datasets"
urlpatterns = [
    path("p/<slug:slug>/data/", views.list_datasets, name="list"),
    path("p/<slug:slug>/data/new/", views.create_dataset, name="new"),
    path("p/<slug:slug>/data/sample/", views.add_sample, name="sample"),
    path("p/<slug:slug>/data/<int:pk>/", views.dataset_detail, name="detail"),
    path(
        "p/<slug:slug>/data/versions/<int:pk>/delete/",
        views.delete_version,
        name="version-delete",
    ),
]
