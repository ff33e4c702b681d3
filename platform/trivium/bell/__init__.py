"""The wake-up bell: Celery's app and its safe filesystem transport."""
