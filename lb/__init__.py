"""lb: an HTTP load balancer on gunicorn, gevent and Werkzeug."""

__version__ = "0.1.0"
