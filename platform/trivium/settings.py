"""All settings of Trivium, in one typed file.

Embedded by default: SQLite, the filesystem bell, one machine. Production is chosen by
environment variables; a wrong value stops the start and names its variable. Secrets
may come from `NAME_FILE`, a file that holds the value.
"""

import importlib.util
import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parents[2]


def env_str(name: str, default: str = "") -> str:
    """Read text from NAME, or from the file NAME_FILE names."""
    file = os.environ.get(f"{name}_FILE")
    if file:
        try:
            return Path(file).read_text().strip()
        except OSError as error:
            raise ImproperlyConfigured(
                f"{name}_FILE={file!r} cannot be read: {error}"
            ) from error
    return os.environ.get(name, default)


def env_bool(name: str, *, default: bool) -> bool:
    """Read a yes or no."""
    raw = env_str(name).lower()
    if raw in {"1", "true", "yes", "on"}:
        return True
    if raw in {"0", "false", "no", "off"}:
        return False
    if raw:
        raise ImproperlyConfigured(f"{name}={raw!r} is neither true nor false")
    return default


def env_int(name: str, default: int, *, least: int = 0) -> int:
    """Read a whole number."""
    raw = env_str(name) or str(default)
    try:
        value = int(raw)
    except ValueError:
        raise ImproperlyConfigured(f"{name}={raw!r} is not a whole number") from None
    if value < least:
        raise ImproperlyConfigured(f"{name}={value} is below {least}")
    return value


def env_float(name: str, default: float, *, least: float = 0.0) -> float:
    """Read a number."""
    raw = env_str(name) or str(default)
    try:
        value = float(raw)
    except ValueError:
        raise ImproperlyConfigured(f"{name}={raw!r} is not a number") from None
    if not least <= value < float("inf"):
        raise ImproperlyConfigured(f"{name}={raw} is below {least} or not finite")
    return value


def env_list(name: str, default: str = "") -> list[str]:
    """Read values separated by commas."""
    return [part.strip() for part in env_str(name, default).split(",") if part.strip()]


# Where everything lives --------------------------------------------------------------

HOME = Path(env_str("TRIVIUM_HOME") or ROOT / ".trivium").resolve()
HOME.mkdir(mode=0o700, parents=True, exist_ok=True)

STORAGE_URL = env_str("TRIVIUM_STORAGE") or f"file://{HOME / 'storage'}"
if "://" not in STORAGE_URL:
    raise ImproperlyConfigured(
        f"TRIVIUM_STORAGE={STORAGE_URL!r} is not a URL like file:///srv/trivium"
    )
WORK_DIR = Path(env_str("TRIVIUM_WORK") or HOME / "work").resolve()
"""Folders of runs while they run, and local copies of remote artifacts."""
IMPORT_ROOTS = env_list("TRIVIUM_IMPORT_ROOTS")
"""Server-side folders and fsspec URL prefixes that datasets may be read from."""

HUB = env_bool("TRIVIUM_HUB", default=False)
"""Whether models may be fetched from the Hugging Face Hub."""
HUB_TOKEN = env_str("HF_TOKEN")
HUB_ENDPOINT = env_str("HF_ENDPOINT")
"""Another address for the Hub: a mirror."""


def secret_key() -> str:
    """Return SECRET_KEY, or make one for this installation on first start."""
    given = env_str("SECRET_KEY")
    if given:
        if len(given) < 32:
            raise ImproperlyConfigured("SECRET_KEY is shorter than 32 characters")
        return given
    file = HOME / "secret_key"
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return file.read_text().strip()
    with os.fdopen(descriptor, "w") as handle:
        handle.write(secrets.token_urlsafe(48))
    return file.read_text().strip()


SECRET_KEY = secret_key()
DEBUG = env_bool("DEBUG", default=False)
IS_PRODUCTION = env_bool("TRIVIUM_PRODUCTION", default=False)
"""Behind a TLS proxy: secure cookies, HSTS, no localhost defaults."""

PORT = env_int("TRIVIUM_PORT", 8321, least=1)
ALLOWED_HOSTS = env_list(
    "ALLOWED_HOSTS", "" if IS_PRODUCTION else "127.0.0.1,localhost,[::1]"
)
if IS_PRODUCTION and not ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS is empty; name the host people open")
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS")

