"""Addresses of projects and members."""

from django.urls import path

from trivium.projects import views

app_name = "projects"
urlpatterns = [
    path("projects/new/", views.create_project, name="new"),
    path("p/<slug:slug>/settings/", views.edit_settings, name="settings"),
    path("p/<slug:slug>/members/", views.list_members, name="members"),
    path("p/<slug:slug>/members/<int:pk>/role/", views.change_role, name="member-role"),
    path(
        "p/<slug:slug>/members/<int:pk>/remove/",
        views.remove_member,
        name="member-remove",
    ),
    path("p/<slug:slug>/members/<int:pk>/link/", views.create_link, name="member-link"),
]
