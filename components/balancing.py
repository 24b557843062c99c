"""What a load balancer of a provider and the front doors behind it agree on."""

ALIVE = "/front-door"
"""The path at which a door behind a load balancer answers without a login. Flink has no such path."""

IDLE_SECONDS = 300
"""Seconds without data after which a load balancer ends a request: more than a request waits for a leader, and than
Flink takes to run a jar.
"""

KEPT_SECONDS = IDLE_SECONDS + 60
"""Seconds for which a door keeps an idle connection. It must not close one that a load balancer is about to use:
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html, HTTP 502.
"""
