"""Addresses of runs."""

from django.urls import path

from trivium.runs import views, views_actions, views_live, views_new, views_preflight

app_name = "runs"
RUNS = "p/<slug:slug>/runs/"
RUN = RUNS + "<int:run_id>/"
urlpatterns = [
    path(RUNS, views.list_runs, name="list"),
    path(RUNS + "export/", views.export_runs, name="export"),
    path(RUNS + "rows/", views.changed_rows, name="rows"),
    path(RUNS + "cancel/", views_actions.cancel_runs, name="cancel-many"),
    path(RUNS + "new/", views_new.create_run, name="new"),
    path(RUNS + "estimate/", views_new.estimate_run, name="estimate"),
    path(RUNS + "fields/", views_new.redraw_form, name="redraw"),
    path(RUNS + "preview/", views_new.preview_template, name="preview"),
    path(RUN, views.run_detail, name="detail"),
    path(RUN + "cancel/", views_actions.cancel_run, name="cancel"),
    path(RUN + "pause/", views_actions.pause_run, name="pause"),
    path(RUN + "resume/", views_actions.resume_run, name="resume"),
    path(RUN + "retry/", views_actions.retry_run, name="retry"),
    path(RUN + "mend/", views_preflight.mend_run, name="mend"),
    path(RUN + "train/", views_preflight.start_checked, name="start-checked"),
    path(RUN + "priority/", views_actions.change_priority, name="priority"),
    path(
        RUN + "checkpoints/<int:checkpoint_id>/pin/",
        views_actions.pin_checkpoint,
        name="pin",
    ),
    path(RUN + "stream/", views_live.stream_run, name="stream"),
    path(RUN + "chart-data/", views_live.chart_data, name="chart-data"),
    path(RUN + "log/", views_live.show_log, name="log"),
]
