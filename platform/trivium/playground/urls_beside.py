"""Addresses of what the playground shows beside the chat; part of `urls`."""

from django.urls import path

from trivium.playground import (
    views_compare,
    views_exchange,
    views_fill,
    views_next,
    views_write,
)

PLAYGROUND = "p/<slug:slug>/playground/"
ANSWER = PLAYGROUND + "generations/<int:pk>/"
EXCHANGE = PLAYGROUND + "exchange/"
LINEUP = PLAYGROUND + "compare/<int:pk>/"
urlpatterns = [
    path(PLAYGROUND + "with/", views_fill.open_with, name="open-with"),
    path(PLAYGROUND + "facts/", views_fill.show_facts, name="facts"),
    path(PLAYGROUND + "fill/", views_fill.fill, name="fill"),
    path(PLAYGROUND + "score/", views_fill.score, name="score"),
    path(PLAYGROUND + "complete/", views_write.complete, name="complete"),
    path(PLAYGROUND + "rewrite/", views_write.rewrite, name="rewrite"),
    path(EXCHANGE, views_exchange.show_exchange, name="exchange"),
    path(EXCHANGE + "import/", views_exchange.import_file, name="import"),
    path(EXCHANGE + "collect/", views_exchange.collect, name="collect"),
    path(
        EXCHANGE + "conversations.jsonl", views_exchange.export_all, name="export-all"
    ),
    path(
        EXCHANGE + "preferences.jsonl",
        views_exchange.export_preferences,
        name="export-preferences",
    ),
    path(
        PLAYGROUND + "<int:pk>/conversation.jsonl",
        views_exchange.export_one,
        name="export",
    ),
    path(ANSWER + "tokens/", views_next.show_tokens, name="next-token"),
    path(ANSWER + "branch/", views_next.branch, name="branch"),
    path(PLAYGROUND + "compare/", views_compare.compare, name="compare"),
    path(LINEUP, views_compare.lineup_detail, name="lineup"),
    path(LINEUP + "vote/", views_compare.vote, name="lineup-vote"),
    path(LINEUP + "reveal/", views_compare.reveal, name="lineup-reveal"),
    path(LINEUP + "undo/", views_compare.undo_vote, name="lineup-undo"),
]
