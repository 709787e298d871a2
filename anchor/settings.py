"""All settings, from the environment and the file that ANCHOR_CONFIG names. Nothing else in the
project reads the environment. `.env.example` lists every variable; `anchor/checks.py` says at
start what is wrong and how to mend it.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import environ
from django.templatetags.static import static
from django.urls import reverse_lazy

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent
if env.bool("READ_DOT_ENV", default=True):
    environ.Env.read_env(BASE_DIR / ".env")


def _substitute(value: Any) -> Any:
    """Replace `${NAME}` in every string of a parsed TOML document by the environment's NAME."""
    if isinstance(value, dict):
        return {_substitute(key): _substitute(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_substitute(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"\$\{([A-Z0-9_]+)\}", lambda match: env.str(match.group(1)), value)
    return value


def _load_config(path: Path) -> dict[str, Any]:
    config: dict[str, Any] = _substitute(tomllib.loads(path.read_text()))
    return config


# -- Django -----------------------------------------------------------------------------------
DEBUG = False
SECRET_KEY = env.str("SECRET_KEY")
BASE_URL = env.str("BASE_URL", default="http://localhost:8000").rstrip("/")
IS_HTTPS = BASE_URL.startswith("https://")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = [BASE_URL]
ROOT_URLCONF = "anchor.urls"
WSGI_APPLICATION = "anchor.wsgi.application"
APPEND_SLASH = False
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "anchor",
    "sep1",
    "sep10",
    "sep12",
    "sep38",
    "stellar",
    "callbacks",
    "payouts",
    "sep31",
]

MIDDLEWARE = [
    "anchor.middleware.ApiHeaders",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "anchor.middleware.AdminOnly",
]

# AdminOnly runs the admin's middleware itself, which Django's checks can't see.
SILENCED_SYSTEM_CHECKS = [
    *("admin.E408", "admin.E409", "admin.E410"),
    *("security.W002", "security.W003"),
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(BASE_DIR / "staticfiles")))
WHITENOISE_USE_FINDERS = True
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

# The limits of one request; a SEP-12 file is the largest thing that we take.
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 200
DATA_UPLOAD_MAX_NUMBER_FILES = 10

SESSION_COOKIE_SECURE = IS_HTTPS
CSRF_COOKIE_SECURE = IS_HTTPS
CSRF_FAILURE_VIEW = "anchor.error_pages.csrf_failure"
SESSION_COOKIE_HTTPONLY = True
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=IS_HTTPS)
SECURE_REDIRECT_EXEMPT = [r"^health/"]
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31536000 if IS_HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = IS_HTTPS
SECURE_HSTS_PRELOAD = IS_HTTPS
BEHIND_TLS_PROXY = env.bool("BEHIND_TLS_PROXY", default=False)
if BEHIND_TLS_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# How many proxies of ours append to X-Forwarded-For. A client could write the rest itself.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=int(BEHIND_TLS_PROXY))

# -- PostgreSQL and Redis ---------------------------------------------------------------------
DATABASES = {
    "default": {
        **env.db("DATABASE_URL", engine="kernel.postgresql"),
        "CONN_MAX_AGE": env.int("DB_CONN_MAX_AGE", default=60),
        "CONN_HEALTH_CHECKS": True,
    }
}
_OPTIONS = DATABASES["default"].setdefault("OPTIONS", {})
_OPTIONS.setdefault("connect_timeout", 5)
# PostgreSQL ends the session of a process that froze, or whose machine is gone, with locks in its
# hands. Between two queries of a transaction we never wait for anybody, so that is soon.
_IDLE_SECONDS = env.int("DB_IDLE_IN_TRANSACTION_SECONDS", default=60)
_OPTIONS["options"] = " ".join(
    [
        *_OPTIONS.get("options", "").split(),
        f"-c idle_in_transaction_session_timeout={_IDLE_SECONDS}s",
        # All that we prepare looks rows up by their keys: one plan is right for all values, and
        # PostgreSQL would else make a new one each time that it thinks it a little cheaper.
        "-c plan_cache_mode=force_generic_plan",
    ]
)
REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")