# Databases ---------------------------------------------------------------------------


CONNECTION_AGE_S = env_int("TRIVIUM_CONNECTION_AGE", 0)
"""How long a thread keeps its connection to the database; 0: for one request.

Web processes keep their threads (`trivium.threads`), and `trivium.asgi` asks for more.
"""


def sqlite(file: Path, *, synchronous: str) -> dict[str, Any]:
    """Return one SQLite database that survives many writers (DESIGN, section 6)."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(file),
        "CONN_MAX_AGE": CONNECTION_AGE_S,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": (
                "PRAGMA journal_mode=WAL;"
                f"PRAGMA synchronous={synchronous};"
                "PRAGMA foreign_keys=ON;"
                "PRAGMA journal_size_limit=67108864;"
            ),
        },
        "TEST": {"NAME": str(file.with_name(f"test-{os.getpid()}-{file.name}"))},
    }


def databases() -> dict[str, Any]:
    """Return `default` for runs and labels, and `metrics` where it is a second file."""
    url = env_str("DATABASE_URL")
    if not url:
        return {
            "default": sqlite(HOME / "trivium.sqlite3", synchronous="FULL"),
            "metrics": sqlite(HOME / "metrics.sqlite3", synchronous="NORMAL"),
        }
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(
            f"DATABASE_URL: scheme {parts.scheme!r} is not postgresql"
        )
    name = unquote(parts.path.lstrip("/"))
    if not name or not parts.hostname:
        raise ImproperlyConfigured("DATABASE_URL names no host or no database")
    return {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": name,
            "HOST": parts.hostname,
            "PORT": parts.port or 5432,
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "CONN_MAX_AGE": CONNECTION_AGE_S,
            "CONN_HEALTH_CHECKS": True,
        }
    }


DATABASES = databases()
DATABASE_ROUTERS = ["trivium.metrics.router.MetricsRouter"]
METRICS_DATABASE = "metrics" if "metrics" in DATABASES else "default"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Queue -------------------------------------------------------------------------------

REDIS_URL = env_str("REDIS_URL")
if REDIS_URL and urlsplit(REDIS_URL).scheme not in {"redis", "rediss", "unix"}:
    raise ImproperlyConfigured(f"REDIS_URL={REDIS_URL!r} is not a redis:// URL")
BELL_DIR = Path(env_str("TRIVIUM_BELL") or HOME / "bell")

LEASE_S = env_float("TRIVIUM_LEASE_S", 60.0, least=0.5)
HEARTBEAT_S = env_float("TRIVIUM_HEARTBEAT_S", min(10.0, LEASE_S / 6), least=0.05)
SWEEP_S = env_float("TRIVIUM_SWEEP_S", 2.0, least=0.05)
STALL_S = env_float("TRIVIUM_STALL_S", 600.0, least=1.0)
"""A trainer that reports nothing for this long (or 10 median steps) is stopped."""
STOP_GRACE_S = env_float("TRIVIUM_STOP_GRACE_S", 30.0, least=0.1)
"""Time a trainer has to save after SIGTERM."""
MAX_CRASHES = env_int("TRIVIUM_MAX_CRASHES", 3)
CRASH_BACKOFF_S = env_float("TRIVIUM_CRASH_BACKOFF_S", 5.0)
"""Wait before the first retry of a crash; four times longer before each next one."""
LAUNCHER = env_str("TRIVIUM_LAUNCHER", "auto")
"""How a worker starts trainers: `auto` on its own host (torchrun where a run takes
several devices), `ray` on the Ray cluster at RAY_ADDRESS, whose devices it offers."""
if LAUNCHER not in {"auto", "ray"}:
    raise ImproperlyConfigured(f"TRIVIUM_LAUNCHER={LAUNCHER!r} is neither auto nor ray")
CPU_SLOTS = env_int("TRIVIUM_CPU_SLOTS", 1, least=1)
INFERENCE_MEMORY_GB = env_float("TRIVIUM_INFERENCE_MEMORY_GB", 0.0)
"""For the models an inference node keeps loaded; 0: half of its device's memory."""
INFERENCE_DEVICE = env_str("TRIVIUM_INFERENCE_DEVICE", "auto")
"""`cpu`, `cuda:0`…; `auto` takes the first GPU, or the CPU where there is none."""
INFERENCE_HOST = env_str("TRIVIUM_INFERENCE_HOST", "127.0.0.1")
"""By which web processes reach a node of this host; `auto`: by the host's name."""
MAX_QUEUED_PER_USER = env_int("TRIVIUM_MAX_QUEUED_PER_USER", 500, least=1)
MAX_UPLOAD_BYTES = env_int("TRIVIUM_MAX_UPLOAD_BYTES", 20 * 2**30, least=1)
LOW_DISK_BYTES = env_int("TRIVIUM_LOW_DISK_BYTES", 2 * 2**30)

