"""Addresses of the planner."""

from django.urls import path

from trivium.planning import views, views_costs

app_name = "planning"
urlpatterns = [
    path("p/<slug:slug>/plan/", views.show_plan, name="plan"),
    path("p/<slug:slug>/plan/factors/", views.edit_factors, name="factors"),
    path("p/<slug:slug>/plan/costs/", views_costs.show_costs, name="costs"),
    path("p/<slug:slug>/plan/budget/", views_costs.set_budget, name="budget"),
]