# -- Celery: messages only make things sooner; the sweeps in the beat schedule are what counts --
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "stellar.tasks.watch_account": {"queue": "watcher"},
    "callbacks.tasks.*": {"queue": "callbacks"},
}
# Celery would open a connection to PostgreSQL for each task; anchor.celery renews stale ones.
CELERY_DB_REUSE_MAX = 10**9
CELERY_TASK_PUBLISH_RETRY = False  # a request never waits for a broker that is down
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 1,
    "socket_timeout": 5,
    "visibility_timeout": 300,
    "health_check_interval": 10,
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_TIMEZONE = "UTC"
SWEEP_SECONDS = env.float("SWEEP_SECONDS", default=5.0)
# Each message expires before its successor comes, so a worker that was away finds no pile.
CELERY_BEAT_SCHEDULE = {
    name: {
        "task": name,
        "schedule": seconds,
        "options": {"expires": seconds},
    }
    for name, seconds in {
        "stellar.tasks.watch_accounts": SWEEP_SECONDS,
        "sep31.tasks.sweep_transactions": SWEEP_SECONDS,
        "sep31.tasks.measure_status_times": 300.0,
        "sep31.tasks.purge_idempotent_requests": 3600.0,
        "payouts.tasks.send_due_payouts": SWEEP_SECONDS,
        "stellar.tasks.submit_outgoing_payments": SWEEP_SECONDS,
        "callbacks.tasks.deliver_due_callbacks": SWEEP_SECONDS,
        "sep10.tasks.purge_used_challenges": 3600.0,
        "sep12.tasks.purge_unused_files": 600.0,
        "sep12.tasks.ask_provider_about_due_cases": SWEEP_SECONDS,
        "sep12.tasks.send_due_codes": SWEEP_SECONDS,
        "sep12.tasks.purge_sent_codes": 3600.0,
        "sep12.tasks.screen_due_customers": SWEEP_SECONDS,
        "sep12.tasks.reload_sanctions_lists": 3600.0,
        "sep38.tasks.fetch_due_rates": 15.0,
        "sep38.tasks.purge_expired_quotes": 3600.0,
    }.items()
}

# -- DRF --------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "EXCEPTION_HANDLER": "kernel.api.exception_handler",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
    "DEFAULT_SCHEMA_CLASS": "anchor.openapi.OperationSchema",
}
SPECTACULAR_SETTINGS = {
    "DEFAULT_GENERATOR_CLASS": "anchor.openapi.Generator",
    "ENABLE_DJANGO_DEPLOY_CHECK": False,  # bin/check asks for more
}

# -- Stellar ----------------------------------------------------------------------------------
NETWORK_PASSPHRASE = env.str("NETWORK_PASSPHRASE", default="Test SDF Network ; September 2015")
HORIZON_URL = env.str("HORIZON_URL", default="https://horizon-testnet.stellar.org").rstrip("/")
# The key of stellar.toml's SIGNING_KEY, and the account that receives payments and refunds them.
SIGNING_SECRET = env.str("SIGNING_SECRET")
DISTRIBUTION_ACCOUNT = env.str("DISTRIBUTION_ACCOUNT")
# Only the workers need it; the web processes run without.
DISTRIBUTION_SECRET = env.str("DISTRIBUTION_SECRET", default="")
HOME_DOMAINS = env.list("HOME_DOMAINS", default=[BASE_URL.split("://", 1)[-1]])
WATCH_PAGE_SIZE = 200
WATCH_SECONDS = env.float("WATCH_SECONDS", default=45.0)  # one watch_account task
HORIZON_TIMEOUT_SECONDS = env.float("HORIZON_TIMEOUT_SECONDS", default=15.0)
MAX_BASE_FEE = env.int("MAX_BASE_FEE", default=100_000)  # stroops we bid per operation at most
OUTGOING_VALID_SECONDS = env.int("OUTGOING_VALID_SECONDS", default=120)

