"""Addresses of datasets."""

from django.urls import path

from trivium.datasets import views, views_exports, views_reading

app_name = "datasets"
urlpatterns = [
    path("p/<slug:slug>/data/", views.list_datasets, name="list"),
    path("p/<slug:slug>/data/new/", views.create_dataset, name="new"),
    path("p/<slug:slug>/data/sample/", views.add_sample, name="sample"),
    path("p/<slug:slug>/data/<int:pk>/", views.dataset_detail, name="detail"),
    path(
        "p/<slug:slug>/data/uploads/<int:pk>/", views_reading.read_upload, name="upload"
    ),
    path(
        "p/<slug:slug>/data/uploads/<int:pk>/forget/",
        views_reading.forget_upload,
        name="upload-forget",
    ),
    path(
        "p/<slug:slug>/data/versions/<int:pk>/rows.jsonl",
        views.download_rows,
        name="version-rows",
    ),
    path(
        "p/<slug:slug>/data/versions/<int:pk>/delete/",
        views.delete_version,
        name="version-delete",
    ),
    path(
        "p/<slug:slug>/data/versions/<int:pk>/exports/<str:name>",
        views_exports.download_export,
        name="version-export",
    ),
]
