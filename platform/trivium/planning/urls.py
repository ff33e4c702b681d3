"""Addresses of the planner."""

from django.urls import path

from trivium.planning import views

app_name = "planning"
urlpatterns = [
    path("p/<slug:slug>/plan/", views.show_plan, name="plan"),
    path("p/<slug:slug>/plan/factors/", views.edit_factors, name="factors"),
]