# -- Who may call -----------------------------------------------------------------------------
# "kid:secret" pairs, newest first: the first signs, all verify.
JWT_KEYS = env.list("JWT_KEYS")
JWT_SECONDS = env.int("JWT_SECONDS", default=3600)
CHALLENGE_SECONDS = env.int("CHALLENGE_SECONDS", default=900)
# Whether a request for a challenge must bring SEP-10's Authorization header: optional, required.
CHALLENGE_AUTHORIZATION = env.str("CHALLENGE_AUTHORIZATION", default="optional")
# The account's threshold that signatures of a challenge must meet: low, medium, high.
AUTH_THRESHOLD = env.str("AUTH_THRESHOLD", default="medium")
# Requests to /auth a minute, from one address and for one account; 0: no limit.
AUTH_ADDRESS_LIMIT = env.int("AUTH_ADDRESS_LIMIT", default=300)
AUTH_ACCOUNT_LIMIT = env.int("AUTH_ACCOUNT_LIMIT", default=600)
# Opens the door to sending anchors that are not on the list; refused on the public network.
ALLOW_UNKNOWN_SENDING_ANCHORS = env.bool("ALLOW_UNKNOWN_SENDING_ANCHORS", default=False)

# -- Personal data ----------------------------------------------------------------------------
SEALING_KEYS = env.list("SEALING_KEYS")
MAX_FILE_BYTES = env.int("MAX_FILE_BYTES", default=10 * 1024 * 1024)
MAX_UPLOAD_BYTES = 3 * MAX_FILE_BYTES + DATA_UPLOAD_MAX_MEMORY_SIZE  # one request, in memory
# Files that were sent ahead of their customer, for each sending anchor.
UNUSED_FILE_SECONDS = env.int("UNUSED_FILE_SECONDS", default=24 * 3600)
MAX_UNUSED_FILES = env.int("MAX_UNUSED_FILES", default=500)
MAX_UNUSED_FILE_BYTES = env.int("MAX_UNUSED_FILE_BYTES", default=1024**3)
# Which class tells SEP-12 about transactions; SEP-12 itself knows none.
CUSTOMER_TRANSACTIONS = "sep31.customers.TransactionCustomers"
CUSTOMER_DECISIONS = env.str("CUSTOMER_DECISIONS", default="sep12.decisions.AcceptAtOnce")
# For sep12.decisions.HttpProvider. Secrets newest first: the first signs, all verify.
KYC_PROVIDER_URL = env.str("KYC_PROVIDER_URL", default="")
KYC_PROVIDER_SECRETS = env.list("KYC_PROVIDER_SECRETS", default=[])
KYC_PROVIDER_TIMEOUT_SECONDS = env.float("KYC_PROVIDER_TIMEOUT_SECONDS", default=30.0)
# Confirmation codes of the fields in [verification]; the gateway is sep12.senders.HttpSender's.
VERIFICATION_CODE_SECONDS = env.int("VERIFICATION_CODE_SECONDS", default=600)
VERIFICATION_MAX_TRIES = env.int("VERIFICATION_MAX_TRIES", default=5)
# For one field of a customer, and for one value; then for all of a sending anchor's.
VERIFICATION_CODES_PER_HOUR = env.int("VERIFICATION_CODES_PER_HOUR", default=5)
VERIFICATION_CODES_PER_ANCHOR_PER_HOUR = env.int(
    "VERIFICATION_CODES_PER_ANCHOR_PER_HOUR", default=1000
)
VERIFICATION_GATEWAY_URL = env.str("VERIFICATION_GATEWAY_URL", default="")
VERIFICATION_GATEWAY_KEY = env.str("VERIFICATION_GATEWAY_KEY", default="")

