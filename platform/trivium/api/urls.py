"""Addresses of the API."""

from django.urls import path

from trivium.api.site import api

urlpatterns = [path("api/v1/", api.urls)]
