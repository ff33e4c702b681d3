"""Addresses of sign-in links and a person's own settings."""

from django.urls import path

from trivium.accounts import views

app_name = "accounts"
urlpatterns = [
    path("sign-in/<str:secret>/", views.use_sign_in_link, name="sign-in-link"),
    path("settings/", views.edit_profile, name="profile"),
    path("settings/tokens/", views.list_tokens, name="tokens"),
    path("settings/tokens/<int:pk>/revoke/", views.revoke_token, name="token-revoke"),
]
