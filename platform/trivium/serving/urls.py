"""Addresses of endpoints."""

from django.urls import path

from trivium.serving import views

app_name = "serving"
ONE = "endpoints/<int:pk>/"
urlpatterns = [
    path("endpoints/", views.list_endpoints, name="endpoints"),
    path("endpoints/try/", views.try_endpoint, name="endpoint-try"),
    path(ONE, views.edit_endpoint, name="endpoint"),
    path(f"{ONE}refresh/", views.refresh_endpoint, name="endpoint-refresh"),
    path(f"{ONE}delete/", views.delete_endpoint, name="endpoint-delete"),
]
