"""Addresses of labeling campaigns."""

from django.urls import path

from trivium.campaigns import (
    views,
    views_adjudicate,
    views_items,
    views_label,
    views_new,
    views_results,
    views_runs,
)

app_name = "campaigns"
HERE = "p/<slug:slug>/label/"
ONE = HERE + "<int:pk>/"
VOTE = ONE + "vote/"
ITEM = ONE + "comparisons/<int:item_id>/"
urlpatterns = [
    path(HERE, views.list_campaigns, name="list"),
    path(HERE + "new/", views_new.create, name="new"),
    path(HERE + "preview/", views_new.preview_guidelines, name="preview"),
    path(ONE, views.campaign_detail, name="detail"),
    path(VOTE, views_label.label, name="label"),
    path(VOTE + "cast/", views_label.cast, name="cast"),
    path(VOTE + "undo/", views_label.undo, name="undo"),
    path(VOTE + "skip/", views_label.skip, name="skip"),
    path(VOTE + "flag/", views_label.flag, name="flag"),
    path(VOTE + "draft/", views_label.save_draft, name="draft"),
    path(VOTE + "stay/", views_label.stay, name="stay"),
    path(VOTE + "accept/", views_label.accept, name="accept"),
    path(ONE + "state/", views.change_state, name="state"),
    path(ONE + "settings/", views_new.change_settings, name="settings"),
    path(ONE + "answers/", views_new.add_batch, name="answers"),
    path(ONE + "news/", views.report_news, name="news"),
    path(ONE + "comparisons/", views_items.list_items, name="items"),
    path(ITEM, views_items.item_detail, name="item"),
    path(ITEM + "gold/", views_items.mark_gold, name="item-gold"),
    path(ITEM + "withdraw/", views_items.withdraw_item, name="item-withdraw"),
    path(ITEM + "adjudicate/", views_adjudicate.decide, name="item-adjudicate"),
    path(ITEM + "flags/", views_items.resolve_flags, name="item-flags"),
    path(ONE + "agreement/", views_results.agreement, name="agreement"),
    path(ONE + "labelers/", views_results.labelers, name="labelers"),
    path(ONE + "models/", views_results.models, name="models"),
    path(ONE + "position/", views_results.position, name="position"),
    path(ONE + "adjudicate/", views_adjudicate.queue, name="adjudicate"),
    path(ONE + "guidelines/", views_results.guidelines, name="guidelines"),
    path(ONE + "judges/", views_runs.judges, name="judges"),
    path(ONE + "export/", views_runs.export, name="export"),
]
