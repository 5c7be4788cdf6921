"""lb: an HTTP load balancer on gunicorn, gevent and Werkzeug."""

from lb.native.finder import prefer_compiled

__version__ = "0.1.0"

prefer_compiled()