# The OpenAI-compatible API: limits for each person, over all of their tokens ----------

API_MAX_CONCURRENT = env_int("TRIVIUM_API_MAX_CONCURRENT", 64, least=1)
API_REQUESTS_PER_MINUTE = env_int("TRIVIUM_API_REQUESTS_PER_MINUTE", 3_000, least=1)
API_TOKENS_PER_MINUTE = env_int("TRIVIUM_API_TOKENS_PER_MINUTE", 2_000_000, least=1)
# For each token, where that shall be less than for the person it belongs to.
API_TOKEN_MAX_CONCURRENT = env_int(
    "TRIVIUM_API_TOKEN_MAX_CONCURRENT", API_MAX_CONCURRENT, least=1
)
API_TOKEN_REQUESTS_PER_MINUTE = env_int(
    "TRIVIUM_API_TOKEN_REQUESTS_PER_MINUTE", API_REQUESTS_PER_MINUTE, least=1
)
API_TOKEN_TOKENS_PER_MINUTE = env_int(
    "TRIVIUM_API_TOKEN_TOKENS_PER_MINUTE", API_TOKENS_PER_MINUTE, least=1
)

# Django ------------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "django.contrib.staticfiles",
    "django_htmx",
    "template_partials",
    "ninja",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "trivium.accounts",
    "trivium.projects",
    "trivium.datasets",
    "trivium.tokenizers",
    "trivium.models",
    "trivium.runs",
    "trivium.workers",
    "trivium.serving",
    "trivium.playground",
    "trivium.comparisons",
    "trivium.campaigns",
    "trivium.evaluations",
    "trivium.pipelines",
    "trivium.openai",
    "trivium.planning",
    "trivium.metrics",
    "trivium.pages",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "trivium.api.middleware.ApiErrorMiddleware",
    "trivium.http.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
ROOT_URLCONF = "trivium.urls"
ASGI_APPLICATION = "trivium.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "trivium.pages.context.shell",
            ],
            "builtins": [
                "template_partials.templatetags.partials",
                "trivium.pages.templatetags.numbers",
            ],
        },
    }
]
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
    )
]
ACCOUNT_ADAPTER = "trivium.accounts.adapter.ClosedSignUpAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "pages:home"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"

bokeh = importlib.util.find_spec("bokeh")  # found, not imported: it is slow to load
assert bokeh is not None
assert bokeh.submodule_search_locations is not None
BOKEH_JS = Path(bokeh.submodule_search_locations[0]) / "server" / "static" / "js"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = HOME / "static"
STATIC_ROOT.mkdir(mode=0o700, exist_ok=True)
STATICFILES_DIRS: list[Any] = [
    ROOT / "platform" / "trivium" / "static",
    ("bokeh", BOKEH_JS),
]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 60 * 60 * 24 * 30
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
FILE_UPLOAD_TEMP_DIR = HOME / "uploads"
FILE_UPLOAD_TEMP_DIR.mkdir(mode=0o700, exist_ok=True)
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.TemporaryFileUploadHandler"]
if IS_PRODUCTION:
    SECURE_SSL_REDIRECT = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 60 * 60 * 24 * 365
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_NAME = "__Host-csrftoken"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env_str("LOG_LEVEL", "INFO")},
    "loggers": {"httpx": {"level": "WARNING"}},
}
