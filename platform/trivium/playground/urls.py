"""Addresses of the playground."""

from django.urls import path

from trivium.playground import urls_beside, views, views_messages, views_stream

app_name = "playground"
HERE = "p/<slug:slug>/playground/"
TALK = HERE + "<int:pk>/"
MESSAGE = TALK + "messages/<int:message_id>/"
ANSWER = HERE + "generations/<int:generation_id>/"
urlpatterns = [
    path(HERE, views.home, name="home"),
    path(HERE + "send/", views_messages.send_message, name="begin"),
    path(HERE + "context/", views_messages.measure_context, name="measure"),
    path(HERE + "presets/", views.save_preset, name="preset-save"),
    path(
        HERE + "presets/<int:preset_id>/delete/",
        views.delete_preset,
        name="preset-delete",
    ),
    path(TALK, views.conversation_detail, name="conversation"),
    path(TALK + "send/", views_messages.send_message, name="send"),
    path(TALK + "settings/", views.change_settings, name="settings"),
    path(TALK + "rename/", views.rename_conversation, name="rename"),
    path(TALK + "delete/", views.delete_conversation, name="delete"),
    path(TALK + "restore/", views.restore_conversation, name="restore"),
    path(MESSAGE, views_messages.show_turn, name="turn"),
    path(MESSAGE + "again/", views_messages.answer_again, name="again"),
    path(MESSAGE + "version/", views_messages.choose_version, name="version"),
    path(MESSAGE + "edit/", views_messages.edit_answer, name="edit"),
    path(MESSAGE + "delete/", views_messages.delete_message, name="message-delete"),
    path(MESSAGE + "restore/", views_messages.restore_message, name="message-restore"),
    path(ANSWER, views_stream.show_receipt, name="receipt"),
    path(ANSWER + "events/", views_stream.stream_generation, name="events"),
    path(ANSWER + "stop/", views_stream.stop_generation, name="stop"),
    path(ANSWER + "continue/", views_stream.continue_generation, name="continue"),
    path(ANSWER + "replay/", views_stream.replay_generation, name="replay"),
    *urls_beside.urlpatterns,
]