# The sanctions lists that customers' names are held against; none: nobody is screened.
SANCTIONS_LISTS = env.list("SANCTIONS_LISTS", default=[])
SANCTIONS_LIST_MAX_AGE_HOURS = env.float("SANCTIONS_LIST_MAX_AGE_HOURS", default=72.0)
SCREENING_THRESHOLD = env.float("SCREENING_THRESHOLD", default=85.0)  # the score of a hit

# -- Outbound HTTP ----------------------------------------------------------------------------
# Lets callbacks and client domains use http and private addresses. For development only.
ALLOW_INSECURE_URLS = env.bool("ALLOW_INSECURE_URLS", default=False)
CALLBACK_GIVE_UP_HOURS = env.float("CALLBACK_GIVE_UP_HOURS", default=72.0)
CALLBACK_FIRST_RETRY_SECONDS = env.float("CALLBACK_FIRST_RETRY_SECONDS", default=2.0)

# -- Payouts ----------------------------------------------------------------------------------
BANK_URL = env.str("BANK_URL", default="http://127.0.0.1:8002").rstrip("/")
BANK_API_KEY = env.str("BANK_API_KEY", default="")
BANK_TIMEOUT_SECONDS = env.float("BANK_TIMEOUT_SECONDS", default=5.0)
PAYOUT_MAX_TRIES = env.int("PAYOUT_MAX_TRIES", default=5)
PAYOUT_FIRST_RETRY_SECONDS = env.float("PAYOUT_FIRST_RETRY_SECONDS", default=5.0)

# -- What the anchor offers -------------------------------------------------------------------
ANCHOR_CONFIG = Path(env.str("ANCHOR_CONFIG", default=str(BASE_DIR / "anchor.toml")))
ANCHOR: dict[str, Any] = _load_config(ANCHOR_CONFIG)
# How long a quote that nobody redeemed can be read after its expiry.
QUOTE_KEEP_DAYS = env.int("QUOTE_KEEP_DAYS", default=90)

# -- Logs -------------------------------------------------------------------------------------
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"},
    },
    "filters": {
        "once_a_minute": {"()": "kernel.logs.OnceAMinute"},
        "queue_outage": {"()": "kernel.logs.QueueOutage"},
        "database_outage": {"()": "kernel.logs.DatabaseOutage"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        # A client's mistake is not an incident.
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "celery": {"level": "WARNING"},
        "celery.beat": {"filters": ["queue_outage"]},
        "celery.app.trace": {"filters": ["database_outage"]},
        # The sweep finds the same lists missing each time.
        "sep12.screening.services": {"filters": ["once_a_minute"]},
    },
}

# -- The operators' admin ---------------------------------------------------------------------
# Tries from one address, right or wrong; 0 is no limit.
ADMIN_LOGINS_PER_MINUTE = env.int("ADMIN_LOGINS_PER_MINUTE", default=5)
# Which page shows what a lower room serves without knowing it.
ADMIN_SUBJECTS = {
    "sep31": "sep31.transaction",  # callbacks' streams
    "sep12": "sep12.customer",
    "payout": "sep31.transaction",
    "received": "sep31.receipt",
    "outgoing": "sep31.refund",
    "waits for customer": "sep31.transaction",
}


def _menu_item(title: str, icon: str, model: str, query: str = "") -> dict[str, Any]:
    """An entry of the sidebar, for those who may see the list that it opens."""
    app, name = model.split(".")
    url = reverse_lazy(f"admin:{app}_{name}_changelist")
    return {
        "title": title,
        "icon": icon,
        "link": (lambda request: f"{url}{query}") if query else url,
        "permission": lambda request: request.user.has_perm(f"{app}.view_{name}"),
    }


