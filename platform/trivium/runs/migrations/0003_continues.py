"""Let a run go on from the last checkpoint of a cancelled or failed one."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0002_initial")]

    operations = [
        migrations.AddField(
            model_name="run",
            name="continues",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="continued_by",
                to="runs.run",
            ),
        ),
    ]
