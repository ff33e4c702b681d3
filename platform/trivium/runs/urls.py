"""Addresses of runs."""

from django.urls import path

from trivium.runs import (
    views,
    views_actions,
    views_compare,
    views_live,
    views_new,
    views_preflight,
    views_samples,
    views_sweep,
)

app_name = "runs"
RUNS = "p/<slug:slug>/runs/"
RUN = RUNS + "<int:run_id>/"
SWEEPS = "p/<slug:slug>/sweeps/"
SWEEP = SWEEPS + "<int:sweep_id>/"
urlpatterns = [
    path(RUNS, views.list_runs, name="list"),
    path(RUNS + "export/", views.export_runs, name="export"),
    path(RUNS + "rows/", views.changed_rows, name="rows"),
    path(RUNS + "cancel/", views_actions.cancel_runs, name="cancel-many"),
    path(RUNS + "compare/", views_compare.compare_runs, name="compare"),
    path(RUNS + "compare/data/", views_compare.compare_data, name="compare-data"),
    path(RUNS + "compare/choose/", views_compare.choose_runs, name="choose"),
    path(RUNS + "new/", views_new.create_run, name="new"),
    path(RUNS + "estimate/", views_new.estimate_run, name="estimate"),
    path(RUNS + "fields/", views_new.redraw_form, name="redraw"),
    path(RUNS + "preview/", views_new.preview_template, name="preview"),
    path(RUN, views.run_detail, name="detail"),
    path(RUN + "cancel/", views_actions.cancel_run, name="cancel"),
    path(RUN + "pause/", views_actions.pause_run, name="pause"),
    path(RUN + "resume/", views_actions.resume_run, name="resume"),
    path(RUN + "retry/", views_actions.retry_run, name="retry"),
    path(RUN + "again/", views_actions.run_again, name="again"),
    path(RUN + "sweep/", views_sweep.sweep_run, name="sweep"),
    path(SWEEPS, views_sweep.list_sweeps, name="sweeps"),
    path(SWEEP, views_sweep.sweep_detail, name="sweep-detail"),
    path(SWEEP + "cancel/", views_sweep.cancel_sweep, name="cancel-sweep"),
    path(RUN + "mend/", views_preflight.mend_run, name="mend"),
    path(RUN + "train/", views_preflight.start_checked, name="start-checked"),
    path(RUN + "priority/", views_actions.change_priority, name="priority"),
    path(
        RUN + "checkpoints/<int:checkpoint_id>/pin/",
        views_actions.pin_checkpoint,
        name="pin",
    ),
    path(
        RUN + "checkpoints/<int:checkpoint_id>/delete/",
        views_actions.delete_checkpoint,
        name="delete-checkpoint",
    ),
    path(
        RUN + "samples/<int:sample_id>/label/",
        views_samples.label_sample,
        name="label-sample",
    ),
    path(RUN + "stream/", views_live.stream_run, name="stream"),
    path(RUN + "chart-data/", views_live.chart_data, name="chart-data"),
    path(RUN + "log/", views_live.show_log, name="log"),
]
