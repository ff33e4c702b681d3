"""The Django project: what people see, and the database that is the truth."""
