"""Addresses of home, search, and what machines ask."""

from django.urls import path

from trivium.pages import health, views, views_lineage

app_name = "pages"
urlpatterns = [
    path("", views.home, name="home"),
    path("healthz", health.check_health, name="healthz"),
    path("metrics", health.show_metrics, name="metrics"),
    path("p/<slug:slug>/", views.project_home, name="project-home"),
    path("p/<slug:slug>/search/", views.search, name="search"),
    path(
        "p/<slug:slug>/lineage/<slug:noun>/<int:pk>/",
        views_lineage.show_lineage,
        name="lineage",
    ),
    path("p/<slug:slug>/queue-line/", views.queue_line, name="queue-line"),
]
