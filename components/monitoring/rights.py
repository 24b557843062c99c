"""Who may call what on the monitoring host through the front door: every endpoint of Prometheus and of Alertmanager,
with its class, in the form of the table of Flink's (frontdoor/rights.py). What is not here is refused.

The endpoints are those of Prometheus 2.42 to 3.5 (web/web.go and web/api/v1/api.go in its repository) and of
Alertmanager 0.25 to 0.28 (api/v2/openapi.yaml in its). `tests/engine/test_watched_door.py` asks the lab's releases
which methods each path has.
"""

from ..frontdoor.rights import FILES, Endpoint, Right

_API = "/api/v1"
_PAGES = (
    *("", "agent", "alertmanager-discovery", "alerts", "config", "flags", "graph", "query", "rules"),
    *("service-discovery", "status", "targets", "tsdb-status"),
)
_ASKED_BOTH_WAYS = ("format_query", "labels", "parse_query", "query", "query_exemplars", "query_range", "series")
"""A long query is sent by POST: that reads as well."""
_ASKED = (
    *("alertmanagers", "alerts", "features", "label/:label/values", "metadata", "notifications", "notifications/live"),
    *("rules", "scrape_pools", "status/buildinfo", "status/config", "status/flags", "status/runtimeinfo"),
    *("status/tsdb", "status/tsdb/blocks", "status/walreplay", "targets", "targets/metadata", "targets/relabel_steps"),
)

PROMETHEUS: tuple[Endpoint, ...] = (
    *(Endpoint("GET", f"/{name}", Right.READ) for name in _PAGES),
    # The pages of before
    *(Endpoint("GET", f"/classic/{name}", Right.READ) for name in _PAGES),
    # The page of plots (plots.py)
    Endpoint("GET", "/consoles/plots", Right.READ),
    *(Endpoint("GET", f"/{name}", Right.READ) for name in ("-/healthy", "-/ready", "federate", "metrics", "version")),
    *(Endpoint("GET", f"{_API}/{name}", Right.READ) for name in (*_ASKED, *_ASKED_BOTH_WAYS)),
    *(Endpoint("POST", f"{_API}/{name}", Right.READ) for name in _ASKED_BOTH_WAYS),
    *(
        Endpoint(method, path, Right.NOBODY)
        for method, path in (
            # The rules and flags of the unit leave most of these off; here they are refused in any case
            *(
                (method, f"{_API}/admin/tsdb/{name}")
                for name in ("clean_tombstones", "delete_series", "snapshot")
                for method in ("POST", "PUT")
            ),
            ("DELETE", f"{_API}/series"),
            ("POST", f"{_API}/otlp/v1/metrics"),
            ("POST", f"{_API}/read"),
            ("POST", f"{_API}/write"),
            *((method, f"/-/{name}") for name in ("quit", "reload") for method in ("GET", "POST", "PUT")),
            ("GET", "/debug/pprof/profile"),
        )
    ),
)
"""Paths below targets.PREFIX."""

ALERTMANAGER: tuple[Endpoint, ...] = (
    *(Endpoint("GET", f"/{name}", Right.READ) for name in ("", "-/healthy", "-/ready", "metrics")),
    *(Endpoint("GET", f"/api/v2/{name}", Right.READ) for name in ("alerts", "alerts/groups", "receivers", "silences")),
    Endpoint("GET", "/api/v2/silence/:silenceid", Right.READ),
    Endpoint("POST", "/api/v2/silences", Right.OPERATE),
    Endpoint("DELETE", "/api/v2/silence/:silenceid", Right.OPERATE),
    # It shows the configuration, and before 0.26 the URLs of webhooks in it, which are secrets
    Endpoint("GET", "/api/v2/status", Right.NOBODY),
    # Only Prometheus has alerts
    Endpoint("POST", "/api/v2/alerts", Right.NOBODY),
    Endpoint("POST", "/-/reload", Right.NOBODY),
    Endpoint("GET", "/debug/pprof/profile", Right.NOBODY),
)
"""Paths below targets.ALERTMANAGER_PREFIX."""

LOGS: tuple[Endpoint, ...] = (
    *(
        Endpoint("GET", f"/{name}", Right.READ)
        for name in ("health", "select/vmui", "select/vmui/", "select/buildinfo")
    ),
    # The page asks by POST
    *(
        Endpoint(method, f"/select/logsql/{name}", Right.READ)
        for method in ("GET", "POST")
        for name in (
            *("facets", "field_names", "field_values", "hits", "query", "query_time_range", "stats_query"),
            *("stats_query_range", "stream_field_names", "stream_field_values", "stream_ids", "streams", "tail"),
        )
    ),
    *(
        Endpoint(method, path, Right.NOBODY)
        for method, path in (
            ("GET", "/flags"),
            ("GET", "/metrics"),
            *((method, f"/delete/{name}_task") for name in ("run", "stop") for method in ("GET", "POST")),
            *((method, f"/insert/{name}") for method in ("GET", "POST") for name in ("jsonline", "loki/api/v1/push")),
            ("POST", "/insert/opentelemetry/v1/logs"),
            ("GET", "/internal/force_flush"),
            ("GET", "/internal/select/query"),
            ("GET", "/debug/pprof/profile"),
        )
    ),
)
"""Paths below logs/store.py's PREFIX, of VictoriaLogs 1.52 (app/vlselect/main.go in its repository)."""

GRAFANA: tuple[Endpoint, ...] = (
    Endpoint("GET", "/api/health", Right.READ),
    # Its pages ask data sources by POST, also for viewers
    *(
        Endpoint("POST", f"/api/{name}", Right.READ)
        for name in ("ds/query", "frontend-metrics", "datasources/uid/:label/resources/:grafana")
    ),
    *(
        Endpoint(method, f"/{name}/:grafana", Right.OPERATE)
        for method in ("DELETE", "PATCH", "POST", "PUT")
        for name in ("api", "apis")
    ),
)
"""Paths below grafana.PREFIX. Grafana has rights of its own, by the role that the door names: what it shows to a Viewer
by GET changes nothing, and nobody is its administrator."""

GRAFANA_FILES = r"[^?#]*"
LOGS_FILES = rf"select/vmui/{FILES}"
PROMETHEUS_FILES = rf"(?:(?:classic/)?(?:static|assets)/{FILES}|favicon\.(?:ico|svg)|manifest\.json)"
ALERTMANAGER_FILES = rf"(?:script\.js|favicon\.ico|(?:lib|assets|static)/{FILES})"
"""What their pages consist of."""
