"""Addresses of pipelines."""

from django.urls import path

from trivium.pipelines import views, views_new, views_steps

app_name = "pipelines"
HERE = "p/<slug:slug>/pipelines/"
ONE = HERE + "<int:pk>/"
STEP = ONE + "steps/<slug:name>/"
urlpatterns = [
    path(HERE, views.list_pipelines, name="list"),
    path(HERE + "new/", views_new.three_stages, name="new"),
    path(HERE + "new/yaml/", views_new.from_yaml, name="new-yaml"),
    path(ONE, views.pipeline_detail, name="detail"),
    path(ONE + "yaml/", views.download_yaml, name="yaml"),
    path(ONE + "round/", views.next_round, name="round"),
    path(ONE + "cancel/", views.cancel, name="cancel"),
    path(ONE + "delete/", views.delete, name="delete"),
    path(STEP + "retry/", views_steps.retry, name="retry"),
    path(STEP + "edit/", views_steps.edit, name="edit"),
]
