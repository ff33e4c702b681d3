"""The Django project: what people see, and the database that is the truth."""

__version__ = "0.1.0"
