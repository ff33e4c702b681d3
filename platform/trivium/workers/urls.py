"""Addresses of workers."""

from django.urls import path

from trivium.workers import views

app_name = "workers"
urlpatterns = [path("workers/", views.list_workers, name="list")]
