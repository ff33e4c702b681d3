"""Projects, and who may do what in them."""

from django.db import models

from trivium.accounts.models import User


class Role(models.IntegerChoices):
    """What a member may do; each role includes the ones before it."""

    VIEWER = 10, "Viewer"
    LABELER = 20, "Labeler"
    ENGINEER = 30, "Engineer"
    ADMIN = 40, "Admin"


class Project(models.Model):
    """Owns datasets, tokenizers, models and runs."""

    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=60, unique=True)
    description = models.TextField(blank=True)
    created = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """One person's role in one project."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.PositiveSmallIntegerField(choices=Role, default=Role.VIEWER)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "user"], name="one_membership_per_person"
            )
        ]
