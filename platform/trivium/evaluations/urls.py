"""Addresses of evaluations."""

from django.urls import path

from trivium.evaluations import views

app_name = "evaluations"
HERE = "p/<slug:slug>/evaluate/"
ONE = HERE + "<int:pk>/"
urlpatterns = [
    path(HERE, views.list_evaluations, name="list"),
    path(HERE + "new/", views.new_evaluation, name="new"),
    path(ONE, views.evaluation_detail, name="detail"),
    path(ONE + "export/", views.export_evaluation, name="export"),
    path(ONE + "delete/", views.delete, name="delete"),
]
