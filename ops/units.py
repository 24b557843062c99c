"""The units of the program on hosts of each role."""

from components.frontdoor import login
from components.frontdoor.component import UNIT as DOOR
from components.host import Role
from components.jobmanager.history import UNIT as HISTORY
from components.logs import collector, store
from components.monitoring import alerts, targets
from components.monitoring.component import UNIT as PROMETHEUS
from components.monitoring.exporter import UNIT as EXPORTER
from components.roles import ROLES

_BESIDE = {Role.JOBMANAGER: (DOOR, login.UNIT, HISTORY), Role.MONITORING: (PROMETHEUS, alerts.UNIT, store.UNIT)}


def daemon(role: Role) -> list[str]:
    """Of the role's daemon, if it has one."""
    return [ROLES[role].unit] if ROLES[role].daemon else []


def beside(role: Role) -> list[str]:
    """Of what runs beside the daemon. Some are there by option only."""
    return [EXPORTER, collector.UNIT, *_BESIDE.get(role, ())]


ASK = rf"""
# ask OPTIONS URL: curl on the host itself. Behind a front door with TLS Prometheus and Alertmanager want a certificate.
ask() {{
  local own={targets.FOLDER}/tls url=${{@: -1}} options=()
  case $url in
    http://localhost:{targets.PROMETHEUS_PORT}/* | http://localhost:{targets.ALERTMANAGER_PORT}/*)
      if [ -e {targets.WEB} ]; then
        url=https${{url#http}}
        options=(--cert "$own/certificate.pem" --key "$own/key.pem" --cacert "$own/authorities.pem")
      fi
      ;;
  esac
  curl --max-time 10 --noproxy '*' "${{@:1:$#-1}}" "${{options[@]}}" "$url"
}}
"""
"""A function for scripts on hosts, as root."""