UNFOLD = {
    "SITE_TITLE": "Landfall",
    "SITE_HEADER": "Landfall",
    "SITE_SUBHEADER": "Receiving anchor",
    "SITE_SYMBOL": "anchor",
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' "
            "viewBox='0 0 100 100'%3E%3Ctext y='.9em' font-size='90'%3E⚓%3C/text%3E%3C/svg%3E",
        }
    ],
    "STYLES": [lambda request: static("anchor/admin.css")],
    "SITE_URL": reverse_lazy("admin:index"),
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "anchor.dashboard.fill_dashboard",
    "LOGIN": {"form": "anchor.login.LoginForm"},
    "COLORS": {
        "primary": {
            "50": "oklch(97.1% .013 210)",
            "100": "oklch(94.1% .03 212)",
            "200": "oklch(89% .056 214)",
            "300": "oklch(81.5% .09 218)",
            "400": "oklch(72.3% .12 222)",
            "500": "oklch(61.5% .125 226)",
            "600": "oklch(52% .115 230)",
            "700": "oklch(45% .1 232)",
            "800": "oklch(38.5% .08 234)",
            "900": "oklch(33.5% .065 236)",
            "950": "oklch(24.5% .05 238)",
        },
    },
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": [
            {
                "title": "Work",
                "items": [
                    {
                        "title": "Dashboard",
                        "icon": "dashboard",
                        "link": reverse_lazy("admin:index"),
                    },
                    _menu_item("Transactions", "swap_horiz", "sep31.transaction"),
                    _menu_item("Inbox", "inbox", "sep31.receipt", "?rest__exact=inbox"),
                    _menu_item("KYC review", "fact_check", "sep12.case"),
                ],
            },
            {
                "title": "Money",
                "separator": True,
                "items": [
                    _menu_item("Received payments", "call_received", "stellar.receivedpayment"),
                    _menu_item("Receipts", "receipt_long", "sep31.receipt"),
                    _menu_item("Payouts", "payments", "payouts.payout"),
                    _menu_item("Attempts", "history", "payouts.attempt"),
                    _menu_item("Refunds", "undo", "sep31.refund"),
                    _menu_item("Outgoing payments", "call_made", "stellar.outgoingpayment"),
                ],
            },
            {
                "title": "Partners and customers",
                "separator": True,
                "items": [
                    _menu_item("Sending anchors", "handshake", "sep10.sendinganchor"),
                    _menu_item("Customers", "group", "sep12.customer"),
                    _menu_item("Decisions", "gavel", "sep12.decision"),
                    _menu_item("Documents", "description", "sep12.customerfile"),
                ],
            },
            {
                "title": "Screening",
                "separator": True,
                "items": [
                    _menu_item("Hits", "person_alert", "sep12.screeninghit"),
                    _menu_item(
                        "Blocked customers", "block", "sep12.customer", "?screening__exact=BLOCKED"
                    ),
                    _menu_item("Sanctions lists", "format_list_bulleted", "sep12.sanctionslist"),
                ],
            },
            {
                "title": "Rates and quotes",
                "separator": True,
                "items": [
                    _menu_item("Rates", "currency_exchange", "sep38.rate"),
                    _menu_item("Held rates", "pan_tool", "sep38.heldrate", "?outcome__exact=OPEN"),
                    _menu_item("Rate feeds", "rss_feed", "sep38.ratefeed"),
                    _menu_item("Quotes", "request_quote", "sep38.quote"),
                ],
            },
            {
                "title": "Callbacks",
                "separator": True,
                "items": [_menu_item("Callbacks", "send", "callbacks.callback")],
            },
            {
                "title": "Network",
                "separator": True,
                "items": [
                    _menu_item("Watchers", "visibility", "stellar.cursor"),
                    _menu_item("Unread records", "report", "stellar.unreadrecord"),
                ],
            },
            {
                "title": "Staff",
                "separator": True,
                "items": [
                    _menu_item("Users", "person", "auth.user"),
                    _menu_item("Groups", "groups", "auth.group"),
                    _menu_item("History", "manage_history", "admin.logentry"),
                ],
            },
        ],
    },
}
