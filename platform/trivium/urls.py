"""Every address of the site."""

from django.urls import include, path

urlpatterns = [
    path("", include("trivium.pages.urls")),
    path("", include("trivium.projects.urls")),
    path("", include("trivium.datasets.urls")),
    path("", include("trivium.tokenizers.urls")),
    path("", include("trivium.models.urls")),
    path("", include("trivium.runs.urls")),
    path("", include("trivium.campaigns.urls")),
    path("", include("trivium.evaluations.urls")),
    path("", include("trivium.planning.urls")),
    path("", include("trivium.workers.urls")),
    path("", include("trivium.playground.urls")),
    path("", include("trivium.serving.urls")),
    path("", include("trivium.api.urls")),
    path("", include("trivium.openai.urls")),
    path("accounts/", include("trivium.accounts.urls")),
    path("accounts/", include("allauth.urls")),
]
